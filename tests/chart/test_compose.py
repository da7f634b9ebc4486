"""The compose file: nothing starts it where this was written."""

import json
import re
import subprocess
import unittest

import jsonschema
import yaml

import binaries
import dockerfiles
import keys
import render

_SCHEMA = render.REPO / ".local/definitions/compose-schema/compose-spec.json"
_PROMTOOL = render.REPO / ".local/prometheus/promtool"
_SERVICES = ("coordinator", "worker", "gateway")


def compose():
    return yaml.safe_load((dockerfiles.FOLDER / "compose.yaml").read_text())


def alerts():
    return yaml.safe_load((dockerfiles.FOLDER / "compose/rules.yaml").read_text())["groups"][0]["rules"]


class Compose(unittest.TestCase):
    def test_it_follows_the_compose_specification(self):
        schema = json.loads(_SCHEMA.read_text())
        errors = jsonschema.Draft202012Validator(schema).iter_errors(compose())
        self.assertEqual([f"{list(error.path)}: {error.message}" for error in errors], [])

    def test_a_misspelt_key_would_be_found(self):
        wrong = compose()
        wrong["services"]["worker"]["enviroment"] = {}
        schema = json.loads(_SCHEMA.read_text())
        self.assertTrue(list(jsonschema.Draft202012Validator(schema).iter_errors(wrong)))

    def test_the_services_take_their_variables(self):
        for service in _SERVICES:
            values = compose()["services"][service]["environment"]
            container = {"env": [{"name": name, "value": value} for name, value in values.items()]}
            self.assertEqual(binaries.unknown_variables(service, container), [])
            self.assertEqual(binaries.complaint(service, container), "")

    def test_files_volumes_and_dependencies_that_are_named_are_there(self):
        whole = compose()
        for name, service in whole["services"].items():
            self.assertLessEqual(set(service.get("depends_on", {})), set(whole["services"]), name)
            for volume in service.get("volumes", []):
                source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue((dockerfiles.FOLDER / source).exists(), source)
                elif not source.startswith("$"):
                    self.assertIn(source, whole["volumes"])

    def test_our_own_images_are_built_for_what_their_libraries_are_pinned_for(self):
        for service in _SERVICES:
            self.assertEqual(compose()["services"][service]["platform"], "linux/amd64")

    def test_nothing_is_published_beyond_loopback(self):
        for name, service in compose()["services"].items():
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), f"{name}: {port}")

    def test_prometheus_asks_the_services_for_metrics_where_they_serve_them(self):
        jobs = yaml.safe_load((dockerfiles.FOLDER / "compose/prometheus.yaml").read_text())["scrape_configs"]
        for job in jobs[:3]:
            values = compose()["services"][job["job_name"]]["environment"]
            port = job["dns_sd_configs"][0]["port"]
            self.assertEqual(values["SIGHTLINE_OBSERVABILITY__ADDRESS"], f"0.0.0.0:{port}")

    def test_prometheus_has_the_alerts_of_the_chart_but_those_of_encoders(self):
        mounted = dict(volume.split(":")[1::-1] for volume in compose()["services"]["prometheus"]["volumes"])
        files = yaml.safe_load((dockerfiles.FOLDER / "compose/prometheus.yaml").read_text())["rule_files"]
        self.assertEqual([mounted[file] for file in files], ["./compose/rules.yaml"])
        command = [str(_PROMTOOL), "check", "rules", str(dockerfiles.FOLDER / mounted[files[0]])]
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        charts = render.of_kind(render.named("all-in"), "PrometheusRule")[0]["spec"]["groups"][0]["rules"]
        self.assertEqual([rule["alert"] for rule in alerts()], [rule["alert"] for rule in charts if rule["alert"] != "SightlineEncoderDown"])

    def test_prometheus_gives_its_series_the_labels_that_alerts_choose_and_sum_by(self):
        jobs = {job["job_name"]: job for job in yaml.safe_load((dockerfiles.FOLDER / "compose/prometheus.yaml").read_text())["scrape_configs"]}
        given = {name: {rule["target_label"]: rule.get("replacement") for rule in job.get("relabel_configs", [])} for name, job in jobs.items()}
        asked = {(rule["labels"]["release"], rule["labels"]["namespace"]) for rule in alerts()}
        for service in _SERVICES:
            self.assertEqual({(given[service]["release"], given[service]["namespace"])}, asked)
            self.assertIn("pod", given[service])
        pools = {pool for rule in alerts() for pool in re.findall(r'pool=~"([^"]+)"', rule["expr"])}
        self.assertEqual(pools, {given["worker"]["pool"]})
        # The broker's virtual host is the one that its clients name none of.
        self.assertEqual({vhost for rule in alerts() for vhost in re.findall(r'vhost="([^"]+)"', rule["expr"])}, {"/"})
        for service in ("coordinator", "worker"):
            self.assertRegex(compose()["services"][service]["environment"]["SIGHTLINE_QUEUE__URL"], r"^amqp://[^/]+$")

    def test_our_services_are_healthy_when_they_say_that_they_are_ready(self):
        images = {file.name: file for file in dockerfiles.all_of_them()}
        for service in _SERVICES:
            (program,) = json.loads(images[service].final.of("ENTRYPOINT")[0])
            said = compose()["services"][service]
            self.assertEqual(said["healthcheck"]["test"], ["CMD", program, "--check-ready"])
            self.assertEqual(said["environment"]["SIGHTLINE_OBSERVABILITY__ADDRESS"].rpartition(":")[2], "9090")

    def test_the_check_is_one_that_the_services_know(self):
        for service in _SERVICES:
            # A port at which nobody can answer: ready is then a connection that is refused, and no wrong configuration.
            values = {**compose()["services"][service]["environment"], "SIGHTLINE_OBSERVABILITY__ADDRESS": "127.0.0.1:1"}
            ended = subprocess.run([*keys.program(service), "--check-ready"], env=values, capture_output=True, text=True, check=False)
            self.assertEqual(ended.returncode, 1, ended.stderr)
            self.assertIn("127.0.0.1:1", ended.stderr)

    def test_whatever_is_waited_for_can_tell_that_it_is_healthy(self):
        services = compose()["services"]
        for name, service in services.items():
            for other, how in service.get("depends_on", {}).items():
                self.assertIn(how["condition"], ("service_healthy", "service_completed_successfully"), name)
                self.assertEqual(how["condition"] == "service_healthy", "healthcheck" in services[other], f"{name} waits for {other}")
        # The one ends by itself; in the other's image there is nothing that could ask.
        self.assertEqual({name for name, service in services.items() if "healthcheck" not in service}, {"bucket", "otel-collector"})

    def test_the_docs_say_which_versions_were_tested_and_which_are_pinned(self):
        setup = render.REPO / "deploy/setup"
        locked = {entry["package"]: entry["version"] for entries in json.loads((setup / "lock.json").read_text()).values() for entry in entries}
        moto = re.search(r"(?m)^moto\[s3\]==(\S+)$", (setup / "requirements/moto.in").read_text())[1]
        tested = {"rabbitmq": [locked["rabbitmq-server"].partition("-")[0]], "milvus": [locked["milvus"], locked["milvus-lite"]],
                  "minio": [locked["github.com/minio/minio"].rpartition("-")[2], moto], "prometheus": [locked["prometheus"].partition("+")[0]],
                  "otel-collector": ["none"], "grafana": ["none"]}
        rows = re.findall(r"(?m)^\| (.*) \| (.*) \| (.*) \|$", (render.REPO / "docs/kubernetes.md").read_text())
        names = {"rabbitmq": "RabbitMQ", "milvus": "Milvus", "minio": "S3", "prometheus": "Prometheus",
                 "otel-collector": "OpenTelemetry collector", "grafana": "Grafana"}
        for service, versions in tested.items():
            (row,) = [row for row in rows if row[0] == names[service]]
            for version in versions:
                self.assertRegex(row[1], rf"(?<![\w.]){re.escape(version)}(?![\w.])")
            pinned = compose()["services"][service]["image"].rpartition(":")[2]
            self.assertEqual(row[2].split()[-1], pinned.removeprefix("v").removesuffix("-management"))

    def test_what_is_under_way_has_less_time_than_docker_gives(self):
        for service in _SERVICES:
            said = compose()["services"][service]
            (drain,) = [key for key in keys.of(service) if key.name == "shutdown.drain_seconds"]
            seconds = int(said["environment"].get(drain.variable, drain.default))
            # As in the chart. Docker's own is 10 s, where none is said.
            self.assertGreaterEqual(int(said["stop_grace_period"].removesuffix("s")), seconds + 5, service)

    def test_all_but_what_ends_by_itself_comes_up_again_with_the_machine(self):
        services = compose()["services"]
        ends = {other for service in services.values() for other, how in service.get("depends_on", {}).items()
                if how["condition"] == "service_completed_successfully"}
        self.assertEqual({name for name, service in services.items() if service.get("restart") != "unless-stopped"}, ends)


if __name__ == "__main__":
    unittest.main()
