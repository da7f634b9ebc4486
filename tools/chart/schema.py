"""Makes helm/sightline/values.schema.json: what values may be, with the services' configuration as the binaries list it.

    tools/chart/schema.py           writes it
    tools/chart/schema.py --check   fails where the file is another
"""

import json
import sys
from typing import Any, Dict, List, Optional

import drift
import keys

Schema = Dict[str, Any]

# Keys that the chart sets itself from its own values.
OWNED = {
    "listen.address", "listen.insecure", "listen.tls_cert", "listen.tls_key", "observability.address",
    "observability.insecure", "shutdown.drain_seconds", "telemetry.log", "telemetry.log_format", "telemetry.trace_ratio",
    "telemetry.otlp_endpoint", "telemetry.otlp_headers", "telemetry.otlp_logs", "telemetry.otlp_metrics", "s3.endpoint", "s3.region", "s3.path_style", "queue.url", "index.url", "state.url", "name",
    "model.folder", "model.name", "model.device", "hub.cache",
}
_NAME = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_VOLUMES = ["scratch", "tls", "ca", "model"]
_BLOCK = "^[0-9a-fA-F.:]+/[0-9]+$"
_QUANTITY = "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"


def obj(properties: Dict[str, Schema], required: Optional[List[str]] = None, **more: Any) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    return {**schema, "required": required} if required else schema


def text(pattern: Optional[str] = None, **more: Any) -> Schema:
    return {"type": "string", **({"pattern": pattern} if pattern else {}), **more}


def whole(least: int = 0, most: Optional[int] = None) -> Schema:
    return {"type": "integer", "minimum": least, **({} if most is None else {"maximum": most})}


def listed(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


BOOLEAN: Schema = {"type": "boolean"}
# Kubernetes' own types: its API server checks them, and another schema of theirs would only be older.
KUBERNETES: Schema = {"type": "object"}
STRINGS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
# A label of these twice in one object would be the second: selectors would match nothing, or a version would be told that is none.
_OWN_LABELS = "^(app\\.kubernetes\\.io/(name|instance|component|version|part-of|managed-by)|helm\\.sh/chart|sightline\\.dev/.*)$"
# helm names the wrong place where `propertyNames` refuses.
LABELS: Schema = {**STRINGS, "patternProperties": {_OWN_LABELS: False}}
PORT = whole(1, 65535)
SECRET_NAME = text("^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", maxLength=253)
SECRET_KEY = text("^[-._a-zA-Z0-9]+$")


def plain_url(schemes: str) -> Schema:
    """An address without a password: what has one belongs into a secret."""
    return text(f"^(({schemes})://[^@\\s]+)?$")


def secret_key() -> Schema:
    return obj({"name": SECRET_NAME, "key": SECRET_KEY})


def address(schemes: str) -> Dict[str, Schema]:
    return {"url": plain_url(schemes), "existingSecret": secret_key()}


def management() -> Schema:
    """A whole address in a secret, or one beside its credentials."""
    keys_of_parts = {"usernameKey": SECRET_KEY, "passwordKey": SECRET_KEY, "caKey": {"anyOf": [SECRET_KEY, {"const": ""}]}}
    return obj({"url": plain_url("https?"), "existingSecret": obj({"name": SECRET_NAME, "key": SECRET_KEY, **keys_of_parts})})


def config(service: str) -> Schema:
    """A service's keys but those that the chart sets, nested by their dots."""
    root: Dict[str, Any] = {}
    for key in keys.of(service):
        if key.name not in OWNED:
            *blocks, name = key.name.split(".")
            place = root
            for block in blocks:
                place = place.setdefault(block, {})
            # A tuple tells a key from a block.
            place[name] = (keys.json_schema(key),)
    return nested(root)


def nested(block: Dict[str, Any]) -> Schema:
    return obj({name: inner[0] if isinstance(inner, tuple) else nested(inner) for name, inner in block.items()})


def account() -> Schema:
    return obj({"create": BOOLEAN, "name": SECRET_NAME, "annotations": STRINGS})


def silent() -> Dict[str, Schema]:
    """What every component takes, the client too, and has no default of: the README's table has it."""
    return {"serviceAccount": account(), "podLabels": LABELS, "nodeSelector": STRINGS, "tolerations": listed(KUBERNETES),
            "affinity": KUBERNETES, "priorityClassName": text(), "dnsConfig": KUBERNETES}


def extra() -> Dict[str, Schema]:
    """What services alone take of that: variables, volumes and mounts as Kubernetes writes them; names of the chart's own volumes are taken."""
    variable = obj({"name": text(minLength=1), "value": text(), "valueFrom": KUBERNETES}, ["name"])
    volume = {**KUBERNETES, "properties": {"name": text(_NAME, **{"not": {"enum": _VOLUMES}})}, "required": ["name"]}
    mount = {**KUBERNETES, "required": ["name", "mountPath"]}
    return {"extraEnv": listed(variable), "extraVolumes": listed(volume), "extraVolumeMounts": listed(mount)}


def placement() -> Dict[str, Schema]:
    return {
        **silent(), **extra(), "podAnnotations": STRINGS,
        "resources": obj({"requests": ref("quantities"), "limits": ref("quantities")}),
        # A budget of none would keep every node from being drained.
        "maxUnavailable": {"anyOf": [whole(1), text("^([1-9][0-9]?|100)%$"), {"type": "null"}]},
    }


def model() -> Schema:
    volume = obj({
        "persistentVolumeClaim": obj({"claimName": text(_NAME), "subPath": text("^[^/].*$")}, ["claimName"]),
        "image": obj({"reference": text(minLength=1), "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]}},
                     ["reference"]),
        "download": obj({"image": text(minLength=1), "command": listed(text(), minItems=1), "args": listed(text()),
                         "env": listed(KUBERNETES), "size": text(_QUANTITY), "resources": KUBERNETES},
                        ["image", "command"]),
    }, minProperties=1, maxProperties=1)
    # The queue's name holds the length of the model's in one byte.
    return obj({"name": text("^[^\\s]+$", minLength=1, maxLength=127), "path": text("^[^/].*$|^$"), "volume": volume,
                "hub": text("^hf:[^/\\s]+/[^/@\\s]+(@\\S+)?$")},
               ["name"], dependentSchemas={"hub": {"properties": {"volume": False, "path": False}}})


def worker(defaults: bool) -> Schema:
    properties = {
        **placement(), "device": {"enum": ["cpu", "cuda"]}, "image": text(), "replicas": whole(0),
        "config": ref("workerConfig"), "terminationGracePeriodSeconds": whole(15, 3600), "scratchSize": text(_QUANTITY),
        "preStopSeconds": {"anyOf": [whole(0, 300), {"type": "null"}]}, "runtimeClassName": text(),
        "autoscaling": obj({
            "minReplicas": whole(0), "startAtMinimum": BOOLEAN, "maxReplicas": whole(1), "shardsPerWorker": whole(1), "pollingSeconds": whole(1),
            "cooldownSeconds": whole(0), "scaleDownSeconds": whole(0, 3600),
            "targetCPUUtilizationPercentage": whole(1)}),
    }
    return obj(properties) if defaults else obj({**properties, "model": ref("model")}, ["model"])


def called_autoscaling() -> Schema:
    """Of services that are called, and scale by CPU."""
    return obj({"enabled": BOOLEAN, "minReplicas": whole(1), "maxReplicas": whole(1),
                "targetCPUUtilizationPercentage": whole(1)})


def exposed_service() -> Schema:
    """A service that may be reached from outside the cluster; what belongs to a load balancer is none's but its."""
    return obj({
        "port": PORT, "annotations": STRINGS, "type": {"enum": ["ClusterIP", "LoadBalancer", "NodePort"]},
        "externalTrafficPolicy": {"enum": ["", "Cluster", "Local"]}, "loadBalancerClass": text(),
        "loadBalancerSourceRanges": listed(text(_BLOCK))},
        **{"if": {"properties": {"type": {"const": "LoadBalancer"}}},
           "else": {"properties": {"loadBalancerClass": {"maxLength": 0}, "loadBalancerSourceRanges": {"maxItems": 0}}}})


def egress() -> Schema:
    """Whom pods call at which ports, by target."""
    target = obj({"ports": listed(PORT), "to": listed(KUBERNETES)})
    names = obj({"ports": listed(PORT, minItems=1), "to": listed(KUBERNETES)})
    return obj({"dns": names, **{name: target for name in ("s3", "queue", "index", "otlp", "hub")}, "extra": listed(KUBERNETES)})


def schema() -> Schema:
    service = obj({"port": PORT, "annotations": STRINGS})
    coordinator = obj({**placement(), "replicas": whole(0), "config": ref("coordinatorConfig"), "service": service,
                       "terminationGracePeriodSeconds": whole(15, 3600)})
    gateway = obj({
        **placement(), "enabled": BOOLEAN, "replicas": whole(1), "config": ref("gatewayConfig"), "service": exposed_service(),
        "model": {"anyOf": [ref("model"), {"type": "object", "maxProperties": 0}]},
        "autoscaling": called_autoscaling(),
        "terminationGracePeriodSeconds": whole(15, 3600), "preStopSeconds": whole(1, 300)})
    encoder = obj({
        **placement(), "enabled": BOOLEAN, "replicas": whole(1), "config": ref("encoderConfig"), "service": service,
        "model": {"anyOf": [ref("model"), {"type": "object", "maxProperties": 0}]}, "device": {"enum": ["cpu", "cuda"]},
        "image": text(), "runtimeClassName": text(), "autoscaling": called_autoscaling(),
        "terminationGracePeriodSeconds": whole(15, 3600), "preStopSeconds": whole(1, 300)})
    switch = {"enabled": BOOLEAN, "labels": LABELS}
    properties = {
        "global": {"type": "object"}, "nameOverride": text(), "fullnameOverride": text(), "commonLabels": LABELS,
        "podLabels": LABELS, "deploymentAnnotations": STRINGS,
        "image": obj({"registry": text(), "tag": text(), "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
                      "pullSecrets": listed(text(minLength=1)),
                      "names": obj({name: text(minLength=1) for name in
                                    ("coordinator", "gateway", "worker", "workerCuda", "cli")})}),
        "state": obj({"url": text("^s3://[^/\\s]+(/.*)?$")}, ["url"]),
        "s3": obj({"endpoint": plain_url("https?"), "region": text(), "pathStyle": BOOLEAN,
                   "existingSecret": obj({"name": SECRET_NAME, **{f"{part}Key": SECRET_KEY for part in
                                          ("accessKeyId", "secretAccessKey", "sessionToken")}})}),
        "queue": obj({**address("amqps?"), "management": management()}, anyOf=needs_address()),
        "index": obj(address("milvus|milvus\\+tls"), anyOf=needs_address()),
        "tls": obj({"existingSecret": SECRET_NAME, "ca": BOOLEAN}),
        "caBundle": obj({"configMap": SECRET_NAME, "secret": SECRET_NAME, "key": SECRET_KEY}),
        "telemetry": obj({"log": text(), "logFormat": {"enum": ["json", "text"]}, "otlpEndpoint": plain_url("https?"), "otlpLogs": BOOLEAN, "otlpMetrics": BOOLEAN,
                          "otlpHeaders": obj({"existingSecret": secret_key()}), "resourceAttributes": {**STRINGS, "propertyNames": {"pattern": "^[-._/a-zA-Z0-9]+$"}},
                          "traceRatio": {"type": "number", "minimum": 0, "maximum": 1}}),
        "serviceAccount": account(),
        "client": obj(silent()),
        "nodeSelector": STRINGS, "dnsConfig": KUBERNETES,
        "podSecurity": obj({"runAsUser": {"anyOf": [whole(1), {"type": "null"}]},
                            "fsGroup": {"anyOf": [whole(1), {"type": "null"}]}}),
        "coordinator": coordinator, "gateway": gateway, "encoder": encoder,
        "imports": obj({"pool": text()}), "scaling": {"enum": ["auto", "keda", "hpa", "none"]},
        "workers": {"type": "object", "propertyNames": {"pattern": _NAME, "maxLength": 20},
                    "additionalProperties": worker(False)},
        "workerDefaults": worker(True),
        "runs": {"type": "object", "propertyNames": {"pattern": _NAME, "maxLength": 15}, "additionalProperties": obj({
            "spec": published_spec(), "schedule": text("^[^\\s]+( [^\\s]+){4}$|^@[a-z]+$"), "timeZone": text(),
            "suspend": BOOLEAN, "ttlSecondsAfterFinished": whole(0), "activeDeadlineSeconds": whole(0),
            "backoffLimit": whole(0), "nodeSelector": STRINGS, "tolerations": listed(KUBERNETES)}, ["spec"])},
        "modelCache": obj({"create": BOOLEAN, "size": text(_QUANTITY), "storageClassName": text(),
                           "accessModes": listed({"enum": ["ReadWriteOnce", "ReadWriteMany"]}, minItems=1)}),
        "expose": obj({
            "ingress": obj({"enabled": BOOLEAN, "className": text(), "annotations": STRINGS, "gatewayHost": text(),
                            "coordinatorHost": text(), "tlsSecret": SECRET_NAME, "tlsElsewhere": BOOLEAN}),
            "gatewayApi": obj({"enabled": BOOLEAN, "parentRefs": listed(KUBERNETES), "hostnames": listed(text()),
                               "coordinator": BOOLEAN,
                               "backendTLS": obj({"create": BOOLEAN, "caConfigMap": SECRET_NAME, "hostname": text()})},
                              **{"if": {"properties": {"enabled": {"const": True}}},
                                 "then": {"properties": {"parentRefs": {"minItems": 1}}}})}),
        "networkPolicy": obj({"enabled": BOOLEAN, "clients": listed(KUBERNETES), "scrapers": listed(KUBERNETES),
                              "egress": egress(), "credentialEndpoints": listed(text(_BLOCK))}),
        "monitoring": obj({
            "serviceMonitor": obj({**switch, "interval": text("^[0-9]+(ms|s|m)$")}),
            "prometheusRule": obj({**switch, "runbookBase": text(), "rabbitmqMetrics": BOOLEAN, "vhost": text("^[^\"\\\\\\s]*$")}),
            "dashboards": obj({**switch, "annotations": STRINGS})}),
        "tests": obj({"enabled": BOOLEAN}),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Values of the chart sightline",
        **obj(properties, ["state", "queue", "index"]),
        "$defs": {"model": model(),
                  "quantities": {"type": "object", "additionalProperties": {"anyOf": [text(_QUANTITY), whole(0)]}},
                  **{f"{name}Config": config(name) for name in [*keys.SERVICES, *keys.SUBCOMMANDS]}},
    }


def published_spec() -> Schema:
    """A run's specification, as the schema of run files has it."""
    published = json.loads((keys.REPO / "docs/run.schema.json").read_text())
    return published["properties"]["spec"]


def needs_address() -> List[Schema]:
    """An address, or a secret with it."""
    return [{"properties": {"url": {"minLength": 1}}},
            {"properties": {"existingSecret": {"properties": {"name": {"minLength": 1}}}}}]


if __name__ == "__main__":
    sys.exit(drift.main(keys.REPO / "helm/sightline/values.schema.json",
                        json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"))
