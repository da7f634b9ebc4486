"""What scales worker pools, and by what."""

import math
import re
import unittest

import yaml

import render
from render import by_name

# As sightline_core's own test has them: the chart computes the same names.
QUEUES = {
    "sightline-demo": "sightline.shards.sightline-demo.7f02a162",
    "google/siglip-so400m": "sightline.shards.google_siglip-so400m.8f3eb4df",
}


class Scaling(unittest.TestCase):
    def test_with_keda_every_pool_has_its_scaled_object_and_no_replicas_nor_hpa(self):
        manifests = render.named("all-in")
        objects = by_name(manifests, "ScaledObject")
        self.assertEqual(sorted(objects), ["demo-sightline-worker-clip", "demo-sightline-worker-clip-gpu"])
        deployments = by_name(manifests, "Deployment")
        for name, scaled in objects.items():
            self.assertEqual(scaled["spec"]["scaleTargetRef"]["name"], name)
            self.assertNotIn("replicas", deployments[name]["spec"])
        self.assertEqual(list(by_name(manifests, "HorizontalPodAutoscaler")), ["demo-sightline-encoder", "demo-sightline-gateway"])

    def test_keda_counts_waiting_held_and_delayed_shards_of_the_models_own_queue(self):
        scaled = by_name(render.named("all-in"), "ScaledObject")["demo-sightline-worker-clip-gpu"]
        trigger = scaled["spec"]["triggers"][0]
        metadata = trigger["metadata"]
        self.assertEqual((metadata["protocol"], metadata["mode"], metadata["operation"]), ("http", "QueueLength", "sum"))
        self.assertNotIn("excludeUnacknowledged", metadata)
        pattern = re.compile(metadata["queueName"])
        queue = QUEUES["google/siglip-so400m"]
        for counted in (queue, f"{queue}.delay.1000", f"{queue}.delay.60000"):
            self.assertTrue(pattern.search(counted), counted)
        for other in (f"{queue}.dead", f"x{queue}", QUEUES["sightline-demo"], queue.replace(".", "x")):
            self.assertFalse(pattern.search(other), other)
        self.assertEqual(trigger["authenticationRef"]["name"], "demo-sightline-queue")

    def test_one_pool_is_woken_for_imports_too(self):
        def queues(manifests):
            return {name: [trigger["metadata"]["queueName"] for trigger in scaled["spec"]["triggers"]]
                    for name, scaled in by_name(manifests, "ScaledObject").items()}
        named = queues(render.named("all-in"))
        self.assertEqual([len(of) for of in named.values()], [2, 1])
        pattern = re.compile(named["demo-sightline-worker-clip"][1])
        for counted in ("sightline.shards.any", "sightline.shards.any.delay.1000"):
            self.assertTrue(pattern.search(counted), counted)
        for other in ("sightline.shards.any.dead", "sightline.shards.anything", QUEUES["sightline-demo"]):
            self.assertFalse(pattern.search(other), other)
        # Unnamed, it is a pool that needs no device.
        unnamed = queues(render.named("all-in", arguments=["--set", "imports.pool="]))
        self.assertEqual(unnamed, named)
        devices = render.named("gpu-spot")
        self.assertEqual(sum(len(of) == 2 for of in queues(devices).values()), 1)

    def test_pools_sleep_at_zero_with_keda_and_never_without(self):
        self.assertEqual(render.of_kind(render.named("gpu-spot"), "ScaledObject")[0]["spec"]["minReplicaCount"], 0)
        hpa = by_name(render.named("keda-off"), "HorizontalPodAutoscaler")["demo-sightline-worker-clip"]
        self.assertEqual(hpa["spec"]["minReplicas"], 1)

    def test_an_hpa_is_told_no_longer_a_time_than_it_takes(self):
        above = {"workers": {"clip": {"autoscaling": {"cooldownSeconds": 7200}}}}
        hpa = by_name(render.named("keda-off", above=above), "HorizontalPodAutoscaler")["demo-sightline-worker-clip"]
        self.assertEqual(hpa["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 3600)

    def test_auto_takes_keda_where_the_cluster_knows_it_and_the_hpa_elsewhere(self):
        without = render.named("multi-tenant")
        self.assertEqual(render.of_kind(without, "ScaledObject"), [])
        self.assertIn("radiology-worker-biomed", by_name(without, "HorizontalPodAutoscaler"))
        having = render.named("multi-tenant", arguments=["--api-versions", "keda.sh/v1alpha1"])
        self.assertIn("radiology-worker-biomed", by_name(having, "ScaledObject"))

    def test_nothing_scales_where_none_is_said(self):
        manifests = render.named("tiny")
        self.assertEqual(render.of_kind(manifests, "ScaledObject"), [])
        self.assertEqual(render.of_kind(manifests, "HorizontalPodAutoscaler"), [])
        self.assertEqual({item["spec"]["replicas"] for item in render.of_kind(manifests, "Deployment")}, {1})


class Growing(unittest.TestCase):
    """A run keeps few shards outstanding, and KEDA sees no others: the pool has to grow with them."""

    def setUp(self):
        window = (render.REPO / "coordinator/src/window.rs").read_text()
        self.a_worker = int(re.search(r"const SHARDS_A_WORKER: u64 = (\d+);", window)[1])
        run = (render.REPO / "crates/core/src/run.rs").read_text()
        self.window = int(re.search(r"const DEFAULT_WINDOW_SHARDS: u32 = (\d+);", run)[1])

    def grown(self, shards_per_worker, most):
        """The workers at which a pool stops growing, with a run of any length."""
        workers = 0
        while True:
            outstanding = max(self.window, workers * self.a_worker)
            wanted = min(most, math.ceil(outstanding / shards_per_worker))
            if wanted <= workers:
                return workers
            workers = wanted

    def test_every_pool_reaches_its_most_workers_with_a_run_that_says_nothing_of_its_window(self):
        defaults = yaml.safe_load((render.CHART / "values.yaml").read_text())["workerDefaults"]["autoscaling"]
        self.assertEqual(self.grown(defaults["shardsPerWorker"], 1000), 1000)
        for name in render.names():
            for scaled in render.of_kind(render.named(name), "ScaledObject"):
                most = scaled["spec"]["maxReplicaCount"]
                for trigger in scaled["spec"]["triggers"]:
                    self.assertEqual(self.grown(int(trigger["metadata"]["value"]), most), most, scaled["metadata"]["name"])

    def test_as_many_shards_a_worker_as_the_coordinator_publishes_for_one_end_the_growth(self):
        self.assertLess(self.grown(self.a_worker, 1000), 1000)
        self.assertEqual(self.grown(self.a_worker - 1, 1000), 1000)

    def test_the_notes_warn_of_a_pool_that_stops_growing(self):
        def notes(shards):
            pools = {"demo": {"autoscaling": {"shardsPerWorker": shards}}}
            return render.notes("minimal", {"scaling": "keda", "queue": {"management": {"existingSecret": {"name": "rabbitmq"}}},
                                            "workers": pools})
        self.assertIn("shardsPerWorker 4", notes(self.a_worker))
        self.assertNotIn("shardsPerWorker", notes(self.a_worker - 1))

    def test_a_pool_whose_workers_take_more_into_their_hands_may_have_more_shards_a_worker(self):
        window = (render.REPO / "coordinator/src/window.rs").read_text()
        each = int(re.search(r"const SHARDS_FOR_ONE_IN_HAND: u64 = (\d+);", window)[1])

        def warned(shards, **more):
            pools = {"demo": {"autoscaling": {"shardsPerWorker": shards}, **more}}
            return "shardsPerWorker" in render.notes("minimal", {
                "scaling": "keda", "queue": {"management": {"existingSecret": {"name": "rabbitmq"}}}, "workers": pools})
        device = {"device": "cuda", "resources": {"limits": {"nvidia.com/gpu": 1}}}
        # As `prefetch_for` of worker/src/devices.rs has it for one device.
        self.assertFalse(warned(each * 9 - 1, **device))
        self.assertTrue(warned(each * 9, **device))
        self.assertFalse(warned(each * 5 - 1, config={"prefetch": 5}))
        self.assertTrue(warned(each * 5, config={"prefetch": 5}))
        self.assertTrue(warned(self.a_worker, **device, config={"prefetch": 1}))


if __name__ == "__main__":
    unittest.main()
