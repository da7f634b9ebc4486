"""Which connections pods may open and accept."""

import unittest

import render
from render import by_name

METADATA = ["169.254.169.254/32", "169.254.170.23/32"]
CLIENTS = ("run", "test")


def policies(name, above=None):
    """Policies by component."""
    manifests = render.of_kind(render.named(name, above=above), "NetworkPolicy")
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"] for one in manifests}


def egress(name, above=None):
    """The rules for what pods of services open, by component."""
    return {component: spec["egress"] for component, spec in policies(name, above).items() if component not in CLIENTS}


def ports(rules):
    """Ports that may be opened anywhere."""
    return [port["port"] for rule in rules for port in rule["ports"] if "to" not in rule and port["protocol"] == "TCP"]


def credentials(rules):
    """Blocks of addresses that may be asked at port 80."""
    return [peer["ipBlock"]["cidr"] for rule in rules for port in rule["ports"] if port["port"] == 80 for peer in rule["to"]]


class Credentials(unittest.TestCase):
    def test_who_reads_s3_may_ask_the_node_and_the_platform_for_credentials_and_nobody_else_at_their_port(self):
        found = egress("minimal")
        self.assertEqual(sorted(found), ["coordinator", "gateway", "worker"])
        for component, rules in found.items():
            self.assertEqual(credentials(rules), METADATA, component)
            self.assertNotIn(80, ports(rules), component)

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


class Everywhere(unittest.TestCase):
    def test_every_pod_of_every_values_file_with_policies_has_exactly_one(self):
        for name in render.names():
            manifests = render.named(name)
            selectors = [one["spec"]["podSelector"]["matchLabels"] for one in render.of_kind(manifests, "NetworkPolicy")]
            for pod in render.pods(manifests):
                labels = pod["metadata"]["labels"]
                covering = sum(selector.items() <= labels.items() for selector in selectors)
                self.assertEqual(covering, 0 if name == "tiny" else 1, f"{name}: {labels}")

    def test_ports_of_addresses_in_the_values_are_open_whatever_the_list_says(self):
        above = {"s3": {"endpoint": "http://minio"}, "queue": {"url": "amqps://rabbitmq/vhost"},
                 "index": {"url": "milvus+tls://milvus:443/db"}, "telemetry": {"otlpEndpoint": "http://[fd00::1]:4320"},
                 "networkPolicy": {"egressPorts": [5671]}}
        for component, rules in egress("minimal", above).items():
            self.assertEqual(ports(rules), [53, 5353, 5671, 80, 443, 4320], component)

    def test_ports_of_addresses_in_secrets_are_those_of_the_list(self):
        for component, rules in egress("external", {"networkPolicy": {"egressPorts": [443, 5671, 19540]}}).items():
            self.assertEqual(ports(rules), [53, 5353, 443, 5671, 19540], component)

    def test_names_may_be_asked_for_over_both_protocols_at_the_ports_that_are_said(self):
        for spec in policies("all-in", {"networkPolicy": {"dnsPorts": [5300]}}).values():
            self.assertEqual(spec["egress"][0], {"ports": [{"port": 5300, "protocol": "UDP"}, {"port": 5300, "protocol": "TCP"}]})


class Clients(unittest.TestCase):
    def test_pods_of_runs_and_tests_may_ask_the_services_and_nobody_else_and_are_asked_by_nobody(self):
        manifests = render.named("all-in")
        pods = {name: item["spec"]["template"] for name, item in by_name(manifests, "Deployment").items()}
        for component in CLIENTS:
            spec = policies("all-in")[component]
            self.assertEqual(spec["policyTypes"], ["Ingress", "Egress"])
            self.assertNotIn("ingress", spec)
            self.assertEqual(ports(spec["egress"]), [53, 5353])
            reached = {}
            for rule in spec["egress"][1:]:
                selector = rule["to"][0]["podSelector"]["matchLabels"]
                found = [name for name, pod in pods.items() if selector.items() <= pod["metadata"]["labels"].items()]
                self.assertEqual(len(found), 1)
                reached[found[0]] = rule["ports"][0]["port"]
            for name, port in reached.items():
                self.assertIn(port, [each["containerPort"] for each in pods[name]["spec"]["containers"][0]["ports"]], name)
            self.assertEqual(sorted(reached), ["demo-sightline-coordinator", "demo-sightline-gateway"])

    def test_there_is_no_policy_for_clients_that_there_are_none_of(self):
        self.assertNotIn("run", policies("minimal"))
        self.assertNotIn("test", policies("minimal", {"tests": {"enabled": False}}))


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
