"""Dashboards of several releases in one Grafana, whose sidecar puts the files of all into one folder."""

import json
import unittest

import render

RELEASES = (("search", "demo"), ("search", "next"), ("staging", "demo"))
# What Grafana takes.
LONGEST_UID = 40


def maps(namespace=render.NAMESPACE, release=render.RELEASE, above=None):
    """What the sidecar looks for."""
    found = render.of_kind(render.named("all-in", above=above, namespace=namespace, release=release), "ConfigMap")
    return [item for item in found if item["metadata"]["labels"].get("grafana_dashboard")]


def files(*who, above=None):
    """What it makes files of."""
    return {name: json.loads(text) for item in maps(*who, above=above) for name, text in item["data"].items()}


class Dashboards(unittest.TestCase):
    def test_those_of_two_releases_share_neither_file_nor_uid_nor_title(self):
        found = [files(*who) for who in RELEASES]
        self.assertEqual([len(of) for of in found], [4] * len(RELEASES))
        self.assertEqual(len(set().union(*found)), 4 * len(RELEASES))
        for what in ("uid", "title"):
            self.assertEqual(len({board[what] for of in found for board in of.values()}), 4 * len(RELEASES), what)

    def test_those_of_a_release_stay_what_they_are(self):
        self.assertEqual(files(), files())
        self.assertIn("sightline-search.demo-sightline-errors.json", files())

    def test_uids_and_keys_of_the_longest_names_are_taken(self):
        for name, board in files("n" * 63, "r" * 53, above={"fullnameOverride": "f" * 40}).items():
            self.assertLessEqual(len(board["uid"]), LONGEST_UID)
            self.assertRegex(name, r"^[-._a-zA-Z0-9]{1,253}$")

    def test_panels_are_those_of_the_chart_and_look_at_the_release_and_namespace_that_are_chosen(self):
        made = {file.stem: json.loads(file.read_text()) for file in (render.CHART / "dashboards").glob("*.json")}
        expressions = []
        for board in files().values():
            self.assertIn(board["panels"], [one["panels"] for one in made.values()])
            variables = {variable["name"]: variable for variable in board["templating"]["list"]}
            self.assertEqual(variables["namespace"]["current"]["value"], ["search"])
            self.assertEqual(variables["release"]["current"]["value"], ["demo"])
            self.assertIn('namespace=~"$namespace"', variables["release"]["query"]["query"])
            expressions += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        ours = [expression for expression in expressions if "rabbitmq_" not in expression]
        self.assertGreater(len(ours), 15)
        for expression in ours:
            self.assertEqual(expression.count('namespace=~"$namespace",release=~"$release"'), expression.count("{"), expression)

    def test_annotations_of_the_values_are_on_each(self):
        above = {"monitoring": {"dashboards": {"annotations": {"grafana_folder": "Sightline"}}}}
        for item in maps(above=above):
            self.assertEqual(item["metadata"]["annotations"], {"grafana_folder": "Sightline"})


if __name__ == "__main__":
    unittest.main()
