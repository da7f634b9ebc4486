"""A Milvus front at the level of gRPC calls: passes them on as bytes, late, refused, or with the answer lost."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional

import grpc

LARGEST = 256 << 20
LIMITS = [("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST)]
UPSERT = "/milvus.proto.milvus.MilvusService/Upsert"

# Gives the name of a fault for a method: `away`, `slow`, `limited`, `reply lost`; or none.
Rule = Callable[[str], Optional[str]]


class FaultyMilvus(grpc.GenericRpcHandler):
    """All of Milvus's calls that Sightline makes are unary."""

    def __init__(self, port: int) -> None:
        self.rule: Rule = lambda method: None
        self.slow_seconds = 5.0
        self.spoilt: Counter = Counter()
        self.last_good = time.monotonic()
        self._lock = threading.Lock()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=LIMITS)
        self._server = grpc.server(ThreadPoolExecutor(32), handlers=[self], options=LIMITS)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        method, metadata = call.method, call.invocation_metadata
        keep = [(name, value) for name, value in metadata if not name.startswith(("grpc-", "user-agent", ":"))]

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            fault = self.rule(method)
            if fault is not None:
                with self._lock:
                    self.spoilt[fault] += 1
            if fault == "away":
                context.abort(grpc.StatusCode.UNAVAILABLE, "a test: the index is away")
            if fault == "limited":
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "a test: rate limit exceeded")
            if fault == "slow":
                time.sleep(self.slow_seconds)
            try:
                reply = self._channel.unary_unary(method)(request, timeout=120, metadata=keep)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())
            if fault == "reply lost":
                context.abort(grpc.StatusCode.UNAVAILABLE, "a test: connection reset")
            self.last_good = time.monotonic()
            return reply

        return grpc.unary_unary_rpc_method_handler(answer)

    def close(self) -> None:
        self._server.stop(0).wait()
        self._channel.close()
