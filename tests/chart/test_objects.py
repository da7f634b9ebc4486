"""What the chart makes of particular values."""

import re
import unittest

import yaml

import binaries
import render
from render import by_name

X86 = {"kubernetes.io/arch": "amd64"}


class Workers(unittest.TestCase):
    def test_a_pool_takes_the_defaults_that_it_does_not_override(self):
        pools = by_name(render.named("gpu-spot"), "Deployment")
        pod = pools["demo-sightline-worker-t4"]["spec"]["template"]["spec"]
        self.assertEqual(pod["nodeSelector"], {"node.kubernetes.io/instance-type": "g4dn.xlarge", **X86})
        self.assertEqual(len(pod["tolerations"]), 2)
        values = binaries.environment(pod["containers"][0])
        self.assertEqual(values["SIGHTLINE_PREFETCH"], "1")
        self.assertEqual(values["SIGHTLINE_SHUTDOWN__DRAIN_SECONDS"], "15")
        self.assertEqual(pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"], 1)

    def test_of_a_large_pool_a_quarter_is_replaced_at_a_time_and_no_device_is_asked_for_twice(self):
        for item in by_name(render.named("gpu-spot"), "Deployment").values():
            if item["metadata"]["labels"]["app.kubernetes.io/component"] == "worker":
                self.assertEqual(item["spec"]["strategy"]["rollingUpdate"], {"maxUnavailable": "25%", "maxSurge": 0})

    def test_a_release_may_have_no_pool_where_the_values_below_have_some(self):
        manifests = render.named("all-in", above={"workers": None, "runs": None})
        self.assertEqual(sorted(by_name(manifests, "Deployment")), [f"demo-sightline-{name}" for name in ("coordinator", "encoder", "gateway")])
        for kind in ("ScaledObject", "TriggerAuthentication", "Job", "CronJob"):
            self.assertEqual(by_name(manifests, kind), {})
        self.assertEqual(len(by_name(manifests, "PrometheusRule")), 1)

    def test_the_device_decides_the_image(self):
        pools = by_name(render.named("all-in"), "Deployment")
        image = {name: item["spec"]["template"]["spec"]["containers"][0]["image"] for name, item in pools.items()}
        self.assertEqual(image["demo-sightline-worker-clip"], "registry.example.com/ml/sightline-worker:0.1.0")
        self.assertEqual(image["demo-sightline-worker-clip-gpu"], "registry.example.com/ml/sightline-worker-cuda:0.1.0")

    def test_pods_that_compute_on_devices_ask_for_one_or_say_that_they_get_it_otherwise(self):
        volume = {"persistentVolumeClaim": {"claimName": "models"}}

        def made(limits, pool="cpu", encoder="cpu"):
            of = {"device": pool, "resources": {"limits": limits}}
            encoders = {"enabled": True, "model": {"name": "m", "volume": volume}, "device": encoder, "resources": {"limits": limits}}
            return by_name(render.named("minimal", above={"workers": {"demo": of}, "encoder": encoders}), "Deployment")
        for what, above in (("workers.demo", {"pool": "cuda"}), ("encoder", {"encoder": "cuda"})):
            for limits in ({}, {"memory": "4Gi"}):
                with self.assertRaisesRegex(render.Refused, f"{what}.resources.limits"):
                    made(limits, **above)
            for count in (0, 1):
                self.assertEqual(len(made({"nvidia.com/gpu": count}, **above)), 4)
        self.assertEqual(len(made({"memory": "4Gi"})), 4)

    def test_a_digest_counts_in_place_of_the_tag(self):
        image = by_name(render.named("air-gapped"), "Deployment")["demo-sightline-coordinator"]
        self.assertTrue(image["spec"]["template"]["spec"]["containers"][0]["image"].endswith("@sha256:" + "0123456789" * 6 + "0123"))

    def test_whole_numbers_are_written_out_and_lists_joined(self):
        worker = by_name(render.named("all-in"), "Deployment")["demo-sightline-worker-clip"]
        values = binaries.environment(worker["spec"]["template"]["spec"]["containers"][0])
        self.assertEqual(values["SIGHTLINE_PIPELINE__MAX_OBJECT_BYTES"], "536870912")
        self.assertEqual(values["SIGHTLINE_MODEL__TRUSTED_TORCHSCRIPT"], "aa,bb")
        self.assertEqual(values["SIGHTLINE_TELEMETRY__TRACE_RATIO"], "1")

    def test_collectors_are_told_of_the_pod_and_of_what_the_values_say_and_get_their_headers_from_a_secret(self):
        for name, deployment in by_name(render.named("all-in"), "Deployment").items():
            env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
            found = {entry["name"]: entry for entry in env}
            attributes = found["OTEL_RESOURCE_ATTRIBUTES"]["value"].split(",")
            self.assertEqual(attributes, ["k8s.namespace.name=search", "k8s.pod.name=$(K8S_POD_NAME)", "k8s.pod.uid=$(K8S_POD_UID)",
                                          "k8s.node.name=$(K8S_NODE_NAME)", "deployment.environment.name=made%20up%2C%20100%20%25"], name)
            # Kubernetes puts in what stands before.
            names = [entry["name"] for entry in env]
            for variable in re.findall(r"\$\((\w+)\)", ",".join(attributes)):
                self.assertLess(names.index(variable), names.index("OTEL_RESOURCE_ATTRIBUTES"))
            self.assertEqual(found["SIGHTLINE_TELEMETRY__OTLP_HEADERS"]["valueFrom"], {"secretKeyRef": {"name": "collector", "key": "headers"}})

    def test_without_a_collector_there_is_nothing_to_tell_it(self):
        container = by_name(render.named("minimal"), "Deployment")["demo-sightline-coordinator"]["spec"]["template"]["spec"]["containers"][0]
        self.assertNotIn("OTEL_RESOURCE_ATTRIBUTES", binaries.environment(container))
        with self.assertRaisesRegex(render.Refused, "needs telemetry.otlpEndpoint"):
            render.named("minimal", above={"telemetry": {"otlpHeaders": {"existingSecret": {"name": "collector"}}}})

    def test_a_worker_goes_on_before_it_drains_as_long_as_is_said(self):
        def stopped(name, pool, above=None):
            worker = by_name(render.named(name, above=above), "Deployment")[f"demo-sightline-worker-{pool}"]
            container = worker["spec"]["template"]["spec"]["containers"][0]
            hook = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds")
            return hook, binaries.environment(container)["SIGHTLINE_SHUTDOWN__DRAIN_SECONDS"]
        self.assertEqual(stopped("all-in", "clip"), (None, "170"))
        # It encodes for gateways.
        self.assertEqual(stopped("all-in", "clip-gpu"), (5, "165"))
        self.assertEqual(stopped("all-in", "clip-gpu", {"workerDefaults": {"preStopSeconds": 0}}), (None, "170"))
        self.assertEqual(stopped("all-in", "clip", {"workers": {"clip": {"preStopSeconds": 20}}}), (20, "150"))

    def test_a_block_within_a_block_is_written_out(self):
        worker = by_name(render.named("all-in"), "Deployment")["demo-sightline-worker-clip-gpu"]
        values = binaries.environment(worker["spec"]["template"]["spec"]["containers"][0])
        self.assertEqual(values["SIGHTLINE_EMBEDDING__BATCHING__MAX_WAIT_MS"], "5")


class Encoders(unittest.TestCase):
    def test_gateways_ask_the_encoders_service_and_load_no_model(self):
        manifests = render.named("all-in")
        gateway = by_name(manifests, "Deployment")["demo-sightline-gateway"]["spec"]["template"]["spec"]
        values = binaries.environment(gateway["containers"][0])
        scheme, name, port = re.match(r"(https?)://([a-z-]+)\.search\.svc:(\d+)$", values["SIGHTLINE_ENCODER__URL"]).groups()
        self.assertEqual(scheme, "https")
        self.assertEqual(values["SIGHTLINE_ENCODER__CA_CERT"], "/etc/sightline/tls/ca.crt")
        self.assertEqual(values["SIGHTLINE_ENCODER__TIMEOUT_MS"], "2000")
        self.assertNotIn("SIGHTLINE_MODEL__FOLDER", values)
        self.assertNotIn("model", {volume["name"] for volume in gateway["volumes"]})
        service = by_name(manifests, "Service")[name]["spec"]
        self.assertIn(int(port), [entry["port"] for entry in service["ports"]])

    def test_an_encoder_is_a_worker_that_takes_no_shards_and_knows_no_broker_nor_index(self):
        pod = by_name(render.named("all-in"), "Deployment")["demo-sightline-encoder"]["spec"]["template"]["spec"]
        container = pod["containers"][0]
        self.assertEqual(container["args"], ["encoder"])
        self.assertEqual(container["image"], "registry.example.com/ml/sightline-worker-cuda:0.1.0")
        values = binaries.environment(container)
        self.assertEqual(values["SIGHTLINE_MODEL__DEVICE"], "cuda")
        for absent in ("SIGHTLINE_QUEUE__URL", "SIGHTLINE_INDEX__URL", "SIGHTLINE_STATE__URL"):
            self.assertNotIn(absent, values)

    def test_gateways_may_reach_encoders_and_only_the_release_may(self):
        policies = by_name(render.named("all-in"), "NetworkPolicy")
        self.assertIn(7304, [port["port"] for rule in policies["demo-sightline-gateway"]["spec"]["egress"]
                             for port in rule["ports"]])
        self.assertEqual(policies["demo-sightline-encoder"]["spec"]["ingress"][0]["from"], [{"podSelector": {}}])

    def test_without_encoders_there_is_nothing_of_them(self):
        manifests = render.named("minimal")
        self.assertNotIn("demo-sightline-encoder", by_name(manifests, "Deployment"))
        gateway = by_name(manifests, "Deployment")["demo-sightline-gateway"]["spec"]["template"]["spec"]
        self.assertNotIn("SIGHTLINE_ENCODER__URL", binaries.environment(gateway["containers"][0]))


class Credentials(unittest.TestCase):
    def keys(self, above=None):
        """What variables of S3 are read from, by component."""
        found = {}
        for pod in render.pods(render.named("tiny", above=above)):
            variables = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in pod["spec"]["containers"][0]["env"]
                         if entry["name"].startswith("AWS_")}
            found[pod["metadata"]["labels"]["app.kubernetes.io/component"]] = variables
        return found

    def test_credentials_of_s3_come_from_the_keys_of_their_secret(self):
        self.assertEqual(set(self.keys()), {"coordinator", "gateway", "worker"})
        for variables in self.keys().values():
            self.assertEqual(variables, {
                "AWS_ACCESS_KEY_ID": {"name": "minio", "key": "AWS_ACCESS_KEY_ID"},
                "AWS_SECRET_ACCESS_KEY": {"name": "minio", "key": "AWS_SECRET_ACCESS_KEY"},
                "AWS_SESSION_TOKEN": {"name": "minio", "key": "AWS_SESSION_TOKEN", "optional": True}})

    def test_the_keys_may_be_others(self):
        named = {"accessKeyIdKey": "rootUser", "secretAccessKeyKey": "rootPassword", "sessionTokenKey": "token"}
        for variables in self.keys({"s3": {"existingSecret": named}}).values():
            self.assertEqual([source["key"] for source in variables.values()], ["rootUser", "rootPassword", "token"])


class Around(unittest.TestCase):
    def test_labels_of_the_values_stand_once_beside_those_for_one_kind_which_count_before_them(self):
        mine = {"team": "search", "grafana_dashboard": "1"}
        above = {"commonLabels": {**mine, "grafana_dashboard": "0"},
                 "monitoring": {name: {"labels": mine} for name in ("serviceMonitor", "prometheusRule", "dashboards")}}
        manifests = render.named("all-in", above=above)
        for kind in ("ServiceMonitor", "PrometheusRule"):
            for item in render.of_kind(manifests, kind):
                self.assertLessEqual(mine.items(), item["metadata"]["labels"].items())
        self.assertEqual(by_name(manifests, "Service")["demo-sightline-gateway"]["metadata"]["labels"]["grafana_dashboard"], "0")

    def test_a_key_that_stands_twice_is_found(self):
        # YAML takes the last one, and nothing would tell.
        with self.assertRaisesRegex(yaml.YAMLError, "twice"):
            render.load("metadata: {labels: {a: b, a: c}}")

    def test_coordinators_are_replaced_one_by_one_and_none_is_missing_meanwhile(self):
        strategy = by_name(render.named("minimal"), "Deployment")["demo-sightline-coordinator"]["spec"]
        self.assertEqual(strategy["replicas"], 2)
        self.assertEqual(strategy["strategy"]["rollingUpdate"], {"maxUnavailable": 0, "maxSurge": 1})

    def test_coordinators_may_be_stopped_as_long_as_the_broker_is_replaced(self):
        none = {"coordinator": {"replicas": 0}}
        self.assertEqual(by_name(render.named("minimal", above=none), "Deployment")["demo-sightline-coordinator"]["spec"]["replicas"], 0)
        self.assertIn("There is no coordinator", render.notes("minimal", none))
        self.assertNotIn("There is no coordinator", render.notes("minimal"))

    def test_every_deployment_has_the_annotations_of_the_values_and_its_pods_have_not(self):
        found = render.of_kind(render.named("all-in"), "Deployment")
        self.assertEqual(len(found), 5)
        note = by_name(render.named("all-in"), "Deployment")["demo-sightline-coordinator"]["spec"]["template"]["metadata"]
        self.assertEqual(note["annotations"]["example.com/note"], "coordinator")
        for item in found:
            self.assertEqual(item["metadata"]["annotations"], {"reloader.stakater.com/auto": "true"})
            self.assertNotIn("reloader.stakater.com/auto", item["spec"]["template"]["metadata"].get("annotations", {}))

    def test_every_pod_has_the_labels_of_the_values_and_those_of_its_component_before_them(self):
        own = {"one": "component"}
        above = {"commonLabels": {"one": "objects"}, "podLabels": {"all": "pods", "one": "all"}, "workers": {"clip": {"podLabels": own}}, "client": {"podLabels": own}}
        plain = {pod["metadata"]["labels"].get("sightline.dev/pool", index): pod["metadata"]["labels"]
                 for index, pod in enumerate(render.pods(render.named("all-in")))}
        for index, pod in enumerate(render.pods(render.named("all-in", above=above))):
            labels = pod["metadata"]["labels"]
            before = plain[labels.get("sightline.dev/pool", index)]
            some = before["app.kubernetes.io/component"] in ("run", "test") or before.get("sightline.dev/pool") == "clip"
            self.assertEqual(labels, {**before, "all": "pods", "one": "component" if some else "all"})

    def test_a_component_sees_the_volumes_that_it_is_given_beside_the_charts_own(self):
        volume, mount = {"name": "more", "emptyDir": {}}, {"name": "more", "mountPath": "/more"}
        given = {"extraVolumes": [volume], "extraVolumeMounts": [mount]}
        for place in ("coordinator", "gateway", "encoder", "workerDefaults"):
            component = place.removesuffix("Defaults")
            for pod in render.pods(render.named("all-in", above={"coordinator": {"extraVolumes": [], "extraVolumeMounts": []}, place: given})):
                seen = pod["metadata"]["labels"]["app.kubernetes.io/component"] == component
                self.assertEqual((volume in pod["spec"]["volumes"], mount in pod["spec"]["containers"][0]["volumeMounts"]), (seen, seen))

    def test_names_are_asked_for_as_all_pods_or_a_component_are_told(self):
        own = {"nameservers": ["10.0.0.10"]}
        for pod in render.pods(render.named("all-in", above={"gateway": {"dnsConfig": own}})):
            gateway = pod["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway"
            self.assertEqual(pod["spec"]["dnsConfig"], own if gateway else {"options": [{"name": "ndots", "value": "1"}]})

    def test_every_selector_matches_its_own_pods_and_no_others(self):
        manifests = render.named("all-in")
        labels = {item["metadata"]["name"]: item["spec"]["template"]["metadata"]["labels"]
                  for item in render.of_kind(manifests, "Deployment")}
        for kind in ("Deployment", "Service", "PodDisruptionBudget"):
            for name, item in by_name(manifests, kind).items():
                selector = item["spec"]["selector"]
                selector = selector.get("matchLabels", selector)
                matched = [pod for pod, has in labels.items() if selector.items() <= has.items()]
                self.assertEqual(matched, [name.removesuffix("-observe")], kind)

    def test_routes_name_services_and_ports_that_exist(self):
        manifests = render.named("all-in")
        services = by_name(manifests, "Service")
        route = render.of_kind(manifests, "GRPCRoute")[0]
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                self.assertIn(backend["port"], [port["port"] for port in services[backend["name"]]["spec"]["ports"]])
        for rule in render.of_kind(manifests, "Ingress")[0]["spec"]["rules"]:
            self.assertIn(rule["http"]["paths"][0]["backend"]["service"]["name"], services)

    def test_routes_name_the_grpc_services_of_the_api(self):
        declared = set()
        for file in (render.REPO / "proto/sightline/v1").glob("*.proto"):
            declared |= {f"sightline.v1.{name}" for name in re.findall(r"^service (\w+) ", file.read_text(), re.M)}
        route = render.of_kind(render.named("all-in"), "GRPCRoute")[0]
        named = {match["method"]["service"] for rule in route["spec"]["rules"] for match in rule["matches"]}
        self.assertLess(named, declared)
        self.assertEqual(declared - named, {"sightline.v1.Worker"})

    def test_the_test_pod_stays_until_the_next_so_that_helm_can_print_its_logs(self):
        pod = render.of_kind(render.named("minimal"), "Pod")[0]
        self.assertEqual(pod["metadata"]["annotations"]["helm.sh/hook-delete-policy"], "before-hook-creation")

    def test_the_test_pod_asks_both_services_by_the_names_that_they_have(self):
        manifests = render.named("all-in")
        pod = render.of_kind(manifests, "Pod")[0]
        services = by_name(manifests, "Service")
        for container in pod["spec"]["containers"]:
            values = binaries.environment(container)
            for variable in ("SIGHTLINE_COORDINATOR", "SIGHTLINE_GATEWAY"):
                scheme, name = re.match(r"(https?)://([a-z-]+)\.search\.svc:\d+$", values[variable]).groups()
                self.assertIn(name, services)
                self.assertEqual(scheme, "https")


if __name__ == "__main__":
    unittest.main()
