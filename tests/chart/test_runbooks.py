"""The pages of alerts: commands that reach the release that the alert is of, and no other."""

import re
import unittest

import render

_FOLDER = render.REPO / "docs/runbooks"
_SECTIONS = ["What it means", "Where to look", "What to do", "When it is over"]


class Runbooks(unittest.TestCase):
    def pages(self):
        found = {file.stem: file.read_text() for file in _FOLDER.glob("Sightline*.md")}
        self.assertGreater(len(found), 10)
        return found

    def test_every_page_says_what_where_and_how_and_how_to_see_that_it_is_over(self):
        for name, text in self.pages().items():
            self.assertEqual(re.findall(r"^## (.+)$", text, re.M), _SECTIONS, name)
            self.assertTrue(text.startswith(f"# {name}\n"))
            self.assertEqual(text.count("```promql\n"), 1, name)

    def test_commands_name_the_namespace_and_choose_by_the_release(self):
        commands = 0
        for name, text in {**self.pages(), "README": (_FOLDER / "README.md").read_text()}.items():
            for command in re.findall(r"(?:`|^ *|\$\()((?:kubectl|helm) [^`)]*)", text.replace("\\\n", ""), re.M):
                commands += 1
                self.assertRegex(command, r"^(kubectl|helm) -n NAMESPACE ", name)
                for chosen in re.findall(r"-l +(\S+)", command):
                    self.assertIn("app.kubernetes.io/instance=RELEASE", chosen, name)
                if re.search(r"(get|logs|status) (pods|service|scaledobject|deployment|-l)", command):
                    self.assertIn(" -l ", command, name)
        self.assertGreater(commands, 20)

    def test_pods_are_reached_through_kubectl(self):
        for name, text in self.pages().items():
            self.assertNotIn("://POD", text, name)
            self.assertEqual("--worker " in text, "port-forward pod/POD 7302" in text, name)

    def test_what_the_labels_of_commands_say_the_chart_says(self):
        components = {component for text in self.pages().values() for component in re.findall(r"app\.kubernetes\.io/component=(\w+)", text)}
        made = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in render.pods(render.named("all-in"))}
        self.assertLessEqual(components, made)
        self.assertGreater(len(components), 3)


if __name__ == "__main__":
    unittest.main()
