"""Names of objects, however long those are that they are made of."""

import unittest

import yaml

import render

# What the API server allows, and KEDA, which puts `keda-hpa-` before the name for its HPA's.
MOST = {"CronJob": 52, "Job": 63, "Service": 63, "Deployment": 63, "Pod": 63, "ScaledObject": 54, "HorizontalPodAutoscaler": 63}


class Names(unittest.TestCase):
    def longest(self):
        """The longest names that the schema takes; two pools and two runs that begin alike."""
        pool = yaml.safe_load((render.VALUES / "all-in.yaml").read_text())["workers"]["clip"]
        run = {"spec": {"kind": "EMBED", "dataset": {"name": "a", "root": "s3://b", "prefix": {}}, "collection": "collections/a", "model": "m"}}
        return {
            "fullnameOverride": "f" * 40,
            "workers": {"p" * 19 + end: pool for end in "ab"},
            "imports": {"pool": ""},
            "runs": {**{"r" * 14 + end: run for end in "ab"}, **{"s" * 14 + end: {**run, "schedule": "0 3 * * *"} for end in "ab"}},
        }

    def test_the_longest_names_that_the_schema_takes_make_objects_that_the_api_server_takes(self):
        manifests = render.named("all-in", above=self.longest())
        seen = set()
        for manifest in manifests:
            kind, name = manifest["kind"], manifest["metadata"]["name"]
            self.assertLessEqual(len(name), MOST.get(kind, 253), f"{kind} {name}")
            self.assertRegex(name, "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
            self.assertNotIn((kind, name), seen)
            seen.add((kind, name))
        self.assertEqual(len(render.of_kind(manifests, "CronJob")), 3)
        for scaled in render.of_kind(manifests, "ScaledObject"):
            self.assertIn(scaled["spec"]["scaleTargetRef"]["name"], render.by_name(manifests, "Deployment"))

    def test_a_name_that_fits_stays_as_it_is(self):
        manifests = render.named("all-in")
        self.assertIn("demo-sightline-worker-clip-gpu", render.by_name(manifests, "Service"))
        self.assertIn("demo-sightline-run-nightly", render.by_name(manifests, "CronJob"))

    def test_no_label_is_longer_than_it_may_be(self):
        for manifest in render.named("all-in", above=self.longest()):
            for pod in [manifest, *render.pods([manifest])]:
                for label, value in pod["metadata"].get("labels", {}).items():
                    self.assertLessEqual(len(value), 63, label)


if __name__ == "__main__":
    unittest.main()
