"""Which connections pods may open and accept."""

import unittest

import render
from render import by_name

METADATA = ["169.254.169.254/32", "169.254.170.23/32"]


def egress(name, above=None):
    """The rules for what pods open, by component."""
    manifests = render.of_kind(render.named(name, above=above), "NetworkPolicy")
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["egress"] for one in manifests}


def credentials(rules):
    """Blocks of addresses that may be asked at port 80."""
    return [peer["ipBlock"]["cidr"] for rule in rules for port in rule["ports"] if port["port"] == 80 for peer in rule["to"]]


class Credentials(unittest.TestCase):
    def test_who_reads_s3_may_ask_the_node_and_the_platform_for_credentials_and_nobody_else_at_their_port(self):
        found = egress("minimal")
        self.assertEqual(sorted(found), ["coordinator", "gateway", "worker"])
        for component, rules in found.items():
            self.assertEqual(credentials(rules), METADATA, component)
            for rule in rules:
                self.assertTrue("to" in rule or 80 not in [port["port"] for port in rule["ports"]], component)

    def test_encoders_may_only_where_their_model_is_downloaded(self):
        self.assertEqual(credentials(egress("all-in")["encoder"]), [])
        download = {"image": "aws", "command": ["aws"]}
        above = {"gateway": {"model": None}, "encoder": {"enabled": True, "model": {"name": "m", "volume": {"download": download}}}}
        self.assertEqual(credentials(egress("minimal", above)["encoder"]), METADATA)

    def test_with_credentials_in_a_secret_nobody_is_asked(self):
        for rules in egress("minimal", {"s3": {"existingSecret": "s3"}}).values():
            self.assertEqual(credentials(rules), [])

    def test_other_addresses_may_be_named(self):
        for rules in egress("minimal", {"networkPolicy": {"credentialEndpoints": ["fd00:ec2::254/128"]}}).values():
            self.assertEqual(credentials(rules), ["fd00:ec2::254/128"])


class Encoding(unittest.TestCase):
    def test_a_gateway_that_workers_encode_for_may_reach_them(self):
        url = "http://demo-sightline-worker-demo.search.svc:7302"
        above = {"gateway": {"config": {"encoder": {"url": url}}}}
        manifests = render.named("minimal", above=above)
        name, port = url.removeprefix("http://").split(".")[0], int(url.rpartition(":")[2])
        self.assertIn(port, [entry["port"] for entry in by_name(manifests, "Service")[name]["spec"]["ports"]])
        worker = by_name(manifests, "Deployment")[name]["spec"]["template"]["metadata"]["labels"]
        found = [rule for rule in egress("minimal", above)["gateway"] if port in [each["port"] for each in rule["ports"]]]
        self.assertEqual(len(found), 1)
        selector = found[0]["to"][0]["podSelector"]["matchLabels"]
        self.assertLessEqual(selector.items(), worker.items())

    def test_a_gateway_that_encodes_itself_may_not_reach_workers(self):
        for component, rules in egress("minimal").items():
            self.assertNotIn(7302, [port["port"] for rule in rules for port in rule["ports"]], component)


if __name__ == "__main__":
    unittest.main()
