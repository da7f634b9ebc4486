"""Authorities of one's own, by which certificates of what pods call are checked."""

import unittest

import render

FILE = "/etc/sightline/ca/ca.crt"


class Authorities(unittest.TestCase):
    def containers(self, name, above):
        for pod in render.pods(render.named(name, above=above)):
            for container in render.containers(pod):
                yield pod, container

    def test_every_container_reads_the_bundle_wherever_it_lies(self):
        sources = {"configMap": lambda volume: volume["configMap"]["name"], "secret": lambda volume: volume["secret"]["secretName"]}
        for kind, named in sources.items():
            for name in ("all-in", "external"):
                for pod, container in self.containers(name, {"caBundle": {kind: "authorities", "key": "bundle.pem"}}):
                    values = {entry["name"]: entry.get("value") for entry in container["env"]}
                    self.assertEqual(values["SSL_CERT_FILE"], FILE, container["name"])
                    self.assertIn({"name": "ca", "mountPath": "/etc/sightline/ca", "readOnly": True}, container["volumeMounts"])
                    volume = next(volume for volume in pod["spec"]["volumes"] if volume["name"] == "ca")
                    self.assertEqual(named(volume), "authorities")
                    self.assertEqual(volume[kind]["items"], [{"key": "bundle.pem", "path": "ca.crt"}])

    def test_without_a_bundle_the_images_own_authorities_count(self):
        for pod, container in self.containers("all-in", {}):
            self.assertNotIn("SSL_CERT_FILE", [entry["name"] for entry in container["env"]])
            self.assertNotIn("ca", [volume["name"] for volume in pod["spec"]["volumes"]])


if __name__ == "__main__":
    unittest.main()
