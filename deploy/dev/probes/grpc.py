"""One gRPC call without TLS: an HTTP/2 request by hand, and enough protobuf to read the answer."""

import socket
import struct
import time
from typing import Dict, List, Union

from probes import NotReady

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 0x1, 0x1, 0x4, 0x8

Fields = Dict[int, List[Union[int, bytes]]]


def call(port: int, method: str, message: bytes = b"", timeout: float = 5) -> bytes:
    """The message with which the server answers; no answer, or none with a message, is NotReady."""
    deadline = time.monotonic() + timeout
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as stream:
            stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0, b""))
            stream.sendall(_frame(_HEADERS, _END_HEADERS, 1, _headers(port, method)))
            stream.sendall(_frame(_DATA, _END_STREAM, 1, struct.pack(">BI", 0, len(message)) + message))
            body = b""
            while time.monotonic() < deadline:
                head = _exactly(stream, 9)
                size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                payload = _exactly(stream, size)
                if kind == _SETTINGS and not flags & _ACK:
                    stream.sendall(_frame(_SETTINGS, _ACK, 0, b""))
                elif kind == _PING and not flags & _ACK:
                    stream.sendall(_frame(_PING, _ACK, 0, payload))
                elif kind == _DATA:
                    body += payload[1:len(payload) - payload[0]] if flags & _PADDED else payload
                    if len(body) >= 5 and len(body) >= 5 + int.from_bytes(body[1:5], "big"):
                        return body[5:]
                elif kind in (_RST_STREAM, _GOAWAY) or (kind == _HEADERS and flags & _END_STREAM):
                    raise NotReady(f"gRPC {method}: the server answered with an error")
    except OSError as error:
        raise NotReady(f"gRPC on port {port}: {error}") from None
    raise NotReady(f"gRPC {method}: no answer in {timeout} s")


def fields(message: bytes) -> Fields:
    """The fields of a protobuf message: integers, and bytes not looked into."""
    found: Fields = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        value: Union[int, bytes]
        if kind == 0:
            value, at = _varint(message, at)
        elif kind == 2:
            size, at = _varint(message, at)
            value, at = message[at:at + size], at + size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = message[at:at + size], at + size
        else:
            raise NotReady(f"gRPC: the answer is no protobuf message (wire type {kind})")
        found.setdefault(number, []).append(value)
    return found


def _varint(data: bytes, at: int) -> "tuple[int, int]":
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise NotReady("gRPC: the answer is cut short")


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _headers(port: int, method: str) -> bytes:
    """HPACK's plainest form: every header a literal with a literal name, nothing indexed or compressed."""
    headers = {
        ":method": "POST", ":scheme": "http", ":path": method, ":authority": f"127.0.0.1:{port}",
        "content-type": "application/grpc", "te": "trailers",
    }
    return b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in headers.items()
    )


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        block = stream.recv(size - len(data))
        if not block:
            raise NotReady("gRPC: the server closed the connection")
        data += block
    return data
