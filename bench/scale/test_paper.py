#!/usr/bin/env python3
"""That what 1,000 devices need is counted by what workers and coordinators send."""

import re
import unittest
from pathlib import Path

import paper

REPOSITORY = Path(__file__).resolve().parents[2]


class Paper(unittest.TestCase):
    """Without a broker."""

    def test_workers_report_without_any_work_and_as_often_as_their_configuration_says(self) -> None:
        self.assertEqual(paper.messages_a_second(0, 256), 200)
        configured = (REPOSITORY / "worker/src/config.rs").read_text()
        self.assertEqual(re.findall(r"report_every: Duration::from_secs\((\d+)\)", configured), [str(paper.REPORT_SECONDS)])

    def test_a_shard_is_two_messages_and_its_part_of_a_link(self) -> None:
        self.assertEqual(paper.messages_a_second(256, 256) - paper.messages_a_second(0, 256), 2.25)

    def test_the_table_has_a_row_for_each_speed_and_size_of_shard_and_says_where_a_server_takes_more(self) -> None:
        report = {"broker": {"published_per_s": 20_000, "consumed_per_s": 60_000, "still_grew": True},
                  "index": {"rows_per_s": 5_000, "still_grew": False}}
        lines = paper.table(report).splitlines()
        self.assertIn("| 20 | 20,000 | 256 | 376 | 0.02 | 4 |", lines)
        self.assertEqual(len(lines), 2 + len(paper.SPEEDS) * len(paper.SHARDS) + 2)
        self.assertTrue(lines[-1].startswith("What this broker takes is more"), lines[-1])


if __name__ == "__main__":
    unittest.main()
