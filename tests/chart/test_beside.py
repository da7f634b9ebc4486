"""The release for another model that docs/upgrading.md puts beside the first one."""

import re
import textwrap
import unittest

import yaml

import render
from render import by_name

FIRST, NEXT = "sightline", "next"


def documented():
    """next.yaml, as the page has it."""
    page = (render.REPO / "docs/upgrading.md").read_text()
    return yaml.safe_load(textwrap.dedent(re.search(r"   ```yaml\n(   # next\.yaml.*?)   ```", page, re.S)[1]))


def merged(below, above):
    """As helm merges values files."""
    return {**below, **{key: merged(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
                        for key, value in above.items()}}


def values(name):
    """A values file, with all that two releases could quarrel about."""
    everything = {"modelCache": {"create": True}, "monitoring": {block: {"enabled": True} for block in ("serviceMonitor", "prometheusRule", "dashboards")},
                  "expose": {"ingress": {"enabled": True, "gatewayHost": "search.example.com", "coordinatorHost": "runs.example.com", "tlsSecret": "a"},
                             "gatewayApi": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["sightline.example.com"],
                                            "coordinator": True}}}
    return merged(yaml.safe_load((render.VALUES / f"{name}.yaml").read_text()), everything)


def over(below):
    """What the page says, for a release with encoders, too."""
    above = documented()
    if below.get("encoder", {}).get("enabled"):
        above["encoder"] = above.pop("gateway")
        # As the page says of models from another kind of place.
        del below["encoder"]["model"]
    return merged(below, above)


def hosts(manifests):
    found = [rule["host"] for item in render.of_kind(manifests, "Ingress") for rule in item["spec"]["rules"]]
    return found + [host for item in render.of_kind(manifests, "GRPCRoute") for host in item["spec"]["hostnames"]]


class Beside(unittest.TestCase):
    def releases(self, name):
        return (render.named("minimal", above=values(name), release=FIRST),
                render.named("minimal", above=over(values(name)), release=NEXT))

    def test_it_makes_no_object_and_takes_no_host_that_the_first_release_has(self):
        for name in ("all-in", "multi-tenant", "gpu-spot", "tiny"):
            first, other = self.releases(name)
            names = [{(item["kind"], item["metadata"]["name"]) for item in of} for of in (first, other)]
            self.assertGreater(len(names[1]), 10)
            self.assertEqual(names[0] & names[1], set(), name)
            self.assertEqual(len(hosts(first)), 3)
            self.assertEqual(set(hosts(other)), {"search-next.example.com"})

    def test_it_has_gateways_with_the_new_model_and_nothing_that_works_on_runs(self):
        for name, component in (("all-in", "encoder"), ("gpu-spot", "gateway")):
            _, other = self.releases(name)
            for kind in ("ScaledObject", "Job", "CronJob", "PersistentVolumeClaim", "ServiceAccount"):
                self.assertEqual(by_name(other, kind), {}, kind)
            deployments = by_name(other, "Deployment")
            self.assertEqual([name for name in deployments if "worker" in name], [])
            container = deployments[f"sightline-next-{component}"]["spec"]["template"]["spec"]["containers"][0]
            self.assertIn({"name": "SIGHTLINE_MODEL__NAME", "value": "siglip"}, container["env"])

    def test_it_is_what_the_first_release_is_to_the_cloud_and_shares_its_state_and_broker(self):
        def account(manifests):
            return {pod["spec"]["serviceAccountName"] for pod in render.pods(manifests)}

        def shared(manifests, release):
            container = by_name(manifests, "Deployment")[f"{release}-coordinator"]["spec"]["template"]["spec"]["containers"][0]
            return [entry for entry in container["env"] if entry["name"] in ("SIGHTLINE_STATE__URL", "SIGHTLINE_QUEUE__URL")]
        first, other = self.releases("gpu-spot")
        self.assertEqual(account(first), account(other))
        self.assertEqual(len(shared(first, "sightline")), 2)
        self.assertEqual(shared(first, "sightline"), shared(other, "sightline-next"))

    def test_of_queues_the_first_release_alone_gives_alerts(self):
        first, other = self.releases("all-in")
        asked = ["rabbitmq_" in str(render.of_kind(of, "PrometheusRule")) for of in (first, other)]
        self.assertEqual(asked, [True, False])


if __name__ == "__main__":
    unittest.main()
