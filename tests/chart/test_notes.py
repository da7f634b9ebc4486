"""What helm says after an installation."""

import re
import unittest

import render

INGRESS = {"expose": {"ingress": {"enabled": True, "gatewayHost": "search.example.com"}}}
ROUTES = {"expose": {"gatewayApi": {"enabled": True, "parentRefs": [{"name": "public"}]}}}
KEPT_OUT = "only pods of namespace search may call"


class Notes(unittest.TestCase):
    def test_commands_name_ports_that_the_services_have(self):
        ports = {"coordinator": {"service": {"port": 443}}, "gateway": {"service": {"port": 8443}}}
        forwards = re.findall(r"port-forward svc/(\S+) (\d+):(\d+)", render.notes("minimal", ports))
        self.assertEqual(forwards, [("demo-sightline-coordinator", "7301", "443"), ("demo-sightline-gateway", "7303", "8443")])

    def test_a_way_in_that_the_network_policies_close_is_warned_of(self):
        for way in (INGRESS, ROUTES):
            self.assertIn(KEPT_OUT, render.notes("minimal", way))
            named = {"networkPolicy": {"clients": [{"namespaceSelector": {}}]}}
            self.assertNotIn(KEPT_OUT, render.notes("minimal", {**way, **named}))
            self.assertNotIn(KEPT_OUT, render.notes("minimal", {**way, "networkPolicy": {"enabled": False}}))
        self.assertNotIn(KEPT_OUT, render.notes("minimal"))


if __name__ == "__main__":
    unittest.main()
