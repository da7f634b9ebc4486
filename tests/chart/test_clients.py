"""What pods of the client hold: those of runs and of `helm test`."""

import unittest

import render


def certificates(name, above=None):
    """Files of `tls.existingSecret` that each component's pods see; None where they see all of it."""
    found = {}
    for pod in render.pods(render.named(name, above=above)):
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        volumes = [volume["secret"] for volume in pod["spec"]["volumes"] if volume["name"] == "tls"]
        found[component] = [item["key"] for item in volumes[0]["items"]] if volumes and "items" in volumes[0] else None if volumes else []
    return found


class Certificates(unittest.TestCase):
    def test_who_serves_nothing_is_given_the_authority_and_never_the_key(self):
        found = certificates("all-in")
        self.assertEqual({name: files for name, files in found.items() if files is not None},
                         {"run": ["ca.crt"], "test": ["ca.crt"]})
        self.assertEqual({name for name, files in found.items() if files is None}, {"coordinator", "gateway", "encoder", "worker"})

    def test_without_an_authority_in_the_secret_clients_mount_nothing_of_it(self):
        for pod in render.pods(render.named("all-in", above={"tls": {"ca": False}})):
            if pod["metadata"]["labels"]["app.kubernetes.io/component"] in ("run", "test"):
                for container in pod["spec"]["containers"]:
                    self.assertNotIn("tls", [mount["name"] for mount in container["volumeMounts"]])
                    self.assertNotIn("SIGHTLINE_CA_CERT", [entry["name"] for entry in container["env"]])
        found = certificates("all-in", {"tls": {"ca": False}})
        self.assertEqual((found["run"], found["test"]), ([], []))


class Placement(unittest.TestCase):
    def test_pods_of_the_client_go_where_is_said_and_a_run_where_it_says_itself(self):
        taint = [{"key": "batch", "operator": "Exists"}]
        above = {"client": {"nodeSelector": {"pool": "batch"}, "tolerations": taint, "priorityClassName": "low"},
                 "runs": {"once": {"nodeSelector": {"pool": "night"}}}}
        found = [pod["spec"] for pod in render.pods(render.named("all-in", above=above))
                 if pod["metadata"]["labels"]["app.kubernetes.io/component"] in ("run", "test")]
        self.assertEqual([spec["nodeSelector"]["pool"] for spec in found].count("night"), 1)
        self.assertEqual({spec["nodeSelector"]["pool"] for spec in found}, {"batch", "night"})
        for spec in found:
            self.assertEqual((spec["tolerations"], spec["priorityClassName"]), (taint, "low"))


if __name__ == "__main__":
    unittest.main()
