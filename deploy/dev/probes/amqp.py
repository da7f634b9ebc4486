"""AMQP 0-9-1: log in and open the virtual host."""

import socket
import struct

from probes import NotReady

_METHOD, _END = 1, b"\xce"
_START, _START_OK = (10, 10), (10, 11)
_TUNE, _TUNE_OK = (10, 30), (10, 31)
_OPEN, _OPEN_OK = (10, 40), (10, 41)
_CLOSE, _CLOSE_OK = (10, 50), (10, 51)


def connect(port: int, user: str, password: str, vhost: str = "/", timeout: float = 5) -> int:
    """Do what a client does until it may open channels, then close in order. Gives the heartbeat offered."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as stream:
            stream.sendall(b"AMQP\x00\x00\x09\x01")
            _expect(stream, _START)
            credentials = f"\0{user}\0{password}".encode()
            _send(stream, _START_OK, struct.pack(">I", 0) + _short("PLAIN") + _long(credentials) + _short("en_US"))
            tune = _expect(stream, _TUNE)
            _send(stream, _TUNE_OK, tune)
            _send(stream, _OPEN, _short(vhost) + b"\0\0")
            _expect(stream, _OPEN_OK)
            _send(stream, _CLOSE, struct.pack(">H", 200) + _short("") + struct.pack(">HH", 0, 0))
            _expect(stream, _CLOSE_OK)
            return int.from_bytes(tune[-2:], "big")
    except OSError as error:
        raise NotReady(f"AMQP on port {port}: {error}") from None


def _send(stream: socket.socket, method: "tuple[int, int]", arguments: bytes) -> None:
    payload = struct.pack(">HH", *method) + arguments
    stream.sendall(struct.pack(">BHI", _METHOD, 0, len(payload)) + payload + _END)


def _expect(stream: socket.socket, method: "tuple[int, int]") -> bytes:
    kind, _, size = struct.unpack(">BHI", _exactly(stream, 7))
    payload = _exactly(stream, size + 1)[:-1]
    got = struct.unpack(">HH", payload[:4]) if kind == _METHOD else None
    if got != method:
        raise NotReady(f"AMQP: expected method {method}, got {got}")
    return payload[4:]


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        block = stream.recv(size - len(data))
        if not block:
            raise NotReady("AMQP: the broker closed the connection")
        data += block
    return data


def _short(text: str) -> bytes:
    return struct.pack(">B", len(text)) + text.encode()


def _long(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
