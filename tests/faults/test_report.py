#!/usr/bin/env python3
"""That a report can be made in several goes, and never mixes what was found of different programs."""

import json
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict

from report import Report, identity


class TheReport(unittest.TestCase):
    """Each in a folder of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "faults.json"

    def written(self) -> Dict[str, Any]:
        return json.loads(self.path.read_text())

    def test_some_faults_are_added_to_what_was_found_of_the_others_each_with_its_seed_and_time(self) -> None:
        first = Report(self.path, "same", seed=1)
        first.add(13, {"lost": 0})
        first.add(2, {"lost": 0})
        second = Report(self.path, "same", seed=7)
        self.assertEqual(second.go_on(), [])
        second.add(2, {"lost": 3})
        second.add(5, {"lost": 0})
        written = self.written()
        self.assertEqual(list(written), ["2", "5", "13"])
        self.assertEqual([entry["seed"] for entry in written.values()], [7, 7, 1])
        self.assertEqual(written["2"]["lost"], 3)
        self.assertTrue(all(entry["at"].endswith("+00:00") for entry in written.values()))

    def test_what_was_found_of_other_programs_is_left_out_and_named(self) -> None:
        earlier = Report(self.path, "before", seed=1)
        earlier.add(1, {"lost": 0})
        Report(self.path, "before", seed=1)
        now = Report(self.path, "after", seed=1)
        self.assertEqual(now.go_on(), ["1"])
        now.add(2, {"lost": 0})
        self.assertEqual(list(self.written()), ["2"])

    def test_an_entry_of_an_older_harness_that_does_not_say_of_what_it_is_is_left_out(self) -> None:
        self.path.write_text(json.dumps({"1": {"lost": 0}}))
        self.assertEqual(Report(self.path, "now").go_on(), ["1"])

    def test_a_report_of_all_faults_starts_anew(self) -> None:
        Report(self.path, "same").add(1, {"lost": 0})
        Report(self.path, "same").add(2, {"lost": 0})
        self.assertEqual(list(self.written()), ["2"])

    def test_a_file_that_is_no_report_is_not_written_over(self) -> None:
        self.path.write_text("{")
        with self.assertRaisesRegex(SystemExit, "Move it away"):
            Report(self.path, "now").go_on()
        self.assertEqual(self.path.read_text(), "{")

    def test_another_program_other_items_and_another_scale_are_another_identity(self) -> None:
        program = self.folder / "sightline-worker"
        program.write_bytes(b"one")
        first = identity([program], items=2000, scale=1.0)
        self.assertEqual(first, identity([program], items=2000, scale=1.0))
        self.assertNotEqual(first, identity([program], items=160, scale=1.0))
        self.assertNotEqual(first, identity([program], items=2000, scale=0.1))
        program.write_bytes(b"two")
        self.assertNotEqual(first, identity([program], items=2000, scale=1.0))


if __name__ == "__main__":
    unittest.main()
