#!/usr/bin/env python3
"""That the picture of memory over time shows every reading where it belongs."""

import unittest
from typing import Any, Dict, List, Tuple
from xml.etree import ElementTree

import picture

SVG = "{http://www.w3.org/2000/svg}"


def case(*whole_mib: float) -> Dict[str, Any]:
    """A reading each second, up to a budget of 1,000 MiB."""
    seen = [{"s": at + 1.0, "engine_mib": mib - 10, "supervisor_mib": 10} for at, mib in enumerate(whole_mib)]
    return {"budget_mib": 1000.0, "over_time": seen}


def points(drawn: ElementTree.Element) -> List[Tuple[float, float]]:
    """Of the first panel."""
    line = drawn.find(f"{SVG}polyline")
    assert line is not None
    return [(float(x), float(y)) for x, y in (point.split(",") for point in line.attrib["points"].split())]


class Picture(unittest.TestCase):
    """Read as XML."""

    def test_each_reading_is_a_point_later_ones_further_right_and_larger_ones_higher(self) -> None:
        drawn = points(ElementTree.fromstring(picture.svg({"some": case(100, 400, 400)})))
        self.assertEqual(len(drawn), 3)
        (first, low), (second, high), (third, same) = drawn
        self.assertTrue(first < second < third == picture.WIDTH - picture.RIGHT, drawn)
        self.assertTrue(low > high == same, drawn)

    def test_a_line_at_its_budget_lies_on_what_is_allowed(self) -> None:
        drawn = ElementTree.fromstring(picture.svg({"full": case(1000)}))
        (allowed,) = [line for line in drawn.iter(f"{SVG}line") if line.attrib["class"] == "allowed"]
        self.assertEqual(points(drawn)[0][1], float(allowed.attrib["y1"]))

    def test_each_case_has_its_panel_and_one_without_readings_or_with_any_title_is_a_picture_too(self) -> None:
        drawn = ElementTree.fromstring(picture.svg({"a < b": case(), "c": case(10)}))
        titles = [text.text for text in drawn.iter(f"{SVG}text") if text.attrib["class"] == "title"]
        self.assertEqual(titles, ["a < b", "c"])
        self.assertEqual(drawn.attrib["height"], str(2 * picture.HEIGHT))

    def test_a_grid_is_of_few_round_numbers_that_lie_within(self) -> None:
        self.assertEqual(picture.grid(1400), [0, 500, 1000])
        for most in (1, 7, 155.2, 1000, 99_999):
            lines = picture.grid(most)
            self.assertTrue(2 <= len(lines) <= picture.GRID + 1 and lines[-1] <= most, lines)


if __name__ == "__main__":
    unittest.main()
