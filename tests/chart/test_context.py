"""What the builds of images see of the repository: all that they need, and nothing else."""

import re
import tomllib
import unittest

import dockerfiles
import render

_INCLUDE = re.compile(r"include(?:_str|_bytes)?!\(\s*(.*?)\)", re.DOTALL)
# What cargo reads beside the members' folders.
_WORKSPACE = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo/config.toml"]


def members():
    """The folders of the workspace's crates."""
    return tomllib.loads((render.REPO / "Cargo.toml").read_text())["workspace"]["members"]


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
