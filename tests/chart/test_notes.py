"""What helm says after an installation."""

import re
import unittest

import render

INGRESS = {"expose": {"ingress": {"enabled": True, "gatewayHost": "search.example.com", "tlsSecret": "example-com"}}}
ROUTES = {"expose": {"gatewayApi": {"enabled": True, "parentRefs": [{"name": "public"}]}}}
KEPT_OUT = "only pods of namespace search may call"


class Notes(unittest.TestCase):
    def test_commands_name_ports_that_the_services_have(self):
        ports = {"coordinator": {"service": {"port": 443}}, "gateway": {"service": {"port": 8443}}}
        forwards = re.findall(r"port-forward svc/(\S+) (\d+):(\d+)", render.notes("minimal", ports))
        self.assertEqual(forwards, [("demo-sightline-coordinator", "7301", "443"), ("demo-sightline-gateway", "7303", "8443")])

    def test_commands_through_a_forwarded_port_name_what_the_certificates_do(self):
        plain = render.notes("minimal")
        self.assertIn("sightline --coordinator http://127.0.0.1:7301 ingest ", plain)
        self.assertNotIn("ca.crt", plain)
        for ca, trusts in ((False, ""), (True, " --ca-cert ca.crt")):
            said = render.notes("minimal", {"tls": {"existingSecret": "certificate", "ca": ca}})
            for service, port, does in (("coordinator", 7301, "ingest"), ("gateway", 7303, "search")):
                name = f"demo-sightline-{service}.search.svc"
                self.assertIn(f"sightline --{service} https://127.0.0.1:{port}{trusts} --tls-name {name} {does} ", said)
            self.assertEqual(said.count("get secret certificate -o jsonpath='{.data.ca\\.crt}'"), int(ca))

    def test_a_way_in_that_the_network_policies_close_is_warned_of(self):
        for way in (INGRESS, ROUTES):
            self.assertIn(KEPT_OUT, render.notes("minimal", way))
            named = {"networkPolicy": {"clients": [{"namespaceSelector": {}}]}}
            self.assertNotIn(KEPT_OUT, render.notes("minimal", {**way, **named}))
            self.assertNotIn(KEPT_OUT, render.notes("minimal", {**way, "networkPolicy": {"enabled": False}}))
        self.assertNotIn(KEPT_OUT, render.notes("minimal"))

    def test_a_load_balancer_whose_clients_the_network_policies_keep_out_is_warned_of(self):
        outside = {"gateway": {"service": {"type": "LoadBalancer"}}}
        warning = "only pods of namespace search may call the gateways"
        self.assertIn(warning, render.notes("minimal", outside))
        named = {"networkPolicy": {"clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}}
        self.assertNotIn(warning, render.notes("minimal", {**outside, **named}))
        self.assertNotIn(warning, render.notes("minimal"))

    def test_blocks_that_are_set_to_null_are_as_good_as_empty(self):
        # As `--set gateway.resources=null` takes the chart's own away.
        none = {"resources": None, "podAnnotations": None}
        ingress = {**INGRESS["expose"]["ingress"], "annotations": None}
        above = {"coordinator": none, "gateway": none, "workerDefaults": none, "expose": {"ingress": ingress}}
        self.assertIn("Pool demo serves model sightline-demo", render.notes("minimal", above))


if __name__ == "__main__":
    unittest.main()
