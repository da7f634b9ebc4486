#!/usr/bin/env python3
"""That a peak is of the time that it is asked for."""

import os
import unittest

import usage

# Far above what Python takes and gives back by itself.
LARGE_MIB = 64
# Above the largest id that Linux gives.
NOBODY = 1 << 30


class ThePeak(unittest.TestCase):
    """Of this process."""

    def test_what_was_given_back_before_it_was_forgotten_does_not_count(self) -> None:
        large = b"\1" * (LARGE_MIB << 20)
        del large
        before = usage.peak_mib(os.getpid())
        usage.forget_peak(os.getpid())
        self.assertLess(usage.peak_mib(os.getpid()), before - LARGE_MIB / 2)
        again = b"\1" * (LARGE_MIB << 20)
        del again
        self.assertGreater(usage.peak_mib(os.getpid()), usage.resident_mib(os.getpid()) + LARGE_MIB / 2)

    def test_where_it_cannot_be_forgotten_that_is_an_error_and_no_figure_of_another_time(self) -> None:
        with self.assertRaises(OSError):
            usage.forget_peak(NOBODY)


if __name__ == "__main__":
    unittest.main()
