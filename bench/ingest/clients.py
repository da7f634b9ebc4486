"""Lets a program that runs with torch's Python use the packages of `setup.py python-clients` (boto3, pymilvus, gRPC), behind
its own: one environment with both would be fetched for the benchmark alone."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
sys.path.append(str(REPOSITORY / ".local/venv-clients/lib" / VERSION / "site-packages"))
sys.path.insert(0, str(REPOSITORY / "bench/common"))
