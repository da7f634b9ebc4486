"""A collector of OpenTelemetry traces: takes OTLP over gRPC and keeps which service sent which span of which trace.

Only five fields are read, so the message is taken apart by hand instead of by one more package.
"""

import threading
from concurrent import futures
from typing import Dict, Iterator, List, NamedTuple, Set, Tuple, Union

import grpc

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Span(NamedTuple):
    """A span with the names of its attributes, and the service that sent it."""

    service: str
    trace: str
    name: str
    attributes: List[str]


class Collector:
    """Listens on a free port until it is closed."""

    def __init__(self) -> None:
        self._spans: List[Span] = []
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((Handler(self),))
        self.url = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def take(self, request: bytes, _context: object) -> bytes:
        with self._lock:
            self._spans += spans_of(request)
        return b""

    def names_by_service(self, root: str) -> Dict[str, Set[str]]:
        """The spans of the trace that a span of this name is in: service → names."""
        with self._lock:
            traces = {span.trace for span in self._spans if span.name == root}
            found: Dict[str, Set[str]] = {}
            for span in self._spans:
                if span.trace in traces:
                    found.setdefault(span.service, set()).add(span.name)
            return found

    def attributes(self, root: str) -> Set[str]:
        """The names of all attributes in the trace that a span of this name is in."""
        with self._lock:
            traces = {span.trace for span in self._spans if span.name == root}
            return {name for span in self._spans if span.trace in traces for name in span.attributes}

    def close(self) -> None:
        self._server.stop(None)


class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def service(self, call: grpc.HandlerCallDetails) -> object:
        return grpc.unary_unary_rpc_method_handler(self._collector.take) if call.method == EXPORT else None


def spans_of(request: bytes) -> Iterator[Span]:
    """ExportTraceServiceRequest.resource_spans[].scope_spans[].spans[]."""
    for resource_spans in parts(request, 1):
        service = service_name(resource_spans)
        for scope_spans in parts(resource_spans, 2):
            for span in parts(scope_spans, 2):
                keys = [next(parts(attribute, 1)).decode() for attribute in parts(span, 9)]
                yield Span(service, next(parts(span, 1)).hex(), next(parts(span, 5)).decode(), keys)


def service_name(resource_spans: bytes) -> str:
    """Resource.attributes[] with the key service.name."""
    for resource in parts(resource_spans, 1):
        for attribute in parts(resource, 1):
            if next(parts(attribute, 1)) == b"service.name":
                return next(parts(next(parts(attribute, 2)), 1)).decode()
    return ""


def parts(message: bytes, number: int) -> Iterator[bytes]:
    """The length-delimited fields of a protobuf message that have this number."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        value, at = field(message, at, key & 7)
        if key >> 3 == number and isinstance(value, bytes):
            yield value


def field(message: bytes, at: int, kind: int) -> Tuple[Union[int, bytes], int]:
    if kind == 0:
        return varint(message, at)
    if kind == 2:
        length, at = varint(message, at)
        return message[at : at + length], at + length
    width = {1: 8, 5: 4}[kind]
    return int.from_bytes(message[at : at + width], "little"), at + width


def varint(message: bytes, at: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
