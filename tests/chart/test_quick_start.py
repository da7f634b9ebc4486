"""The commands of docs/kubernetes.md: what they make is all that the release needs."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

import render
import schemas

_PAGE = render.REPO / "docs/kubernetes.md"
# What `kubectl create secret docker-registry` makes.
_REGISTRY_KEY = ".dockerconfigjson"


def block():
    """The commands, each on one line."""
    text = _PAGE.read_text()
    found = re.search(r"```\n(.*?)```", text[text.index("\n## Quick start\n"):], re.S)
    return found[1].replace("\\\n", " ")


def values():
    return re.search(r"cat > mine\.yaml <<END\n(.*?)END\n", block(), re.S)[1]


def secrets():
    """Keys of the secrets that are made, by their names."""
    made = {}
    for kind, name, rest in re.findall(r"create secret (generic|docker-registry) (\S+) (.*)", block()):
        made[name] = set(re.findall(r"--from-literal=([^=]+)=", rest)) if kind == "generic" else {_REGISTRY_KEY}
    return made


class QuickStart(unittest.TestCase):
    def setUp(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "mine.yaml"
            file.write_text(values())
            self.manifests = render.chart([file])

    def test_a_shell_takes_the_commands(self):
        ended = subprocess.run(["bash", "-n"], input=block(), capture_output=True, text=True, check=False)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))

    def test_kubernetes_takes_what_the_chart_makes_of_the_values(self):
        for manifest in self.manifests:
            self.assertEqual(schemas.problems(manifest, render.VERSIONS[-1]), [])
        self.assertEqual(len(render.of_kind(self.manifests, "ScaledObject")), 1)

    def test_every_secret_that_pods_and_keda_read_was_made_with_that_key(self):
        needed = set()
        for pod in render.pods(self.manifests):
            needed |= {(secret["name"], _REGISTRY_KEY) for secret in pod["spec"]["imagePullSecrets"]}
            for container in render.containers(pod):
                for entry in container.get("env", []):
                    source = entry.get("valueFrom", {}).get("secretKeyRef")
                    if source and not source.get("optional"):
                        needed.add((source["name"], source["key"]))
            self.assertFalse([volume for volume in pod["spec"]["volumes"] if "secret" in volume])
        for authentication in render.of_kind(self.manifests, "TriggerAuthentication"):
            needed |= {(source["name"], source["key"]) for source in authentication["spec"]["secretTargetRef"]}
        self.assertEqual(needed, {(name, key) for name, keys in secrets().items() for key in keys})

    def test_every_claim_that_pods_mount_is_made_by_the_chart(self):
        made = {claim["metadata"]["name"] for claim in render.of_kind(self.manifests, "PersistentVolumeClaim")}
        named = {volume["persistentVolumeClaim"]["claimName"] for pod in render.pods(self.manifests)
                 for volume in pod["spec"]["volumes"] if "persistentVolumeClaim" in volume}
        self.assertEqual(made, named)

    def test_every_image_is_built_and_pushed_by_the_name_and_tag_that_pods_pull(self):
        registry, tag = re.search(r"^REGISTRY=(\S+) TAG=(\S+)$", block(), re.M).groups()
        images = re.search(r"^for image in (.*); do$", block(), re.M)[1].split()
        self.assertIn("-t $REGISTRY/sightline-$image:$TAG .", block())
        self.assertIn("docker push $REGISTRY/sightline-$image:$TAG\n", block())
        pulled = {container["image"] for pod in render.pods(self.manifests) for container in render.containers(pod)}
        self.assertEqual(pulled, {f"{registry}/sightline-{image}:{tag}" for image in images})

    def test_the_namespace_is_made_first_and_all_is_in_it(self):
        commands = [line for line in block().splitlines() if re.match(r"(kubectl|helm) ", line)]
        namespace = re.fullmatch(r"kubectl create namespace (\S+)", commands[0])[1]
        for command in commands[1:]:
            self.assertEqual(re.search(r"(?:-n|--namespace) (\S+)", command)[1], namespace, command)

    def test_the_values_are_yaml_and_hold_no_password(self):
        self.assertNotIn("password", values())
        self.assertEqual(yaml.safe_load(values())["scaling"], "keda")


if __name__ == "__main__":
    unittest.main()
