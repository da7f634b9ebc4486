"""The real components, each one class in a module of its own."""

from typing import Dict, List

from components.base import Component
from components.milvus import Milvus
from components.milvus_lite import MilvusLite
from components.rabbitmq import RabbitMq
from components.rabbitmq_cluster import RabbitMqCluster
from components.s3 import MinIo, Moto

# In this order they are started, and their variables printed: those of a later one win. Both S3 servers
# name the same variables, and the real one is to win.
ALL: Dict[str, Component] = {
    component.name: component for component in (RabbitMq(), RabbitMqCluster(), Milvus(), MilvusLite(), Moto(), MinIo())
}

# What `up` and `run` start when no component is named.
DEFAULT: List[str] = ["rabbitmq", "milvus", "milvus-lite", "s3"]
