"""The check itself finds what is wrong."""

import unittest

import render
import schemas


class Strict(unittest.TestCase):
    def damaged(self, values, kind, damage):
        manifest = render.of_kind(render.named(values), kind)[0]
        self.assertEqual(schemas.problems(manifest, "1.34.0"), [])
        damage(manifest["spec"])
        return schemas.problems(manifest, "1.34.0")

    def test_a_field_that_kubernetes_does_not_have_is_found(self):
        def damage(spec):
            spec["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
        self.assertIn("imagePullPolice", self.damaged("minimal", "Deployment", damage)[0])

    def test_a_value_of_the_wrong_type_is_found(self):
        def damage(spec):
            spec["replicas"] = "two"
        self.assertIn("replicas", self.damaged("minimal", "Deployment", damage)[0])

    def test_a_field_that_a_custom_resource_does_not_have_is_found(self):
        for kind, field in (("ScaledObject", "minReplicas"), ("ServiceMonitor", "endpoint"), ("GRPCRoute", "rule")):
            def damage(spec, field=field):
                spec[field] = 1
            self.assertIn(field, self.damaged("all-in", kind, damage)[0])

    def test_an_object_that_nobody_defines_is_an_error(self):
        with self.assertRaises(schemas.NoSchema):
            schemas.problems({"apiVersion": "apps/v2", "kind": "Deployment", "metadata": {"name": "x"}}, "1.34.0")


if __name__ == "__main__":
    unittest.main()
