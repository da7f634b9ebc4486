"""An S3 server's front that answers some requests badly. What it did is counted, and how often one thing was asked for."""

import http.client
import random
import socket
import threading
import time
import urllib.parse
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable, NamedTuple, Optional

BLOCK = 1 << 12
HOP = {"connection", "keep-alive", "transfer-encoding"}


class Request(NamedTuple):
    """What a rule sees of a request."""

    method: str
    # Bucket and key, unquoted.
    path: str
    query: str
    # Which bytes are asked for; nothing for all.
    range: str

    @property
    def lists(self) -> bool:
        return self.method == "GET" and "list-type=2" in self.query


class Fault(NamedTuple):
    """How an answer is spoilt: one of these."""

    name: str
    # An error of S3's in place of the answer.
    status: int = 0
    code: str = ""
    # Seconds before each part of the body, of so many parts.
    pause: float = 0.0
    parts: int = 1
    # Share of the body that is sent; then the connection is cut.
    share: float = 1.0
    # Share of the body that is sent as if it were all of it.
    shortened: float = 1.0


Rule = Callable[[Request], Optional[Fault]]


class FaultyS3:
    """Passes requests on, except where the rule says how to spoil them."""

    def __init__(self, target: str, seed: int) -> None:
        parts = urllib.parse.urlsplit(target)
        self.target = (parts.hostname, parts.port)
        self.rule: Rule = lambda request: None
        self.random = random.Random(seed)
        self.spoilt: Counter = Counter()
        self.asked: Counter = Counter()
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"front": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def most_asked(self) -> int:
        """How often the thing that was asked for most often while it was spoilt was asked for."""
        with self.lock:
            return max(self.asked.values(), default=0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: FaultyS3

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.upstream = http.client.HTTPConnection(*self.front.target, timeout=300)

    def finish(self) -> None:
        super().finish()
        self.upstream.close()

    def handle_any(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else b""
        path, _, query = self.path.partition("?")
        request = Request(self.command, urllib.parse.unquote(path), query, self.headers.get("range") or "")
        fault = self.front.rule(request)
        if fault is not None:
            with self.front.lock:
                self.front.spoilt[fault.name] += 1
                self.front.asked[self.command, self.path] += 1
            if fault.status:
                return self.refuse(fault)
        self.pass_on(body, fault)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any

    def refuse(self, fault: Fault) -> None:
        body = f"<?xml version=\"1.0\"?><Error><Code>{fault.code}</Code><Message>A test's.</Message></Error>".encode()
        self.send_response(fault.status)
        self.send_header("content-type", "application/xml")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def pass_on(self, body: bytes, fault: Optional[Fault]) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        self.upstream.request(self.command, self.path, body, headers)
        answer = self.upstream.getresponse()
        content = answer.read()
        length = answer.getheader("content-length") if self.command == "HEAD" else None
        if fault is not None and fault.shortened < 1:
            content = content[:int(len(content) * fault.shortened)]
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP | {"content-length", "date", "server"}:
                self.send_header(name, value)
        self.send_header("content-length", length or str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault is None:
            self.wfile.write(content)
            return
        content = content[:int(len(content) * fault.share)]
        step = max(1, -(-len(content) // fault.parts))
        for start in range(0, len(content), step):
            time.sleep(fault.pause)
            self.wfile.write(content[start:start + step])
        if fault.share < 1:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the logs of the services say what they met."""
