"""The cluster's services on this machine: an address each, whose every connection goes to a pod that is ready."""

import contextlib
import socket
import threading
from typing import Callable, Dict, List, Optional, Tuple

from api import Api, ApiError

PERIOD_SECONDS = 0.5
_CHUNK = 1 << 16
# A pod that takes no connection within this time is as good as away.
_CONNECT_SECONDS = 5

Address = Tuple[str, int]


class Services:
    """Does what kube-proxy would. `pods` says where pods listen on this machine, by their addresses in the cluster."""

    def __init__(self, api: Api, pods: Callable[[], Dict[str, str]]) -> None:
        self._api, self._pods = api, pods
        self._followed: Dict[Tuple[str, str, str], Dict[str, Forwarder]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def address(self, namespace: str, name: str) -> str:
        """Where a service is found here, from now on."""
        service = self._api.get(f"/api/v1/namespaces/{namespace}/services/{name}")["spec"]
        # 10.96.0.7 of the cluster is 127.96.0.7 of this machine.
        address = "127." + service["clusterIP"].partition(".")[2]
        # A service that is made anew has another address.
        if (namespace, name, address) not in self._followed:
            forwarders = {port["name"]: Forwarder((address, port["port"])) for port in service["ports"]}
            self._followed[namespace, name, address] = forwarders
        return address

    def ready(self, namespace: str, name: str) -> Dict[str, List[Address]]:
        """Where the ready pods of a service listen, by the names of its ports, as the cluster's own endpoint slices say."""
        path = (f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
                f"?labelSelector=kubernetes.io/service-name={name}")
        here, found = self._pods(), {}
        for piece in self._api.items(path):
            addresses = [here[ip] for endpoint in piece.get("endpoints") or [] if endpoint["conditions"].get("ready")
                         for ip in endpoint["addresses"] if ip in here]
            for port in piece.get("ports") or []:
                found.setdefault(port["name"], []).extend((address, port["port"]) for address in addresses)
        return found

    def stop(self) -> None:
        self._end.set()
        self._thread.join()
        for forwarders in self._followed.values():
            for forwarder in forwarders.values():
                forwarder.follow([])

    def _follow(self) -> None:
        while not self._end.wait(PERIOD_SECONDS):
            for (namespace, name, _), forwarders in list(self._followed.items()):
                # An API server that does not answer is asked again; until then nothing changes, as on any node.
                with contextlib.suppress(ApiError, OSError):
                    ready = self.ready(namespace, name)
                    for port, forwarder in forwarders.items():
                        forwarder.follow(ready.get(port, []))


class Forwarder:
    """Hands connections to one address on to pods in turn. While there is none it does not listen: connections are refused."""

    def __init__(self, address: Address) -> None:
        self._address, self._turn = address, 0
        self._pods: List[Address] = []
        self._listener: Optional[socket.socket] = None

    def follow(self, pods: List[Address]) -> None:
        self._pods = pods
        if pods and self._listener is None:
            self._listener = socket.create_server(self._address)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        elif not pods and self._listener is not None:
            # Closing alone would not wake who waits for a connection.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            self._turn += 1
            threading.Thread(target=self._serve, args=(client, self._turn), daemon=True).start()

    def _serve(self, client: socket.socket, turn: int) -> None:
        pods = self._pods
        with client:
            try:
                pod = socket.create_connection(pods[turn % len(pods)], timeout=_CONNECT_SECONDS) if pods else None
            except OSError:
                pod = None
            if pod is None:
                return
            with pod:
                pod.settimeout(None)
                # A side that is gone already says so when it is read.
                with contextlib.suppress(OSError):
                    for side in (client, pod):
                        side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                back = threading.Thread(target=_pump, args=(pod, client), daemon=True)
                back.start()
                _pump(client, pod)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Hands on what comes until it ends; what breaks on one side breaks on the other."""
    try:
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for side in (source, target):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
