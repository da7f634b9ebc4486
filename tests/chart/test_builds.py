"""What Dockerfiles run and copy, held against what the workspace builds: no build of an image was tried where this was written."""

import functools
import json
import subprocess
import unittest
import unittest.mock
from pathlib import PurePosixPath

import dockerfiles
import image_sizes
import render

# Words of cargo's that stand alone, and those with a value.
_FLAGS = {"--locked", "--release", "--no-default-features"}
_VALUES = {"--package", "--bin", "--features", "--recipe-path"}


@functools.lru_cache(maxsize=None)
def packages():
    """The workspace's packages by their names."""
    command = ["cargo", "metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"]
    told = subprocess.run(command, cwd=render.REPO, check=True, capture_output=True, text=True).stdout
    return {package["name"]: package for package in json.loads(told)["packages"]}


def said(arguments):
    """The flags of a cargo command, and the values of the others; an error for any that is not known here."""
    words, flags, values = list(arguments), set(), {}
    while words:
        word = words.pop(0)
        if word in _VALUES:
            values[word] = words.pop(0)
        elif word in _FLAGS:
            flags.add(word)
        else:
            raise AssertionError(f"cargo is given {word}, which this test does not know")
    return flags, values


def folder(file, stage):
    """Where the commands of a stage run."""
    return next(place for one in file.lineage(stage) for place in reversed(one.of("WORKDIR")))


def made(file, stage):
    """What the commands of a stage, and of those that it begins from, leave behind for others to copy."""
    for one in file.lineage(stage):
        here = PurePosixPath(folder(file, one.name))
        for arguments in one.commands("cargo", "build"):
            yield here / "target/release" / said(arguments)[1]["--bin"]
        for arguments in one.commands("cargo", "chef", "prepare"):
            yield here / said(arguments)[1]["--recipe-path"]
        for _, written in one.commands("python3", "tools/dist/licences.py"):
            yield here / written
        for arguments in one.commands("mkdir", "-p"):
            yield from map(PurePosixPath, arguments)
        if one.commands("python3", "deploy/setup/setup.py"):
            # As it is here: set up by the same program.
            yield from (here / path.relative_to(render.REPO) for path in (render.REPO / ".local/libtorch").glob("*/*"))


def makes(file, stage, source):
    return any(path == PurePosixPath(source) or PurePosixPath(source) in path.parents or path.match(source) for path in made(file, stage))


class Builds(unittest.TestCase):
    def cargo(self, *command):
        """Every such command, with its file and stage."""
        return [(file, stage, *said(arguments)) for file in dockerfiles.all_of_them() for stage in file.stages
                for arguments in stage.commands("cargo", *command)]

    def test_cargo_is_told_of_packages_programs_and_features_that_there_are(self):
        told = self.cargo("build") + self.cargo("chef", "cook")
        self.assertEqual(len(told), 2 * len(dockerfiles.all_of_them()))
        for file, _, flags, values in told:
            package = packages()[values["--package"]]
            programs = [target["name"] for target in package["targets"] if "bin" in target["kind"]]
            self.assertIn(values.get("--bin", programs[0]), programs, file.name)
            self.assertLessEqual(set(values.get("--features", "").split(",")) - {""}, set(package["features"]), file.name)
            self.assertLessEqual({"--locked", "--release"}, flags, file.name)

    def test_the_layer_of_dependencies_is_built_as_the_program_is(self):
        cooked = {file.name: (stage.name, flags, values["--package"], values.get("--features"))
                  for file, stage, flags, values in self.cargo("chef", "cook")}
        built = {file.name: (stage.name, flags, values["--package"], values.get("--features"))
                 for file, stage, flags, values in self.cargo("build")}
        self.assertEqual(cooked, built)

    def test_what_stages_copy_from_others_these_make(self):
        checked = 0
        for file in dockerfiles.all_of_them():
            for copy in [copy for stage in file.stages for copy in stage.copies() if copy.stage is not None]:
                for source in copy.sources:
                    self.assertTrue(makes(file, copy.stage, source), f"{file.name}: {copy.stage} makes no {source}")
                    checked += 1
        self.assertGreater(checked, 10)

    def test_a_source_that_no_stage_makes_would_be_found(self):
        worker = next(file for file in dockerfiles.all_of_them() if file.name == "worker")
        for source in ("/src/target/release/sightline-works", "/src/.local/libtorch/licences", "/src/.local/libtorch/lib/*.dll"):
            self.assertFalse(makes(worker, "build", source), source)

    def test_what_is_stripped_and_run_is_what_was_built_and_copied(self):
        for file, stage, _, values in self.cargo("build"):
            program = values["--bin"]
            self.assertEqual(stage.commands("strip"), [[f"target/release/{program}"]])
            (copied,) = [copy.target for copy in file.final.copies() if copy.sources == [f"/src/target/release/{program}"]]
            self.assertEqual(file.final.of("ENTRYPOINT"), [f'["{copied}"]'])

    def test_every_image_carries_our_licence_and_those_of_the_crates_in_its_program(self):
        for file in dockerfiles.all_of_them():
            kept = {copy.target for copy in file.final.copies()}
            self.assertLessEqual({"/opt/sightline/licenses/sightline/LICENSE", "/opt/sightline/licenses/crates.txt"}, kept, file.name)

    def test_every_part_of_an_image_counts_in_its_computed_size(self):
        with unittest.mock.patch.multiple(image_sizes, _of_torch=list, _of_crates=list):
            for file in dockerfiles.all_of_them():
                names = [image_sizes.local(source, render.REPO)[0] for copy in file.final.copies() for source in copy.sources]
                self.assertEqual(sum(names.count(part) for part in ("program", "libraries", "licences")), len(names), file.name)
                installed = {word for words in file.final.commands("apt-get", "install") for word in words if not word.startswith("-")}
                self.assertLessEqual(installed, set(image_sizes.BRINGS), file.name)


if __name__ == "__main__":
    unittest.main()
