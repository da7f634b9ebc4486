"""The Kubernetes API over HTTPS, as much of it as is needed here."""

import json
import ssl
import urllib.error
import urllib.request
from typing import Any, Dict, List, Optional

Object = Dict[str, Any]


class ApiError(Exception):
    """The API server refused, in its own words."""

    def __init__(self, method: str, path: str, code: int, text: str) -> None:
        super().__init__(f"{method} {path}: {code} {text[:500]}")
        self.code = code


class Api:
    """A client with a token."""

    def __init__(self, server: str, token: str, authority: str) -> None:
        self._server, self._token = server, token
        self._context = ssl.create_default_context(cafile=authority)
        self._context.verify_flags &= ~ssl.VERIFY_X509_STRICT

    def call(self, method: str, path: str, body: Optional[Object] = None, kind: str = "application/json") -> Object:
        request = urllib.request.Request(self._server + path, method=method,
                                         data=None if body is None else json.dumps(body).encode())
        request.add_header("Authorization", f"Bearer {self._token}")
        request.add_header("Content-Type", kind)
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise ApiError(method, path, error.code, error.read().decode(errors="replace")) from None
        return json.loads(text) if text[:1] in (b"{", b"[") else {"text": text.decode()}

    def get(self, path: str) -> Object:
        return self.call("GET", path)

    def items(self, path: str) -> List[Object]:
        return self.get(path)["items"]

    def create(self, path: str, body: Object) -> Object:
        return self.call("POST", path, body)

    def merge(self, path: str, body: Object) -> Object:
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str, body: Optional[Object] = None) -> None:
        try:
            self.call("DELETE", path, body or {})
        except ApiError as error:
            if error.code != 404:
                raise
