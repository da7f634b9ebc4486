#!/usr/bin/env python3
"""That the time of recovery is that of runs that were hit."""

import sys
import unittest
from pathlib import Path
from typing import List

sys.path.append(str(Path(__file__).resolve().parents[1] / "e2e"))
from trial import Run, Trial  # noqa: E402


def run(began: float, progress: List[float]) -> Run:
    made = Run.__new__(Run)
    made.began, made.progress = began, progress
    return made


def recovered(moments: List[float], *runs: Run) -> float:
    trial = Trial.__new__(Trial)
    trial.over, trial.runs = moments, list(runs)
    return trial.recovered()


class TheTimeOfRecovery(unittest.TestCase):
    def test_is_the_longest_until_the_next_shard(self) -> None:
        self.assertEqual(recovered([2.0, 6.0], run(0.0, [1.0, 2.5, 9.0])), 3.0)

    def test_leaves_out_runs_that_began_after_the_injection(self) -> None:
        self.assertEqual(recovered([2.0], run(0.0, [1.0, 2.5]), run(50.0, [60.0])), 0.5)

    def test_is_none_at_all_where_nothing_was_left_to_do(self) -> None:
        self.assertEqual(recovered([2.0], run(0.0, [1.0])), 0.0)


if __name__ == "__main__":
    unittest.main()
