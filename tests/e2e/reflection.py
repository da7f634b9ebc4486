"""A gRPC client that knows nothing of Sightline but what its servers say through reflection."""

from typing import Any, Callable, Dict

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

LARGEST_MESSAGE = 64 << 20


class Service:
    """One service of a server; `service.GetRun(name="runs/…")` calls it and gives plain dictionaries."""

    def __init__(self, address: str, name: str, wait: float = 60) -> None:
        limits = [("grpc.max_receive_message_length", LARGEST_MESSAGE), ("grpc.max_send_message_length", LARGEST_MESSAGE)]
        self._channel = grpc.insecure_channel(address, options=limits)
        grpc.channel_ready_future(self._channel).result(timeout=wait)
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self._channel))
        self._service = pool.FindServiceByName(name)
        self._calls: Dict[str, Callable[..., Any]] = {}

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method not in self._calls:
            self._calls[method] = self._call_of(method)
        return self._calls[method]

    def _call_of(self, name: str) -> Callable[..., Any]:
        method = self._service.methods_by_name[name]
        request_class = GetMessageClass(method.input_type)
        answer_class = GetMessageClass(method.output_type)
        path = f"/{self._service.full_name}/{name}"
        make = self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
        call = make(path, request_serializer=request_class.SerializeToString, response_deserializer=answer_class.FromString)

        def plain(message: Any) -> Dict[str, Any]:
            return json_format.MessageToDict(
                message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)

        def invoke(timeout: float = 120, **fields: Any) -> Any:
            request = json_format.ParseDict(fields, request_class())
            answer = call(request, timeout=timeout)
            return (plain(message) for message in answer) if method.server_streaming else plain(answer)

        return invoke
