"""Where everything lies. All of it is under `<repo>/.local`, which git ignores."""

import os
from pathlib import Path

REPO: Path = Path(__file__).resolve().parents[2]

# Another folder (a CI cache, a test's temporary folder) may stand in for <repo>/.local.
LOCAL: Path = Path(os.environ.get("SIGHTLINE_LOCAL") or REPO / ".local").resolve()

DOWNLOADS: Path = LOCAL / "downloads"
STAMPS: Path = LOCAL / "stamps"
LIBTORCH: Path = LOCAL / "libtorch"
RABBITMQ: Path = LOCAL / "rabbitmq"
# Where Debian's package installs it.
RABBITMQ_SYSTEM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
MILVUS: Path = LOCAL / "milvus"
MILVUS_LITE: Path = LOCAL / "milvus-lite"
NASM: Path = LOCAL / "nasm"
CMAKE: Path = LOCAL / "cmake"
FAKETIME: Path = LOCAL / "faketime"
BARE_DEBIAN: Path = LOCAL / "bare-debian"
S3: Path = LOCAL / "s3"
HELM: Path = LOCAL / "helm" / "helm"
HELM_3: Path = LOCAL / "helm-3" / "helm"
ETCD: Path = LOCAL / "etcd"
KEDA: Path = LOCAL / "keda"
KUBERNETES: Path = LOCAL / "kubernetes"
DEFINITIONS: Path = LOCAL / "definitions"
PROMETHEUS: Path = LOCAL / "prometheus"
VENV_CHART: Path = LOCAL / "venv-chart"
VENV_MOTO: Path = LOCAL / "venv-moto"
VENV_CLIENTS: Path = LOCAL / "venv-clients"
VENV_DICOM: Path = LOCAL / "venv-dicom"
VENV_TORCH: Path = LOCAL / "venv-torch"
VENV_SENTENCES: Path = LOCAL / "venv-sentences"


def remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        pass
