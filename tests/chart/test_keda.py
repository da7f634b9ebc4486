"""How KEDA asks the broker's management API, which tells nothing without credentials."""

import unittest

import render
from render import by_name

URL = "https://rabbitmq.internal:15671/sightline"


def asked(name, management=None, above=None):
    """What KEDA knows of the API: metadata of its triggers, and what it resolves, each parameter with its object and key."""
    queue = {"queue": {"management": management}} if management else {}
    manifests = render.named(name, above={**queue, **(above or {})})
    spec = by_name(manifests, "TriggerAuthentication")["demo-sightline-queue"]["spec"]
    resolved = {one["parameter"]: (source.removesuffix("TargetRef"), one["name"], one["key"])
                for source, ones in spec.items() for one in ones}
    hosts = set()
    for scaled in render.of_kind(manifests, "ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            assert trigger["authenticationRef"] == {"name": "demo-sightline-queue"}
            hosts.add(trigger["metadata"].get("host"))
    return hosts, resolved, by_name(manifests, "ConfigMap").get("demo-sightline-queue")


class Management(unittest.TestCase):
    def test_a_whole_address_comes_from_a_secret(self):
        self.assertEqual(asked("all-in"), ({None}, {"host": ("secret", "rabbitmq", "managementUrl")}, None))

    def test_an_address_in_the_values_has_its_credentials_in_a_secret_as_the_cluster_operator_makes_it(self):
        hosts, resolved, _ = asked("all-in", {"url": URL, "existingSecret": {"name": "rabbitmq-default-user"}})
        self.assertEqual(hosts, {URL})
        self.assertEqual(resolved, {"username": ("secret", "rabbitmq-default-user", "username"),
                                    "password": ("secret", "rabbitmq-default-user", "password")})

    def test_their_keys_may_be_others(self):
        keys = {"usernameKey": "user", "passwordKey": "pass", "caKey": "ca.pem"}
        _, resolved, _ = asked("all-in", {"url": URL, "existingSecret": {"name": "broker", **keys}})
        self.assertEqual({parameter: key for parameter, (_, _, key) in resolved.items()},
                         {"username": "user", "password": "pass", "ca": "ca.pem", "tls": "tls"})

    def test_a_bundle_of_authorities_is_keda_s_too(self):
        for kind, source in (("configMap", "configMap"), ("secret", "secret")):
            bundle = {"caBundle": {kind: "authorities", "key": "bundle.pem"}}
            for management in (None, {"url": URL, "existingSecret": {"name": "broker"}}):
                _, resolved, switch = asked("all-in", management, bundle)
                self.assertEqual(resolved["ca"], (source, "authorities", "bundle.pem"))
                # Without it KEDA does not look at the authority.
                self.assertEqual(resolved["tls"], ("configMap", "demo-sightline-queue", "tls"))
                self.assertEqual(switch["data"], {"tls": "enable"})

    def test_without_tls_no_authority_is_read(self):
        management = {"url": "http://rabbitmq:15672", "existingSecret": {"name": "broker"}}
        _, resolved, switch = asked("all-in", management, {"caBundle": {"secret": "authorities"}})
        self.assertEqual((sorted(resolved), switch), (["password", "username"], None))

    def test_an_address_without_credentials_is_refused_by_name(self):
        with self.assertRaisesRegex(render.Refused, "queue.management.url has no credentials"):
            asked("minimal", {"url": URL}, {"scaling": "keda"})

    def test_where_keda_does_not_scale_none_are_needed(self):
        manifests = render.named("minimal", above={"queue": {"management": {"url": URL}}})
        self.assertEqual(by_name(manifests, "TriggerAuthentication"), {})


if __name__ == "__main__":
    unittest.main()
