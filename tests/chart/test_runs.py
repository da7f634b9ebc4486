"""Runs that the chart makes Jobs of."""

import json
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import jsonschema

import render


SPECIFICATION = "sightline.dev/run"


class Runs(unittest.TestCase):
    def test_a_run_is_a_job_of_the_file_that_apply_takes(self):
        manifests = render.named("all-in")
        schema = json.loads((render.REPO / "docs/run.schema.json").read_text())
        pods = [pod for pod in render.pods(manifests) if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "run"]
        self.assertEqual(len(pods), 2)
        for pod in pods:
            text = pod["metadata"]["annotations"][SPECIFICATION]
            jsonschema.validate(json.loads(text), schema)
            # The file that the client is told of is this text.
            volume = next(volume for volume in pod["spec"]["volumes"] if volume["name"] == "run")
            item = volume["downwardAPI"]["items"][0]
            self.assertEqual(item["fieldRef"], {"fieldPath": f"metadata.annotations['{SPECIFICATION}']"})
            container = pod["spec"]["containers"][0]
            mount = next(mount for mount in container["volumeMounts"] if mount["name"] == "run")
            self.assertIn(f"{mount['mountPath']}/{item['path']}", container["args"])
        # A whole number stays one, though YAML's come as floats.
        self.assertIn('"max_failures": 134217728', "".join(pod["metadata"]["annotations"][SPECIFICATION] for pod in pods))

    def test_a_running_job_needs_nothing_that_an_upgrade_takes_away(self):
        for pod in render.pods(render.named("all-in")):
            if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "run":
                kinds = {kind for volume in pod["spec"]["volumes"] for kind in volume if kind != "name"}
                self.assertEqual(kinds, {"emptyDir", "secret", "downwardAPI"})

    def test_an_upgrade_makes_another_job_for_the_same_request(self):
        def job(arguments=(), above=None):
            found = render.of_kind(render.named("all-in", arguments=list(arguments), above=above), "Job")[0]
            return found["metadata"]["name"], found["spec"], found["spec"]["template"]["spec"]["containers"][0]["args"][-1]
        name, spec, request = job()
        self.assertEqual(job(), (name, spec, request))
        for change in ({"image": {"tag": "0.2.0"}}, {"commonLabels": {"team": "other"}}, {"coordinator": {"service": {"port": 443}}},
                       {"runs": {"once": {"tolerations": [{"key": "spot", "operator": "Exists"}]}}},
                       {"runs": {"once": {"ttlSecondsAfterFinished": 60}}}, {"runs": {"once": {"activeDeadlineSeconds": 60}}}):
            # What is under one name stays the same: the API server takes no other pods for a Job.
            other, changed, same = job(above=change)
            self.assertNotEqual((other, changed), (name, spec), change)
            self.assertNotEqual(other, name, change)
            self.assertEqual(same, request, change)
        # Another specification is another request.
        self.assertNotEqual(job(above={"runs": {"once": {"spec": {"shard_items": 32}}}})[2], request)

    def test_another_version_of_the_chart_makes_another_job_for_the_same_request(self):
        def job(folder):
            found = render.of_kind(render.named("all-in", folder=folder), "Job")[0]
            return found["metadata"]["name"], found["spec"]["template"]["spec"]["containers"][0]["args"][-1]
        with tempfile.TemporaryDirectory() as folder:
            newer = Path(shutil.copytree(render.CHART, Path(folder) / "sightline"))
            chart = newer / "Chart.yaml"
            chart.write_text(re.sub("(?m)^(version|appVersion): .*$", r"\1: 9.9.9", chart.read_text()))
            (name, request), (newer_name, newer_request) = job(render.CHART), job(newer)
        self.assertNotEqual(name, newer_name)
        self.assertEqual(request, newer_request)

    def test_ended_jobs_go_after_a_day_or_when_it_is_said(self):
        self.assertEqual(render.of_kind(render.named("all-in"), "Job")[0]["spec"]["ttlSecondsAfterFinished"], 86400)
        said = {"runs": {"once": {"ttlSecondsAfterFinished": 0}, "nightly": {"ttlSecondsAfterFinished": 3600}}}
        manifests = render.named("all-in", above=said)
        self.assertEqual(render.of_kind(manifests, "Job")[0]["spec"]["ttlSecondsAfterFinished"], 0)
        cron = render.of_kind(manifests, "CronJob")[0]["spec"]["jobTemplate"]["spec"]
        self.assertEqual(cron["ttlSecondsAfterFinished"], 3600)

    def test_a_job_tries_again_what_was_away_and_nothing_that_another_pod_would_end_with_too(self):
        manifests = render.named("all-in")
        cron = render.of_kind(manifests, "CronJob")[0]["spec"]["jobTemplate"]
        for job in (render.of_kind(manifests, "Job")[0], cron):
            spec = job["spec"]
            fails = [rule["onExitCodes"] for rule in spec["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
            self.assertEqual(fails, [{"containerName": "run", "operator": "In", "values": [2, 3, 4]}])
            # A pod that starts its container again is never looked at by the policy.
            self.assertEqual((spec["template"]["spec"]["restartPolicy"], spec["backoffLimit"]), ("Never", 6))

    def limits(self, above=None):
        """Tries and seconds of the Job, and of those of the schedule."""
        manifests = render.named("all-in", above=above)
        job, cron = (render.of_kind(manifests, kind)[0]["spec"] for kind in ("Job", "CronJob"))
        return [(spec["backoffLimit"], spec.get("activeDeadlineSeconds")) for spec in (job, cron["jobTemplate"]["spec"])]

    def test_a_job_of_a_schedule_ends_after_a_day_so_that_it_keeps_no_later_one_from_starting(self):
        self.assertEqual(self.limits(), [(6, None), (6, 86400)])

    def test_tries_and_deadlines_are_those_that_are_said(self):
        said = {"once": {"activeDeadlineSeconds": 3600, "backoffLimit": 0}, "nightly": {"activeDeadlineSeconds": 7200, "backoffLimit": 2}}
        self.assertEqual(self.limits({"runs": said}), [(0, 3600), (2, 7200)])
        self.assertEqual(self.limits({"runs": {"nightly": {"activeDeadlineSeconds": 0}}}), [(6, None), (6, None)])

    def test_each_job_of_a_schedule_is_a_request_of_its_own(self):
        pod = render.of_kind(render.named("all-in"), "CronJob")[0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        self.assertEqual(pod["containers"][0]["args"][-2:], ["--request-id", "$(JOB_NAME)"])

    def test_a_run_with_a_schedule_is_a_cron_job_that_never_runs_twice_at_once(self):
        cron = render.of_kind(render.named("all-in"), "CronJob")[0]["spec"]
        self.assertEqual((cron["schedule"], cron["timeZone"], cron["concurrencyPolicy"]), ("0 3 * * *", "Europe/Zurich", "Forbid"))

    def test_the_client_takes_the_arguments_of_the_job(self):
        pod = render.of_kind(render.named("all-in"), "Job")[0]["spec"]["template"]["spec"]
        client = [str(render.REPO / "target/debug/sightline"), *pod["containers"][0]["args"]]
        command = [argument.replace("/etc/sightline/run/run.yaml", "/nonexistent") for argument in client]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(ended.returncode, 2)
        self.assertIn("cannot apply /nonexistent", ended.stderr)


if __name__ == "__main__":
    unittest.main()
