"""A Kubernetes control plane as processes on loopback: etcd, the API server and the controllers."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List

from api import Api, ApiError

REPO: Path = Path(__file__).resolve().parents[2]
_LOCAL = REPO / ".local"
# Those that need a cloud, or would judge our node by heartbeats that it does not send.
_CONTROLLERS = "*,-nodeipam,-cloud-node-lifecycle,-service-lb-controller,-node-route-controller,-node-lifecycle-controller"
START_SECONDS = 120


class ControlPlane:
    """Started when it is made; `stop` ends it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: Dict[str, "subprocess.Popen[bytes]"] = {}
        self.ports = dict(zip(("etcd", "peer", "api", "controllers"), free_ports(4)))
        self._token = secrets.token_hex(16)
        self._prepare()
        self._start_etcd()
        self._start_api()
        self.api = self._wait()
        self._start_controllers()

    def run(self, name: str, command: List[str], environment: Dict[str, str] = {}) -> "subprocess.Popen[bytes]":
        """Starts a further process that ends with the control plane."""
        log = (self._folder / f"{name}.log").open("wb")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                   env={**os.environ, **environment})
        self._processes[name] = process
        return process

    def stop(self) -> None:
        for process in reversed(self._processes.values()):
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def processes(self) -> Dict[str, "subprocess.Popen[bytes]"]:
        """Everything that was started, by name."""
        return dict(self._processes)

    @property
    def certificates(self) -> Path:
        """A folder with `ca.crt`, `tls.crt` and `tls.key` for programs on loopback: one certificate is all three."""
        return self._folder / "tls"

    @property
    def kubeconfig(self) -> Path:
        return self._folder / "kubeconfig"

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "tokens.csv").write_text(f'{self._token},admin,admin,"system:masters"\n')
        key = self._folder / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        (self._folder / "tls").mkdir()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
             "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", str(self._folder / "tls/tls.key"),
             "-out", str(self._folder / "tls/tls.crt")], check=True, capture_output=True)
        shutil.copyfile(self._folder / "tls/tls.crt", self._folder / "tls/ca.crt")
        server = f"https://127.0.0.1:{self.ports['api']}"
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "live",
            "clusters": [{"name": "live", "cluster": {"server": server,
                                                      "certificate-authority": str(self._folder / "tls/ca.crt")}}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "live", "context": {"cluster": "live", "user": "admin"}}]}))

    def _start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{self.ports[name]}" for name in ("etcd", "peer"))
        self.run("etcd", [
            str(_LOCAL / "etcd/etcd"), "--data-dir", str(self._folder / "etcd"), "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"default={peer}", "--unsafe-no-fsync", "--log-level", "warn"])

    def _start_api(self) -> None:
        key, tls = str(self._folder / "accounts.key"), self.certificates
        self.run("kube-apiserver", [
            str(_LOCAL / "kubernetes/kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{self.ports['etcd']}",
            "--bind-address=127.0.0.1", f"--secure-port={self.ports['api']}", "--authorization-mode=RBAC",
            f"--tls-cert-file={tls}/tls.crt", f"--tls-private-key-file={tls}/tls.key",
            # As whom it calls API servers that others bring, and how those know that it is it.
            f"--proxy-client-cert-file={tls}/tls.crt", f"--proxy-client-key-file={tls}/tls.key",
            f"--requestheader-client-ca-file={tls}/ca.crt", "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--token-auth-file={self._folder}/tokens.csv", f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}", "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=false", "--v=1",
            # Models may come as images; from 1.35 on this is so by default.
            "--feature-gates=ImageVolume=true",
            "--endpoint-reconciler-type=none"])

    def _start_controllers(self) -> None:
        self.run("kube-controller-manager", [
            str(_LOCAL / "kubernetes/kube-controller-manager"), f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false", f"--controllers={_CONTROLLERS}", "--bind-address=127.0.0.1",
            f"--secure-port={self.ports['controllers']}", f"--root-ca-file={self._folder}/tls/ca.crt",
            f"--service-account-private-key-file={self._folder}/accounts.key",
            "--horizontal-pod-autoscaler-sync-period=5s", "--v=1"])

    def _wait(self) -> Api:
        api = Api(f"https://127.0.0.1:{self.ports['api']}", self._token, str(self._folder / "tls/ca.crt"))
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if api.get("/readyz")["text"] == "ok":
                    return api
            except (OSError, ApiError) as error:
                reason = error
            for process in self._processes.values():
                if process.poll() is not None:
                    self.stop()
                    sys.exit(f"{process.args[0]} ended with {process.returncode}: see {self._folder}")
            if time.monotonic() > deadline:
                self.stop()
                sys.exit(f"the API server did not start in {START_SECONDS} s: {reason}; see {self._folder}")
            time.sleep(0.3)


def free_ports(count: int) -> List[int]:
    """Ports of loopback that are free now."""
    holders = [socket.socket() for _ in range(count)]
    for holder in holders:
        holder.bind(("127.0.0.1", 0))
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports
