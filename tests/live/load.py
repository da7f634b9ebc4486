"""Queries without pause against whatever gateways are ready, as a client that tries again where it is told to."""

import threading
import time
from typing import Any, Callable, Dict, List

import grpc

from reflection import Service

# What a client may meet in a rolling restart, and tries again.
_AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
ATTEMPTS = 20


class Load:
    """One caller. `endpoints` says where gateways are ready, `host:port`; `end` gives how many queries were answered,
    tried again, and failed."""

    def __init__(self, endpoints: Callable[[], List[str]], query: Dict[str, Any]) -> None:
        self._endpoints, self._query = endpoints, query
        self._services: Dict[str, Service] = {}
        self._stop = threading.Event()
        self.counts = {"answered": 0, "tried_again": 0, "failed": 0}
        self.failures: List[str] = []
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def end(self) -> Dict[str, int]:
        self._stop.set()
        self._thread.join()
        return self.counts

    def _loop(self) -> None:
        turn = 0
        while not self._stop.wait(0.05):
            turn += 1
            self._one(turn)

    def _one(self, turn: int) -> None:
        reason = "no gateway was ready"
        for attempt in range(ATTEMPTS):
            endpoints = self._endpoints()
            if endpoints:
                address = endpoints[(turn + attempt) % len(endpoints)]
                try:
                    self._service(address).Search(**self._query)
                    self.counts["answered"] += 1
                    return
                except grpc.FutureTimeoutError:
                    reason = f"{address} took no connection"
                except grpc.RpcError as error:
                    reason = f"{address}: {error.code()} {error.details()}"
                    if error.code() not in _AGAIN:
                        break
                self._services.pop(address, None)
            self.counts["tried_again"] += 1
            time.sleep(0.2)
        self.counts["failed"] += 1
        self.failures.append(reason)

    def _service(self, address: str) -> Service:
        if address not in self._services:
            self._services[address] = Service(address, "sightline.v1.Search")
        return self._services[address]
