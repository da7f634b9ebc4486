"""Which service account each pod runs as."""

import unittest

import render
from render import by_name

SHARED = {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/sightline"}}


def own(role):
    return {"serviceAccount": {"create": True, "annotations": {"eks.amazonaws.com/role-arn": role}}}


def accounts(name, above=None):
    """What pods run as, by their component, or their pool; and the accounts that the chart makes."""
    manifests = render.named(name, above=above)
    pods = {}
    for pod in render.pods(manifests):
        labels = pod["metadata"]["labels"]
        pods[labels.get("sightline.dev/pool", labels["app.kubernetes.io/component"])] = pod["spec"]["serviceAccountName"]
    made = {one: account["metadata"].get("annotations") for one, account in by_name(manifests, "ServiceAccount").items()}
    return pods, made


class Accounts(unittest.TestCase):
    def test_all_pods_run_as_the_releases_account_where_nothing_else_is_said(self):
        pods, made = accounts("all-in")
        self.assertEqual(set(pods.values()), {"demo-sightline"})
        self.assertEqual(made, {"demo-sightline": SHARED["annotations"]})

    def test_each_component_and_pool_may_have_one_of_its_own(self):
        above = {"coordinator": own("c"), "gateway": own("g"), "encoder": own("e"), "client": own("t"), "workers": {"clip": own("w")}}
        pods, made = accounts("all-in", above)
        self.assertEqual(pods, {
            "coordinator": "demo-sightline-coordinator", "gateway": "demo-sightline-gateway", "encoder": "demo-sightline-encoder",
            "run": "demo-sightline-client", "test": "demo-sightline-client", "clip": "demo-sightline-worker-clip",
            "clip-gpu": "demo-sightline"})
        self.assertEqual(set(made), set(pods.values()))
        self.assertEqual({annotations["eks.amazonaws.com/role-arn"] for annotations in made.values()},
                         {"c", "g", "e", "t", "w", SHARED["annotations"]["eks.amazonaws.com/role-arn"]})

    def test_of_the_defaults_of_pools_each_pool_has_one_of_its_own_and_of_one_name_there_is_one(self):
        pods, made = accounts("all-in", {"workerDefaults": own("w")})
        self.assertEqual((pods["clip"], pods["clip-gpu"]), ("demo-sightline-worker-clip", "demo-sightline-worker-clip-gpu"))
        self.assertLess({pods["clip"], pods["clip-gpu"]}, set(made))
        named = {"serviceAccount": {**own("w")["serviceAccount"], "name": "embedders"}}
        pods, made = accounts("all-in", {"workerDefaults": named})
        self.assertEqual((pods["clip"], pods["clip-gpu"]), ("embedders", "embedders"))
        self.assertEqual(set(made), {"embedders", "demo-sightline"})

    def test_one_that_is_there_already_is_named_and_not_made(self):
        pods, made = accounts("all-in", {"client": {"serviceAccount": {"name": "nobody"}}})
        self.assertEqual((pods["run"], pods["test"]), ("nobody", "nobody"))
        self.assertEqual(set(made), {"demo-sightline"})
        pods, made = accounts("external", {"coordinator": {"serviceAccount": {"create": True}}})
        self.assertEqual((pods["coordinator"], pods["dinov2"]), ("demo-sightline-coordinator", "sightline-irsa"))
        self.assertEqual(made, {"demo-sightline-coordinator": None})

    def test_no_account_is_made_for_pods_that_there_are_none_of(self):
        above = {"gateway": {"enabled": False, **own("g")}, "encoder": own("e"), "client": own("t"), "tests": {"enabled": False}}
        self.assertEqual(set(accounts("minimal", above)[1]), {"demo-sightline"})

    def test_one_name_for_two_identities_is_refused(self):
        one = {"serviceAccount": {"create": True, "name": "demo-sightline", "annotations": {"a": "b"}}}
        with self.assertRaisesRegex(render.Refused, "gateway.serviceAccount: an account demo-sightline with other annotations"):
            accounts("minimal", {"gateway": one})

    def test_a_block_that_is_set_to_null_is_as_good_as_empty(self):
        pods, _ = accounts("all-in", {"client": None})
        self.assertEqual(set(pods.values()), {"demo-sightline"})


if __name__ == "__main__":
    unittest.main()
