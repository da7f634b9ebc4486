"""Images: what their Dockerfiles promise."""

import json
import re
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

import yaml

import dockerfiles
import render

_DOCKER = render.REPO / "deploy/docker"
_HADOLINT = render.REPO / ".local/venv-chart/bin/hadolint"


def _blocks(text):
    """The packages of a lock file of pip, each with its digests."""
    return re.findall(r"(?m)^[a-z0-9].*\n(?:    --hash.*\n)*", text)


class Images(unittest.TestCase):
    def test_every_image_of_the_chart_has_its_dockerfile(self):
        values = yaml.safe_load((render.CHART / "values.yaml").read_text())
        images = {name.removeprefix("sightline-") for name in values["image"]["names"].values()}
        self.assertEqual(images, {file.name.removesuffix(".Dockerfile") for file in _DOCKER.glob("*.Dockerfile")})

    def test_hadolint_finds_nothing(self):
        for file in sorted(_DOCKER.glob("*.Dockerfile")):
            command = [str(_HADOLINT), "--config", str(render.REPO / ".hadolint.yaml"), str(file)]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_images_run_as_the_user_of_the_chart_and_carry_the_version_of_the_chart(self):
        chart = yaml.safe_load((render.CHART / "Chart.yaml").read_text())
        user = yaml.safe_load((render.CHART / "values.yaml").read_text())["podSecurity"]["runAsUser"]
        for file in _DOCKER.glob("*.Dockerfile"):
            text = file.read_text()
            self.assertIn(f"USER {user}:{user}\n", text, file)
            self.assertIn(f"ARG VERSION={chart['appVersion']}\n", text, file)

    def test_every_service_is_asked_whether_it_is_ready_where_it_answers(self):
        for file in dockerfiles.all_of_them():
            checks = file.final.of("HEALTHCHECK")
            if file.name == "cli":
                self.assertEqual(checks, [])
                continue
            (program,) = json.loads(file.final.of("ENTRYPOINT")[0])
            self.assertEqual([json.loads(check.partition(" CMD ")[2]) for check in checks], [[program, "--check-ready"]])
            # Else it would be any free port, which the check could not know.
            self.assertEqual([rest for rest in file.final.of("ENV") if "OBSERVABILITY" in rest],
                             ["SIGHTLINE_OBSERVABILITY__ADDRESS=127.0.0.1:9090"])
            self.assertIn("9090", file.final.of("EXPOSE")[0].split())

    def test_labels_say_what_an_image_is_and_are_behind_every_layer(self):
        for file in dockerfiles.all_of_them():
            (labels,) = [dict(re.findall(r'org\.opencontainers\.image\.(\S+)="([^"]*)"', rest)) for rest in file.final.of("LABEL")]
            self.assertEqual(labels.pop("title"), f"sightline-{file.name}")
            self.assertEqual({name: labels[name] for name in ("version", "source", "revision", "created", "vendor", "base.name")},
                             {"version": "${VERSION}", "source": "${SOURCE}", "revision": "${REVISION}", "created": "${CREATED}",
                              "vendor": "${VENDOR}", "base.name": "${DEBIAN_IMAGE}"})
            said = {rest.partition("=")[0] for rest in file.final.of("ARG")}
            self.assertEqual(said, {"DEBIAN_IMAGE", "VERSION", "SOURCE", "REVISION", "CREATED", "VENDOR"})
            words = [one.word for one in file.final.instructions]
            self.assertLess(max(place for place, word in enumerate(words) if word in ("RUN", "COPY")), words.index("ARG"))

    def test_the_licences_that_an_image_is_labelled_with_are_those_of_what_it_holds(self):
        libraries = {"torch": {"BSD-3-Clause", "GPL-3.0-or-later WITH GCC-exception-3.1"},
                     "nvidia-cuda-runtime": {"LicenseRef-NVIDIA-Proprietary"}, "nvidia-cuda-cupti": {"LicenseRef-NVIDIA-Proprietary"}}
        held = {folder.name for folder in (render.REPO / ".local/libtorch/licenses").iterdir()}
        self.assertEqual(held, set(libraries))
        for file in dockerfiles.all_of_them():
            (said,) = [re.search(r'licenses="([^"]*)"', rest)[1].split(" AND ") for rest in file.final.of("LABEL")]
            copied = {source for copy in file.final.copies() for source in copy.sources}
            with_libraries = copied & {"/src/.local/libtorch/lib/*.so*", "/opt/sightline"}
            expected = set().union(*libraries.values()) if with_libraries else set()
            self.assertEqual(set(said), {"MIT"} | expected, file.name)

    def test_libtorch_for_the_processor_does_not_load_without_the_libraries_of_nvidia_that_go_with_it(self):
        lib = render.REPO / ".local/libtorch/lib"
        said = subprocess.run(["readelf", "-d", str(lib / "libtorch_cpu.so")], check=True, capture_output=True, text=True).stdout
        needed = set(re.findall(r"\(NEEDED\) .*\[(.*)\]", said))
        self.assertLessEqual({file.name for file in lib.glob("libcu*")}, needed)

    def test_one_version_is_said_everywhere(self):
        cargo = re.search(r'\[workspace\.package\]\nversion = "([^"]+)"', (render.REPO / "Cargo.toml").read_text())[1]
        chart = yaml.safe_load((render.CHART / "Chart.yaml").read_text())
        self.assertEqual({cargo}, {chart["version"], chart["appVersion"]})

    def test_images_are_built_with_the_toolchain_that_is_pinned_and_that_their_base_has(self):
        channel = tomllib.loads((render.REPO / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
        for file in dockerfiles.all_of_them():
            self.assertEqual(file.arguments, {"RUST_IMAGE": f"rust:{channel}-slim-bookworm", "DEBIAN_IMAGE": "debian:bookworm-slim"})
            stages = {stage.base for stage in file.stages} - {stage.name for stage in file.stages}
            self.assertEqual(stages, {"${RUST_IMAGE}", "${DEBIAN_IMAGE}"}, file.name)
            self.assertEqual(file.final.base, "${DEBIAN_IMAGE}")
            chef = file.stages[0].instructions
            pinned = next(place for place, one in enumerate(chef) if (one.word, one.rest) == ("ENV", f"RUSTUP_TOOLCHAIN={channel}"))
            self.assertLess(pinned, next(place for place, one in enumerate(chef) if one.word == "RUN"))

    def test_coordinator_and_client_have_no_libtorch(self):
        for name in ("coordinator", "cli"):
            self.assertNotIn("setup.py libtorch", (_DOCKER / f"{name}.Dockerfile").read_text())
        # The client's default feature computes in its own process.
        for command in re.findall(r"cargo (?:chef cook|build) .*", (_DOCKER / "cli.Dockerfile").read_text()):
            self.assertIn("--no-default-features", command)

    def test_what_the_charts_pods_ask_of_the_client_it_has_without_computing_itself(self):
        arguments = (render.REPO / "cli/src/args.rs").read_text()
        client = arguments[arguments.index("pub(crate) enum ClientCommand"):]
        self.assertNotIn('#[cfg(feature = "local")]', client)
        asked = {next(argument for argument in container["args"] if not argument.startswith("-"))
                 for pod in render.pods(render.named("all-in")) for container in pod["spec"]["containers"]
                 if "sightline-cli" in container["image"]}
        self.assertEqual(asked, {"apply", "runs", "collections"})
        for command in asked:
            self.assertRegex(client, rf"(?m)^    {command.title()}\(")

    def test_the_cuda_image_takes_torch_and_all_that_it_needs_by_digest_as_the_tests_do(self):
        requirements = render.REPO / "deploy/setup/requirements"
        locked = [block.split() for block in _blocks((requirements / "torch-cuda.txt").read_text())]
        for block in locked:
            self.assertTrue(any(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in block), block[0])
        tested = {block.split()[0] for block in _blocks((requirements / "torch.txt").read_text())}
        self.assertLessEqual({block[0] for block in locked}, tested)
        # The CUDA wheel is the one that the processor's libtorch is taken out of.
        lock = json.loads((render.REPO / "deploy/setup/lock.json").read_text())
        torch = next(entry for entry in lock["libtorch"] if entry["package"] == "torch")
        (ours,) = [block for block in locked if block[0] == f"torch=={torch['version']}"]
        self.assertIn(f"--hash=sha256:{torch['sha256']}", ours)
        cuda = next(file for file in dockerfiles.all_of_them() if file.name == "worker-cuda")
        for stage in cuda.stages:
            for arguments in stage.commands("/opt/torch/bin/pip", "install"):
                self.assertLessEqual({"--require-hashes", "--no-deps", "--only-binary=:all:"}, set(arguments))
                self.assertEqual(arguments[-1], "deploy/setup/requirements/torch-cuda.txt")

    def test_every_licence_of_the_cuda_libraries_is_kept_under_its_distributions_name(self):
        text = (_DOCKER / "worker-cuda.Dockerfile").read_text()
        command = re.search(r"&& (find [^&]*?/opt/sightline/licenses -x)\n", text)[1]
        kept = ["torch-2.dist-info/licenses/LICENSE", "torch-2.dist-info/licenses/NOTICE",
                "nvidia_a-1.dist-info/licenses/License.txt", "nvidia_b-1.dist-info/License.txt"]
        with tempfile.TemporaryDirectory() as folder:
            packages, licences = Path(folder) / "packages", Path(folder) / "licences"
            licences.mkdir()
            for name in [*kept, "sympy-1.dist-info/licenses/LICENSE", "torch-2.dist-info/METADATA", "torch/LICENSE"]:
                (packages / name).parent.mkdir(parents=True, exist_ok=True)
                (packages / name).write_text(name)
            script = f"packages={packages}\n" + command.replace("/opt/sightline/licenses", str(licences))
            subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True)
            found = {str(file.relative_to(licences)): file.read_text() for file in licences.rglob("*") if file.is_file()}
        self.assertEqual(found, {name: name for name in kept})

    def test_dependencies_are_a_layer_of_their_own(self):
        for file in _DOCKER.glob("*.Dockerfile"):
            text = file.read_text()
            self.assertLess(text.index("cargo chef cook"), text.index("cargo build"), file)


if __name__ == "__main__":
    unittest.main()
