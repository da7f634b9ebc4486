"""What the builds of images see of the repository: all that they need, and nothing else."""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

import dockerfiles
import render

_INCLUDE = re.compile(r"include(?:_str|_bytes)?!\(\s*(.*?)\)", re.DOTALL)
# What cargo reads beside the members' folders.
_WORKSPACE = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo/config.toml"]


def members():
    """The folders of the workspace's crates."""
    return tomllib.loads((render.REPO / "Cargo.toml").read_text())["workspace"]["members"]


# As setup.py does it, up to what would be fetched: says which of its own files it read.
_SETUP = """
import pathlib, sys
sys.path.insert(0, ".")
import setup, libtorch, lock, stamp
assert len(lock.artefacts("libtorch")) == 3
loaded = [pathlib.Path(module.__file__) for module in sys.modules.values() if getattr(module, "__file__", None)]
here = pathlib.Path.cwd()
print(*(file.name for file in loaded if file.resolve().parent == here), lock.LOCK_FILE.name)
"""


def _used(setup):
    """The files in a folder of set-up programs that setting libtorch up reads; a program that lacks one ends with an error."""
    command = [sys.executable, "-B", "-c", _SETUP]
    said = subprocess.run(command, cwd=setup, check=True, capture_output=True, text=True).stdout
    subprocess.run([sys.executable, "-B", "setup.py", "--help"], cwd=setup, check=True, capture_output=True)
    return set(said.split())


class Context(unittest.TestCase):
    def test_every_crate_of_the_workspace_is_seen_whole(self):
        out = dockerfiles.ignored()
        needed = list(_WORKSPACE)
        for member in members():
            self.assertTrue((render.REPO / member / "Cargo.toml").exists(), member)
            of_member = [str(file.relative_to(render.REPO)) for file in (render.REPO / member).rglob("*")
                         if file.is_file() and "__pycache__" not in file.parts]
            needed += [path for path in of_member if not path.startswith("crates/core/fuzz/")]
        self.assertEqual([path for path in needed if path in out], [])

    def test_every_file_that_code_includes_is_seen(self):
        included = 0
        for member in members():
            for file in (render.REPO / member).rglob("*.rs"):
                for argument in _INCLUDE.findall(file.read_text()):
                    # Made by the build itself.
                    if argument.startswith('concat!(env!("OUT_DIR"'):
                        continue
                    literal = re.fullmatch(r'"([^"]+)",?\s*', argument)
                    self.assertIsNotNone(literal, f"{file} includes {argument}, which this test does not understand")
                    path = (file.parent / literal[1]).resolve().relative_to(render.REPO.resolve())
                    self.assertNotIn(str(path), dockerfiles.ignored(), file)
                    included += 1
        self.assertGreater(included, 5)

    def test_paths_of_dependencies_lie_in_members(self):
        table = tomllib.loads((render.REPO / "Cargo.toml").read_text())["workspace"]["dependencies"]
        paths = {value["path"] for value in table.values() if isinstance(value, dict) and "path" in value}
        self.assertLessEqual(paths, set(members()))

    def test_what_dockerfiles_copy_is_seen(self):
        for file in dockerfiles.all_of_them():
            for source in [source for stage in file.stages for copy in stage.copies() if copy.stage is None
                           for source in copy.sources]:
                self.assertTrue(list(dockerfiles.files(source)) or source == ".", f"{file.name}: {source}")

    def test_of_the_set_up_programs_builds_see_what_dockerfiles_copy_by_name(self):
        copied = {path for file in dockerfiles.all_of_them() for stage in file.stages for copy in stage.copies()
                  if copy.stage is None for source in copy.sources if source != "." for path in dockerfiles.files(source)}
        self.assertEqual(set(dockerfiles.files("deploy")), {path for path in copied if path.startswith("deploy/")})

    def test_libtorch_is_set_up_by_the_files_that_are_copied_for_it_and_none_is_copied_beside(self):
        for file in dockerfiles.all_of_them():
            for stage in [stage for stage in file.stages if stage.commands("python3", "deploy/setup/setup.py")]:
                (arguments,) = stage.commands("python3", "deploy/setup/setup.py")
                self.assertEqual(arguments, ["libtorch"])
                sources = [source for copy in stage.copies() for source in copy.sources]
                with tempfile.TemporaryDirectory() as folder:
                    setup = Path(folder) / "deploy/setup"
                    setup.mkdir(parents=True)
                    for source in sources:
                        shutil.copy2(render.REPO / source, setup)
                    self.assertEqual(_used(setup), {Path(source).name for source in sources}, file.name)

    def test_what_writes_the_crates_licences_is_seen_with_all_that_it_imports(self):
        with tempfile.TemporaryDirectory() as folder:
            for path in dockerfiles.files("tools"):
                shutil.copy2(render.REPO / path, folder)
            subprocess.run([sys.executable, "-B", "-c", "import licences"], cwd=folder, check=True, capture_output=True)

    def test_what_is_no_ones_business_or_of_no_use_is_not_seen(self):
        out = dockerfiles.ignored()
        for path in (".env", "worker/.env.local", "key.pem", "notes/todo.txt", ".git/config", ".local/libtorch/lib/libc10.so",
                     "target/debug/sightline", "crates/core/target/x", "docs/kubernetes.md", "CHANGELOG.md", "helm/sightline/Chart.yaml",
                     "bench/ingest/run.py", "deploy/dev/dev.py", "deploy/docker/compose.yaml", "tests/e2e/run.py",
                     "deploy/setup/__pycache__/lock.cpython-311.pyc"):
            self.assertIn(path, out)

    def test_patterns_are_read_as_buildkit_reads_them(self):
        out = dockerfiles.Ignored("# a comment\n*\n!kept\n!deep/er\n**/*.tmp\nkept/not?\n")
        for path, expected in (("kept", False), ("kept/a/b", False), ("kept/a/b.tmp", True), ("deep", True), ("deep/er/x", False),
                               ("deep/other", True), ("kept/not1/x", True), ("kept/not", False), ("x.tmp", True)):
            self.assertEqual(path in out, expected, path)


if __name__ == "__main__":
    unittest.main()
