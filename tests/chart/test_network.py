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
        for rules in egress("minimal", {"s3": {"existingSecret": {"name": "s3"}}}).values():
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

    def test_names_may_be_asked_for_over_both_protocols_at_the_ports_and_of_those_that_are_said(self):
        resolver = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]
        over = [{"port": 5300, "protocol": "UDP"}, {"port": 5300, "protocol": "TCP"}]
        for to, rule in (([], {"ports": over}), (resolver, {"ports": over, "to": resolver})):
            for spec in policies("all-in", {"networkPolicy": {"egress": {"dns": {"ports": [5300], "to": to}}}}).values():
                self.assertEqual(spec["egress"][0], rule)


class Targets(unittest.TestCase):
    """What is called outside the release."""

    def test_a_component_may_call_what_it_needs_and_no_more(self):
        s3, queue, index = [443, 9000], [5671, 5672], [19530]
        self.assertEqual({component: ports(rules)[2:] for component, rules in egress("minimal").items()},
                         {"coordinator": s3 + queue + index, "worker": s3 + queue + index, "gateway": s3 + index})
        # Pools and encoders have models of the hub, and there is a collector.
        found = {component: ports(rules)[2:] for component, rules in egress("all-in").items()}
        self.assertEqual(found, {"coordinator": s3 + queue + index + [4317], "worker": s3 + queue + index + [4317, 443],
                                 "gateway": s3 + index + [4317], "encoder": [4317, 443]})

    def test_an_encoder_whose_model_is_downloaded_may_call_s3(self):
        volume = {"download": {"image": "aws", "command": ["aws"]}}
        above = {"gateway": {"model": None}, "encoder": {"enabled": True, "model": {"name": "m", "volume": volume}}}
        self.assertEqual(ports(egress("minimal", above)["encoder"])[2:], [443, 9000])

    def test_a_target_with_peers_is_open_to_them_alone(self):
        for component, rules in egress("air-gapped").items():
            self.assertEqual(ports(rules), [], component)
            closed = {port["port"]: rule["to"] for rule in rules for port in rule["ports"]}
            self.assertEqual(closed[443], [{"ipBlock": {"cidr": "10.20.0.0/24"}}])
            self.assertEqual(closed.get(5671), None if component == "gateway" else [{"ipBlock": {"cidr": "10.20.1.0/24"}}])
            self.assertEqual(closed[19530], [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "milvus"}}}])

    def test_to_close_one_target_leaves_its_port_open_for_no_other(self):
        peer = [{"ipBlock": {"cidr": "10.20.0.0/24"}}]
        for component, rules in egress("minimal", {"networkPolicy": {"egress": {"s3": {"to": peer}}}}).items():
            self.assertNotIn(443, ports(rules), component)

    def test_ports_of_addresses_in_the_values_are_open_whatever_the_lists_say(self):
        none = {target: {"ports": []} for target in ("s3", "queue", "index", "otlp")}
        above = {"s3": {"endpoint": "http://minio"}, "queue": {"url": "amqps://rabbitmq/vhost"},
                 "index": {"url": "milvus+tls://milvus:443/db"}, "telemetry": {"otlpEndpoint": "http://[fd00::1]:4320"},
                 "networkPolicy": {"egress": none}}
        found = {component: ports(rules)[2:] for component, rules in egress("minimal", above).items()}
        self.assertEqual(found, {"coordinator": [80, 5671, 443, 4320], "worker": [80, 5671, 443, 4320], "gateway": [80, 443, 4320]})

    def test_a_target_without_ports_opens_none(self):
        none = {target: {"ports": []} for target in ("s3", "queue", "index")}
        for component, rules in egress("external", {"networkPolicy": {"egress": none}}).items():
            self.assertEqual(ports(rules), [53, 5353], component)

    def test_ports_of_addresses_in_secrets_are_those_of_the_lists(self):
        said = {"queue": {"ports": [5673]}, "index": {"ports": [19540]}}
        for component, rules in egress("external", {"networkPolicy": {"egress": said}}).items():
            self.assertEqual(ports(rules), [53, 5353, 443, 9000, 5673, 19540], component)

    def test_more_rules_are_those_of_services(self):
        rule = {"ports": [{"port": 8443, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "10.30.0.0/24"}}]}
        for component, spec in policies("all-in", {"networkPolicy": {"egress": {"extra": [rule]}}}).items():
            self.assertEqual(rule in spec["egress"], component not in CLIENTS, component)


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
