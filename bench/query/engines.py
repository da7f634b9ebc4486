"""The ways to ask: our gateway by gRPC, and Milvus directly by pymilvus."""

from pathlib import Path
from typing import Any, List, Tuple

import grpc
import numpy as np
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from pymilvus import AnnSearchRequest, MilvusClient, WeightedRanker

SIDES = ("image_embedding", "text_embedding")


class Gateway:
    """Asks `Search` with vectors, keys alone in the answer."""

    def __init__(self, address: str, collection: str, effort: int = 0) -> None:
        self._channel = grpc.insecure_channel(address)
        grpc.channel_ready_future(self._channel).result(timeout=60)
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self._channel))
        method = pool.FindServiceByName("sightline.v1.Search").methods_by_name["Search"]
        self.request_class = GetMessageClass(method.input_type)
        answer = GetMessageClass(method.output_type)
        self._call = self._channel.unary_unary("/sightline.v1.Search/Search",
                                               request_serializer=self.request_class.SerializeToString,
                                               response_deserializer=answer.FromString)
        self._collection, self._effort = collection, effort

    def request(self, legs: List[Tuple[str, float, np.ndarray]], top_k: int, fields: Tuple[str, ...] = ("id",)) -> Any:
        request = self.request_class(collection=f"collections/{self._collection}", top_k=top_k, effort=self._effort,
                                     fields=list(fields))
        for field, weight, vector in legs:
            leg = request.legs.add(field=field, weight=weight)
            leg.vector.values.extend(vector.tolist())
        return request

    def ask(self, request: Any) -> Any:
        return self._call(request, timeout=120)

    def keys(self, answer: Any) -> List[int]:
        """Rows' numbers; the request's fields have to name `key`."""
        return [int(hit.item.key) for hit in answer.hits]


class Direct:
    """Milvus without anything of ours."""

    def __init__(self, url: str, collection: str) -> None:
        self._client = MilvusClient(uri=url.replace("milvus://", "http://"))
        self._collection = collection

    def one_leg(self, vector: np.ndarray, top_k: int, parameters: dict, consistency: str) -> List[dict]:
        return self._client.search(self._collection, [vector.tolist()], anns_field=SIDES[0], limit=top_k,
                                   filter="has_image == true", consistency_level=consistency,
                                   search_params={"metric_type": "IP", "params": parameters})[0]

    def hybrid(self, image: np.ndarray, text: np.ndarray, alpha: float, top_k: int) -> List[int]:
        """The engine's own weighted ranker, as it is used: twice the hits wanted from each leg."""
        requests = [AnnSearchRequest(data=[vector.tolist()], anns_field=field, limit=2 * top_k,
                                     param={"metric_type": "IP", "params": {}})
                    for field, vector in zip(SIDES, (image, text))]
        found = self._client.hybrid_search(self._collection, requests, WeightedRanker(alpha, 1 - alpha), limit=top_k,
                                           output_fields=["key"])[0]
        return [int(hit["entity"]["key"]) for hit in found]


def write_request(request: Any, path: Path) -> None:
    """As ghz reads a binary request."""
    path.write_bytes(request.SerializeToString())


def resident_mib(pid: int) -> float:
    """Memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


__all__ = ["Direct", "Gateway", "SIDES", "resident_mib", "write_request"]
