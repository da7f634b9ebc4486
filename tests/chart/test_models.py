"""Where pods find their models."""

import unittest

import yaml

import binaries
import render
from render import by_name


class Volumes(unittest.TestCase):
    def test_a_model_is_downloaded_before_the_worker_starts(self):
        worker = by_name(render.named("external"), "Deployment")["demo-sightline-worker-dinov2"]
        pod = worker["spec"]["template"]["spec"]
        self.assertEqual(pod["initContainers"][0]["volumeMounts"][0], {"name": "model", "mountPath": "/models"})
        self.assertIn({"name": "model", "emptyDir": {"sizeLimit": "2Gi"}}, pod["volumes"])

    def test_an_image_volume_is_refused_where_kubernetes_has_none(self):
        with self.assertRaisesRegex(render.Refused, "needs Kubernetes 1.31"):
            render.named("air-gapped", "1.30.0")

    def test_a_folder_of_a_claim_is_all_that_a_pod_sees_of_it(self):
        pools = by_name(render.named("gpu-spot"), "Deployment")
        mounts = {name: next(mount for mount in item["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
                             if mount["name"] == "model") for name, item in pools.items() if "worker" in name}
        whole = {"name": "model", "mountPath": "/models", "readOnly": True}
        self.assertEqual(mounts, {"demo-sightline-worker-t4": whole, "demo-sightline-worker-a10": {**whole, "subPath": "dinov2"}})

    def test_the_example_in_the_values_is_taken(self):
        text = (render.CHART / "values.yaml").read_text()
        lines = text[text.index("\nworkers: {}\n"):].splitlines()[2:]
        example = []
        for line in lines:
            if not line.startswith("#"):
                break
            example.append(line[1:])
        pools = yaml.safe_load("\n".join(example))
        self.assertEqual(list(pools), ["clip", "siglip"])
        self.assertIn("demo-sightline-worker-clip", by_name(render.named("minimal", above={"workers": pools}), "Deployment"))


class Hub(unittest.TestCase):
    """A model of the hub: whoever needs it pulls it."""

    def served(self, manifests, name):
        pod = by_name(manifests, "Deployment")[name]["spec"]["template"]["spec"]
        container = pod["containers"][0]
        mount = next(mount for mount in container["volumeMounts"] if mount["name"] == "model")
        volume = next(volume for volume in pod["volumes"] if volume["name"] == "model")
        return binaries.environment(container), mount, volume

    def test_every_service_with_a_model_pulls_it_into_the_charts_own_claim(self):
        manifests = render.named("keda-off")
        claim = by_name(manifests, "PersistentVolumeClaim")["demo-sightline-models"]["spec"]
        self.assertEqual(claim["accessModes"], ["ReadWriteMany"])
        for name in ("demo-sightline-worker-clip", "demo-sightline-gateway"):
            values, mount, volume = self.served(manifests, name)
            self.assertEqual(values["SIGHTLINE_MODEL__FOLDER"], "hf:openai/clip-vit-base-patch32")
            self.assertEqual(values["SIGHTLINE_MODEL__NAME"], "clip")
            # The service has to be able to write where it is told to.
            self.assertEqual(values["SIGHTLINE_HUB__CACHE"], mount["mountPath"])
            self.assertFalse(mount.get("readOnly"))
            self.assertEqual(volume, {"name": "model", "persistentVolumeClaim": {"claimName": "demo-sightline-models"}})

    def test_without_the_claim_each_pod_pulls_its_own(self):
        manifests = render.named("keda-off", above={"modelCache": {"create": False}})
        self.assertEqual(by_name(manifests, "PersistentVolumeClaim"), {})
        _, mount, volume = self.served(manifests, "demo-sightline-worker-clip")
        self.assertFalse(mount.get("readOnly"))
        self.assertEqual(volume, {"name": "model", "emptyDir": {"sizeLimit": "5Gi"}})

    def test_the_charts_claim_holds_nothing_that_nobody_fills_it_with(self):
        for name in render.names():
            for pod in render.pods(render.named(name)):
                claims = [volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["spec"]["volumes"]]
                if "demo-sightline-models" in claims:
                    values = binaries.environment(pod["spec"]["containers"][0])
                    self.assertTrue(values["SIGHTLINE_MODEL__FOLDER"].startswith("hf:"), name)


if __name__ == "__main__":
    unittest.main()
