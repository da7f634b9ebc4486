"""What holds for every pod of the chart, whatever the values are."""

import unittest

import binaries
import render


class Pods(unittest.TestCase):
    def each(self):
        """Every container of every values file, with its pod; the failure's message names it."""
        for name in render.names():
            for pod in render.pods(render.named(name)):
                for container in render.containers(pod):
                    self.where = f"{name}: {container['name']}"
                    yield name, pod, container

    def services(self):
        """The containers that run a service."""
        for _, pod, container in self.each():
            service = pod["metadata"]["labels"]["app.kubernetes.io/component"]
            if service in ("coordinator", "gateway", "worker", "encoder") and container["name"] == service:
                yield service, pod, container

    def _formatMessage(self, msg, standard):  # noqa: N802
        return super()._formatMessage(f"{getattr(self, 'where', '')} {msg or ''}", standard)

    def test_every_container_meets_the_restricted_pod_security_standard(self):
        for _, pod, container in self.each():
            security = container["securityContext"]
            self.assertFalse(security["allowPrivilegeEscalation"])
            self.assertTrue(security["readOnlyRootFilesystem"])
            self.assertTrue(security["runAsNonRoot"])
            self.assertEqual(security["capabilities"], {"drop": ["ALL"]})
            self.assertEqual(security["seccompProfile"], {"type": "RuntimeDefault"})
            for volume in pod["spec"]["volumes"]:
                self.assertTrue({"emptyDir", "secret", "persistentVolumeClaim", "image", "configMap", "downwardAPI", "csi"} & set(volume), volume)

    def test_every_pod_goes_to_a_node_that_its_images_are_for_unless_another_is_said(self):
        for _, pod, _ in self.each():
            self.assertEqual(pod["spec"]["nodeSelector"]["kubernetes.io/arch"], "amd64")
        for none in ({"nodeSelector": None}, {"nodeSelector": {"kubernetes.io/arch": None}}):
            for pod in render.pods(render.named("minimal", above=none)):
                self.assertNotIn("nodeSelector", pod["spec"])
        arm = {"coordinator": {"nodeSelector": {"kubernetes.io/arch": "arm64"}}}
        found = {pod["spec"]["nodeSelector"]["kubernetes.io/arch"] for pod in render.pods(render.named("minimal", above=arm))}
        self.assertEqual(found, {"amd64", "arm64"})

    def test_no_pod_may_call_the_api_server_nor_sees_variables_of_services(self):
        for _, pod, _ in self.each():
            self.assertFalse(pod["spec"]["automountServiceAccountToken"])
            self.assertFalse(pod["spec"]["enableServiceLinks"])

    def test_every_container_says_what_it_needs_and_has_a_limit_of_memory(self):
        for name, _, container in self.each():
            self.assertIn("cpu", container["resources"]["requests"])
            if name != "tiny":
                self.assertIn("memory", container["resources"]["limits"])

    def test_every_mount_has_its_volume(self):
        for _, pod, container in self.each():
            volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
            self.assertLessEqual({mount["name"] for mount in container["volumeMounts"]}, volumes)

    def test_no_variable_is_given_twice(self):
        for _, _, container in self.each():
            names = [entry["name"] for entry in container.get("env", [])]
            self.assertEqual(len(names), len(set(names)), names)

    def test_every_variable_of_ours_is_a_key_of_the_service_and_its_value_is_taken(self):
        checked = 0
        for service, _, container in self.services():
            self.assertEqual(binaries.unknown_variables(service, container), [])
            self.assertEqual(binaries.complaint(service, container), "")
            checked += 1
        self.assertGreater(checked, 20)

    def test_a_container_whose_variable_is_no_key_is_found(self):
        wrong = {"env": [{"name": "SIGHTLINE_QUEUE__UR", "value": "x"}]}
        self.assertEqual(binaries.unknown_variables("worker", wrong), ["SIGHTLINE_QUEUE__UR"])
        self.assertIn("SIGHTLINE_QUEUE__UR", binaries.complaint("worker", wrong))

    def threads(self, above, component="worker", name="minimal"):
        """What the chart says of threads to the containers of a component, with these values."""
        found = [container for pod in render.pods(render.named(name, above=above)) for container in render.containers(pod)
                 if container["name"] == component]
        return [{variable.removeprefix("SIGHTLINE_"): value for variable, value in binaries.environment(container).items()
                 if variable.endswith("THREADS")} for container in found]

    def test_what_computes_on_processors_has_as_many_threads_as_its_pod_is_promised_cores_or_may_have(self):
        def pool(**said):
            return self.threads({"workers": {"demo": said}})[0]
        self.assertEqual(pool(), {"MODEL__THREADS": "2", "PIPELINE__DECODE_THREADS": "2"})
        for cpu, cores in (("2500m", "3"), ("100m", "1"), (8, "8")):
            both = {"MODEL__THREADS": cores, "PIPELINE__DECODE_THREADS": cores}
            self.assertEqual(pool(resources={"requests": {"cpu": cpu}}), both)
            self.assertEqual(pool(resources={"limits": {"cpu": cpu}}), both)
        said = {"name": "SIGHTLINE_MODEL__THREADS", "value": "6"}
        for given in ({"config": {"model": {"threads": 6}}}, {"extraEnv": [said]}):
            self.assertEqual(pool(**given), {"MODEL__THREADS": "6", "PIPELINE__DECODE_THREADS": "2"})
        self.assertEqual(pool(config={"model": {"threads": 0}})["MODEL__THREADS"], "0")
        self.assertEqual(pool(device="cuda", resources={"limits": {"cpu": 8, "nvidia.com/gpu": 1}}), {})
        self.assertIn({"MODEL__THREADS": "1"}, self.threads({"encoder": {"device": "cpu"}}, "encoder", "all-in"))

    def test_what_is_under_way_has_less_time_than_the_grace_period(self):
        for _, pod, container in self.services():
            drain = int(binaries.environment(container)["SIGHTLINE_SHUTDOWN__DRAIN_SECONDS"])
            hook = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            self.assertGreaterEqual(pod["spec"]["terminationGracePeriodSeconds"], drain + hook + 5)
            self.assertGreaterEqual(drain, 5)

    def test_who_is_called_goes_on_until_callers_know_and_who_is_not_drains_at_once(self):
        for service, _, container in self.services():
            called = service != "worker" or binaries.environment(container).get("SIGHTLINE_EMBEDDING__ENABLED") == "true"
            self.assertEqual("lifecycle" in container, called)

    def test_no_node_is_kept_up_for_what_a_pod_has_on_its_disk(self):
        for name in render.names():
            for pod in render.pods([one for one in render.named(name) if one["kind"] != "Pod"]):
                free = pod["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"].split(",")
                local = {volume["name"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume}
                self.assertLessEqual(local, set(free), name)

    def test_clients_which_as_process_1_do_not_end_at_sigterm_hold_no_node_up(self):
        held = {container["name"]: pod["spec"].get("terminationGracePeriodSeconds", 30) for _, pod, container in self.each()
                if "sightline-cli" in container["image"]}
        self.assertEqual(held, {"run": 2, "coordinator": 2, "gateway": 2})

    def test_a_rollout_that_has_to_pull_a_large_image_or_a_model_is_not_called_failed(self):
        for name in render.names():
            for deployment in render.of_kind(render.named(name), "Deployment"):
                component = deployment["metadata"]["labels"]["app.kubernetes.io/component"]
                if component != "coordinator":
                    self.assertGreaterEqual(deployment["spec"]["progressDeadlineSeconds"], 3600, name)

    def test_ports_and_probes_are_where_the_service_listens(self):
        for _, _, container in self.services():
            values = binaries.environment(container)
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            self.assertTrue(values["SIGHTLINE_LISTEN__ADDRESS"].endswith(f":{ports['grpc']}"))
            self.assertTrue(values["SIGHTLINE_OBSERVABILITY__ADDRESS"].endswith(f":{ports['observe']}"))
            for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz"), ("startupProbe", "/livez")):
                self.assertEqual(container[probe]["httpGet"], {"path": path, "port": "observe"})

    def test_no_secret_lies_in_a_manifest(self):
        for name in render.names():
            self.assertNotIn("Secret", {manifest["kind"] for manifest in render.named(name)})


if __name__ == "__main__":
    unittest.main()
