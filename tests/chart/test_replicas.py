"""How many workers helm says that a pool has which KEDA scales."""

import unittest

import render
from cluster import Cluster
from render import by_name

CLIP, CLIP_GPU = "demo-sightline-worker-clip", "demo-sightline-worker-clip-gpu"
SLEEPS, AWAKE = 0, 5


def live(replicas, *managers):
    """A pool's Deployment as a cluster has it; each manager is an operation and whether the number is its."""
    fields = [{"manager": "any", "operation": operation, "fieldsV1": {"f:spec": {"f:replicas": {}} if owns else {"f:template": {}}}}
              for operation, owns in managers]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": replicas},
            "metadata": {"name": CLIP, "namespace": render.NAMESPACE, "managedFields": fields}}


def said(manifests):
    """Numbers by pool; none where helm says none."""
    return {name: by_name(manifests, "Deployment")[name]["spec"].get("replicas") for name in (CLIP, CLIP_GPU)}


class Replicas(unittest.TestCase):
    def after(self, *deployments, above=None, **more):
        above = {"workerDefaults": {"autoscaling": {"startAtMinimum": True}}} if above is None else above
        with Cluster(list(deployments)) as cluster:
            return said(cluster.rendered("all-in", above=above, **more))

    def test_a_new_pool_begins_with_the_fewest_that_it_may_have(self):
        self.assertEqual(self.after(), {CLIP: 0, CLIP_GPU: 1})
        # As one that joins others.
        self.assertEqual(self.after(live(AWAKE, ("Apply", False)), upgrade=True), {CLIP: None, CLIP_GPU: 1})

    def test_unless_asked_to_none_is_said(self):
        self.assertEqual(self.after(above={}), {CLIP: None, CLIP_GPU: None})

    def test_a_number_that_keda_has_set_is_left_to_keda(self):
        for number in (SLEEPS, AWAKE):
            pool = live(number, ("Apply", False), ("Update", True))
            self.assertIsNone(self.after(pool, upgrade=True)[CLIP])

    def test_a_number_that_helm_would_take_away_stays_the_live_one(self):
        for number in (SLEEPS, AWAKE):
            # Nobody has changed it since helm applied it on the server's side.
            self.assertEqual(self.after(live(number, ("Apply", True), ("Update", False)), upgrade=True)[CLIP], number)
            # Helm 3 compares with what it sent before, whoever has changed it since.
            self.assertEqual(self.after(live(number, ("Update", False), ("Update", True)), upgrade=True)[CLIP], number)

    def test_without_a_cluster_to_ask_none_is_said(self):
        for arguments in ([], ["--is-upgrade"], ["--api-versions", "keda.sh/v1alpha1"]):
            self.assertEqual(said(render.named("all-in", arguments=arguments)), {CLIP: None, CLIP_GPU: None})

    def test_the_hpa_and_a_number_of_the_values_are_looked_up_nowhere(self):
        self.assertEqual(self.after(above={"scaling": "hpa"}), {CLIP: None, CLIP_GPU: None})
        self.assertEqual(self.after(live(AWAKE, ("Apply", True)), above={"scaling": "none"}), {CLIP: 1, CLIP_GPU: 1})


if __name__ == "__main__":
    unittest.main()
