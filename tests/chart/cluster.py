"""As much of an API server as helm asks for what templates look up: what there is of Deployments."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List, Optional

import render
from render import Manifest

_DEPLOYMENTS = f"/apis/apps/v1/namespaces/{render.NAMESPACE}/deployments"


class Cluster:
    """Serves from entering to leaving; `rendered` is what helm would send to it."""

    def __init__(self, deployments: List[Manifest]) -> None:
        self._answers: Dict[str, Any] = {
            "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
            _DEPLOYMENTS: {"kind": "DeploymentList", "apiVersion": "apps/v1", "items": deployments}}
        answers = self._answers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = answers.get(self.path.partition("?")[0])
                missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
                body = json.dumps(found or missing).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> "Cluster":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def rendered(self, name: str, above: Optional[Manifest] = None, upgrade: bool = False) -> List[Manifest]:
        """What the chart makes of a values file, with this cluster to ask."""
        # helm asks which kinds there are: those that it would send.
        self._discovery(render.named(name, above=above))
        arguments = ["--dry-run=server", "--disable-openapi-validation", "--kubeconfig=/dev/null",
                     f"--kube-apiserver=http://127.0.0.1:{self._server.server_port}"]
        return render.named(name, arguments=[*arguments, *(["--is-upgrade"] if upgrade else [])], above=above)

    def _discovery(self, manifests: List[Manifest]) -> None:
        kinds: Dict[str, set] = {}
        for manifest in manifests:
            kinds.setdefault(manifest["apiVersion"], set()).add(manifest["kind"])
        for version, of in kinds.items():
            resources = [{"name": f"{kind.lower()}s", "kind": kind, "namespaced": True, "verbs": ["get", "list"]} for kind in sorted(of)]
            path = f"/apis/{version}" if "/" in version else f"/api/{version}"
            self._answers[path] = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
        self._answers["/api"] = {"kind": "APIVersions", "versions": ["v1"]}
        groups = [{"name": version.partition("/")[0], "versions": [{"groupVersion": version, "version": version.partition("/")[2]}]}
                  for version in sorted(kinds) if "/" in version]
        self._answers["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
