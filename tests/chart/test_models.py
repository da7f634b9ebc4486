"""Where pods find their models."""

import unittest

import yaml

import render
from render import by_name


class Volumes(unittest.TestCase):
    def test_a_model_is_downloaded_before_the_worker_starts(self):
        worker = by_name(render.named("external"), "Deployment")["demo-sightline-worker-dinov2"]
        pod = worker["spec"]["template"]["spec"]
        self.assertEqual(pod["initContainers"][0]["volumeMounts"][0], {"name": "model", "mountPath": "/models"})
        self.assertIn({"name": "model", "emptyDir": {"sizeLimit": "2Gi"}}, pod["volumes"])

    def test_a_model_without_a_volume_lies_in_the_charts_own_claim(self):
        manifests = render.named("keda-off")
        self.assertEqual(list(by_name(manifests, "PersistentVolumeClaim")), ["demo-sightline-models"])
        pod = by_name(manifests, "Deployment")["demo-sightline-worker-clip"]["spec"]["template"]["spec"]
        self.assertIn({"name": "model", "persistentVolumeClaim": {"claimName": "demo-sightline-models", "readOnly": True}},
                      pod["volumes"])

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
        self.assertEqual(list(pools), ["clip"])
        self.assertIn("demo-sightline-worker-clip", by_name(render.named("minimal", above={"workers": pools}), "Deployment"))


if __name__ == "__main__":
    unittest.main()
