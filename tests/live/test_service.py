"""The stand-in for kube-proxy, over sockets of this machine."""

import contextlib
import socket
import threading
import time
import unittest

import service

SERVICE, POD = "127.96.3.4", "127.77.250.1"
LIMIT_SECONDS = 20


class Cluster:
    """An API server with one service and one pod."""

    def __init__(self, service_port, pod_port):
        self.ready, self._ports = False, (service_port, pod_port)

    def get(self, path):
        return {"spec": {"clusterIP": "10.96.3.4", "ports": [{"name": "grpc", "port": self._ports[0]}]}}

    def items(self, path):
        endpoint = {"conditions": {"ready": self.ready}, "addresses": ["10.77.250.1"]}
        return [{"ports": [{"name": "grpc", "port": self._ports[1]}], "endpoints": [endpoint]}]


def echo(connection):
    """Gives back what comes, and a word when no more does."""
    with connection:
        while chunk := connection.recv(100):
            connection.sendall(chunk)
        connection.sendall(b"end")


def serve(pod):
    with pod, contextlib.suppress(OSError):
        while True:
            threading.Thread(target=echo, args=(pod.accept()[0],), daemon=True).start()


class Forwarding(unittest.TestCase):
    def setUp(self):
        pod = socket.create_server((POD, 0))
        self.addCleanup(pod.shutdown, socket.SHUT_RDWR)
        threading.Thread(target=serve, args=(pod,), daemon=True).start()
        with socket.create_server((SERVICE, 0)) as free:
            self.port = free.getsockname()[1]
        self.cluster = Cluster(self.port, pod.getsockname()[1])
        self.services = service.Services(self.cluster, lambda: {"10.77.250.1": POD})
        self.addCleanup(self.services.stop)
        self.assertEqual(self.services.address("search", "encoder"), SERVICE)

    def connect(self):
        connection = socket.create_connection((SERVICE, self.port), timeout=LIMIT_SECONDS)
        self.addCleanup(connection.close)
        return connection

    def until(self, ready):
        """Changes the pod's readiness and waits until connections are taken, or refused."""
        self.cluster.ready = ready
        deadline = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < deadline:
            taken = False
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection((SERVICE, self.port)):
                taken = True
            if taken == ready:
                return
            time.sleep(0.05)
        self.fail(f"connections are not {'taken' if ready else 'refused'} after {LIMIT_SECONDS} s")

    def test_a_service_without_a_ready_pod_refuses_connections(self):
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.until(True)
        self.until(False)
        self.until(True)

    def test_a_connection_reaches_a_ready_pod_and_ends_from_either_side(self):
        self.until(True)
        connection = self.connect()
        connection.sendall(b"question")
        self.assertEqual(connection.recv(100), b"question")
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual([connection.recv(100), connection.recv(100)], [b"end", b""])

    def test_a_connection_outlives_its_pods_readiness(self):
        self.until(True)
        connection = self.connect()
        self.until(False)
        connection.sendall(b"still")
        self.assertEqual(connection.recv(100), b"still")


if __name__ == "__main__":
    unittest.main()
