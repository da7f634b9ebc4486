"""What speaks to the services from outside, and how: plain or with TLS."""

import unittest

import render
from render import by_name

TLS = {"tls": {"existingSecret": "certificate"}}
NGINX = "nginx.ingress.kubernetes.io"
INGRESS = {"expose": {"ingress": {"enabled": True, "gatewayHost": "search.example.com", "tlsSecret": "example-com"}}}
ROUTES = {"expose": {"gatewayApi": {"enabled": True, "parentRefs": [{"name": "public"}]}}}


class Services(unittest.TestCase):
    def protocols(self, above):
        services = render.of_kind(render.named("minimal", above=above), "Service")
        return {port["appProtocol"] for service in services for port in service["spec"]["ports"] if port["name"] == "grpc"}

    def test_services_say_that_their_ports_are_plain_or_have_tls(self):
        self.assertEqual(self.protocols({}), {"kubernetes.io/h2c"})
        self.assertEqual(self.protocols(TLS), {"https"})


    def test_a_load_balancer_leads_to_the_gateways_and_never_to_their_metrics(self):
        services = by_name(render.named("all-in"), "Service")
        spec = services["demo-sightline-gateway"]["spec"]
        self.assertEqual((spec["type"], spec["loadBalancerClass"], spec["loadBalancerSourceRanges"], spec["externalTrafficPolicy"]),
                         ("LoadBalancer", "example.com/internal", ["10.0.0.0/8"], "Local"))
        self.assertEqual([port["name"] for port in spec["ports"]], ["grpc"])
        metrics = services["demo-sightline-gateway-observe"]
        self.assertEqual((metrics["spec"]["clusterIP"], [port["name"] for port in metrics["spec"]["ports"]]), ("None", ["observe"]))
        # By these a ServiceMonitor finds it.
        self.assertEqual(metrics["metadata"]["labels"], services["demo-sightline-gateway"]["metadata"]["labels"])
        self.assertEqual(metrics["spec"]["selector"], spec["selector"])

    def test_within_the_cluster_one_service_has_both_ports(self):
        services = by_name(render.named("minimal"), "Service")
        self.assertNotIn("demo-sightline-gateway-observe", services)
        self.assertEqual([port["name"] for port in services["demo-sightline-gateway"]["spec"]["ports"]], ["grpc", "observe"])
        self.assertNotIn("type", services["demo-sightline-gateway"]["spec"])


class Ingress(unittest.TestCase):
    def annotations(self, above):
        return render.of_kind(render.named("minimal", above=above), "Ingress")[0]["metadata"]["annotations"]

    def test_nginx_is_told_whether_the_services_have_tls(self):
        self.assertEqual(self.annotations(INGRESS)[f"{NGINX}/backend-protocol"], "GRPC")
        self.assertEqual(self.annotations({**INGRESS, **TLS})[f"{NGINX}/backend-protocol"], "GRPCS")

    def test_nginx_cuts_off_neither_large_pictures_nor_a_watched_run(self):
        found = self.annotations(INGRESS)
        self.assertEqual(found[f"{NGINX}/proxy-body-size"], "0")
        for which in ("read", "send"):
            self.assertGreaterEqual(int(found[f"{NGINX}/proxy-{which}-timeout"]), 3600)

    def test_nginx_has_a_certificate_or_is_said_to_have_one(self):
        def ingress(**said):
            above = {"expose": {"ingress": {**INGRESS["expose"]["ingress"], "tlsSecret": "", **said}}}
            return render.of_kind(render.named("minimal", above=above), "Ingress")[0]["spec"]
        self.assertEqual(ingress(tlsSecret="example-com")["tls"], [{"secretName": "example-com", "hosts": ["search.example.com"]}])
        for name in ("nginx", "nginx-internal"):
            with self.assertRaisesRegex(render.Refused, "expose.ingress.tlsSecret"):
                ingress(className=name)
            self.assertNotIn("tls", ingress(className=name, tlsElsewhere=True))
        self.assertNotIn("tls", ingress(className="traefik"))

    def test_annotations_of_the_values_count_before_the_charts_own(self):
        given = {f"{NGINX}/backend-protocol": "HTTPS", f"{NGINX}/proxy-body-size": "64m", "a": "b"}
        own = {"expose": {"ingress": {**INGRESS["expose"]["ingress"], "annotations": given}}}
        found = self.annotations(own)
        self.assertEqual(len(found), 5)
        self.assertLessEqual(given.items(), found.items())


class Routes(unittest.TestCase):
    def test_without_a_gateway_the_coordinator_alone_is_exposed(self):
        above = {**TLS, "gateway": {"enabled": False}, "expose": {"gatewayApi": {**ROUTES["expose"]["gatewayApi"], "coordinator": True}}}
        manifests = render.named("minimal", above=above)
        rules = render.of_kind(manifests, "GRPCRoute")[0]["spec"]["rules"]
        self.assertEqual([backend["name"] for rule in rules for backend in rule["backendRefs"]], ["demo-sightline-coordinator"])
        self.assertEqual(list(by_name(manifests, "BackendTLSPolicy")), ["demo-sightline-coordinator"])

    def test_gateways_speak_plainly_to_plain_services(self):
        self.assertEqual(render.of_kind(render.named("minimal", above=ROUTES), "BackendTLSPolicy"), [])

    def test_gateways_are_told_the_name_and_the_authority_of_each_service_with_tls(self):
        policies = by_name(render.named("all-in"), "BackendTLSPolicy")
        self.assertEqual(sorted(policies), ["demo-sightline-coordinator", "demo-sightline-gateway"])
        for name, policy in policies.items():
            self.assertEqual(policy["apiVersion"], "gateway.networking.k8s.io/v1")
            self.assertEqual(policy["spec"]["targetRefs"], [{"group": "", "kind": "Service", "name": name}])
            self.assertEqual(policy["spec"]["validation"], {
                "hostname": f"{name}.search.svc",
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "sightline-ca"}]})

    def test_without_an_authority_of_its_own_a_gateway_trusts_the_systems(self):
        policy = render.of_kind(render.named("minimal", above={**ROUTES, **TLS}), "BackendTLSPolicy")
        self.assertEqual([one["spec"]["validation"]["wellKnownCACertificates"] for one in policy], ["System"])

    def test_a_cluster_that_knows_only_the_older_policy_gets_that_one(self):
        for known, version in (("v1alpha3", "v1alpha3"), ("v1", "v1")):
            manifests = render.named("all-in", arguments=["--api-versions", f"gateway.networking.k8s.io/{known}/BackendTLSPolicy"])
            self.assertEqual({one["apiVersion"] for one in render.of_kind(manifests, "BackendTLSPolicy")},
                             {f"gateway.networking.k8s.io/{version}"})

    def test_no_policy_is_made_where_none_is_wanted(self):
        none = {"expose": {"gatewayApi": {"backendTLS": {"create": False}}}}
        self.assertEqual(render.of_kind(render.named("all-in", above=none), "BackendTLSPolicy"), [])


if __name__ == "__main__":
    unittest.main()
