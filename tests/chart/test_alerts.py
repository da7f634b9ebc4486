"""The alerts: what they ask for, and when they fire, as Prometheus' own promtool computes them."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

import render

PROMTOOL = render.REPO / ".local/prometheus/promtool"
WHERE = 'release="demo",namespace="search"'


def rules(above=None, **who):
    """The alerts of all-in.yaml, with the values `above` over it."""
    found = render.of_kind(render.named("all-in", above=above, **who), "PrometheusRule")[0]
    return found["spec"]["groups"][0]["rules"]


def firing(alert, series, above=None):
    """The labels of what fires of one alert an hour after series begin, each a name and promtool's notation of its values by minute."""
    rule = next(dict(rule) for rule in rules(above) if rule["alert"] == alert)
    # What an alert says is not compared.
    del rule["annotations"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": [rule]}]}))
        # With nothing expected, promtool tells what it got.
        (Path(folder) / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [{
            "interval": "1m", "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [{"alertname": alert, "eval_time": "1h"}]}]}))
        ended = subprocess.run([str(PROMTOOL), "test", "rules", "tests.yaml"], cwd=folder, capture_output=True, text=True, check=False)
    told = ended.stdout + ended.stderr
    if ended.returncode == 0:
        return []
    got = re.search(r"got:\[(.*)\]", told, re.S)
    if got is None:
        raise AssertionError(told)
    return [dict(re.findall(r'(\w+)="([^"]*)"', labels)) for labels in re.findall(r"Labels:\{(.*?)\}", got[1])]


class Sources(unittest.TestCase):
    def test_every_alert_has_its_page_and_every_page_its_alert(self):
        rules = render.of_kind(render.named("all-in"), "PrometheusRule")[0]["spec"]["groups"][0]["rules"]
        alerts = {rule["alert"] for rule in rules}
        pages = {file.stem for file in (render.REPO / "docs/runbooks").glob("Sightline*.md")}
        self.assertEqual(alerts, pages)
        for rule in rules:
            self.assertEqual(rule["annotations"]["runbook_url"], f"https://docs.example.com/runbooks/{rule['alert']}.md")

    def test_alerts_and_dashboards_ask_for_metrics_that_the_services_export(self):
        operating = (render.REPO / "docs/operating.md").read_text()
        documented = set(re.findall(r"`((?:sightline|rpc|db|messaging)_\w+)`", operating))
        manifests = render.named("all-in")
        texts = [str(render.of_kind(manifests, "PrometheusRule"))]
        texts += [str(item["data"]) for item in render.of_kind(manifests, "ConfigMap")]
        named = r"\b(?:(?:sightline_(?:grpc|coordinator|worker|gateway|build)|rpc_server|db_client|messaging_client|messaging_process)_\w+|sightline_ready\b)"
        asked = {name for text in texts for name in re.findall(named, text)}
        self.assertGreater(len(asked), 9)
        for name in asked:
            self.assertIn(re.sub(r"_(bucket|count|sum)$", "", name), documented)

    def test_alerts_of_searches_name_outcomes_and_times_that_the_gateway_counts_by(self):
        searching = (render.REPO / "gateway/src/searching.rs").read_text()
        metrics = (render.REPO / "gateway/src/metrics.rs").read_text()
        outcomes = set(re.findall(r'=> "(\w+)",', searching)) | {"ok", "cancelled"}
        self.assertIn('outcome: "cancelled"', metrics)
        first, factor, count = re.search(r"exponential_buckets\((0\.\d+), (\d\.\d), (\d+)\)", metrics).groups()
        bounds = {f"{float(first) * float(factor) ** power:g}" for power in range(int(count))}
        asked = [rule["expr"] for rule in rules() if rule["alert"].startswith("SightlineSearches")]
        self.assertEqual(len(asked), 2)
        for expression in asked:
            for named in re.findall(r'outcome=~?"([^"]*)"', expression):
                self.assertLessEqual(set(named.split("|")), outcomes)
            self.assertLessEqual(set(re.findall(r'le="([^"]*)"', expression)), bounds)


class Ready(unittest.TestCase):
    def fires(self, component, pods):
        series = {'sightline_ready{job="other"}': "1x90"}
        series |= {f'sightline_ready{{{WHERE},job="{component.lower()}",pod="{pod}"}}': f"{ready}x90" for pod, ready in pods.items()}
        return bool(firing(f"Sightline{component}Down", series))

    def test_a_service_is_down_where_none_of_its_pods_is_ready_though_they_answer_scrapes(self):
        for component in ("Coordinator", "Gateway", "Encoder"):
            self.assertTrue(self.fires(component, {"a": 0, "b": 0}), component)
            self.assertTrue(self.fires(component, {}), component)
            self.assertFalse(self.fires(component, {"a": 0, "b": 1}), component)


class Runs(unittest.TestCase):
    def failed(self, service, reason, values):
        series = f'sightline_{service}_runs_stopped_total{{{WHERE},reason="{reason}"}}'
        return [labels["reason"] for labels in firing("SightlineRunFailed", {series: values})]

    def test_a_run_that_failed_just_now_is_told_with_its_reason(self):
        just_now = "0x50 1x40"
        self.assertEqual(self.failed("coordinator", "too_many_failures", just_now), ["too_many_failures"])
        self.assertEqual(self.failed("worker", "model_mismatch", just_now), ["model_mismatch"])
        self.assertEqual(self.failed("coordinator", "cancelled", just_now), [])

    def test_a_run_that_failed_long_ago_is_told_no_more(self):
        self.assertEqual(self.failed("coordinator", "dataset_unreadable", "0x10 1x80"), [])
        self.assertEqual(self.failed("worker", "collection_mismatch", "0x90"), [])


class Releases(unittest.TestCase):
    def test_alerts_of_two_releases_are_told_apart_by_their_labels_and_by_what_they_say(self):
        releases = {(namespace, release): {rule["alert"]: rule for rule in rules(namespace=namespace, release=release)}
                    for namespace, release in (("search", "demo"), ("search", "next"), ("staging", "demo"))}
        alerts = set.union(*map(set, releases.values()))
        self.assertGreater(len(alerts), 10)
        for alert in alerts:
            # What Alertmanager tells alerts apart by, where the expression leaves nothing of the series.
            labels = {tuple(sorted(found[alert]["labels"].items())) for found in releases.values()}
            self.assertEqual(len(labels), len(releases), alert)
            for (namespace, release), found in releases.items():
                self.assertEqual(found[alert]["labels"], {**found[alert]["labels"], "release": release, "namespace": namespace})
                self.assertTrue(found[alert]["annotations"]["summary"].startswith(f"{namespace}/{release}: "))

    def test_what_fires_says_which_release_it_is_of(self):
        series = {f'sightline_worker_items_total{{{WHERE},outcome="failed"}}': "0+60x90"}
        fired = firing("SightlineItemsFail", series)
        self.assertEqual([(labels["release"], labels["namespace"]) for labels in fired], [("demo", "search")])

    def test_a_release_whose_name_is_a_number_has_labels_that_are_text(self):
        self.assertEqual({rule["labels"]["release"] for rule in rules(release="2024")}, {"2024"})


class Searches(unittest.TestCase):
    """A minute has 60 searches, of which some end in another way than the rest."""

    def series(self, others):
        found = {}
        for outcome, (count, seconds) in {"ok": (60, 0.1), **others}.items():
            labels = f'{WHERE},outcome="{outcome}",legs="1"'
            for bound in ("0.128", "0.256", "2.048", "32.768", "+Inf"):
                inside = count if seconds <= float(bound) else 0
                found[f'sightline_gateway_search_seconds_bucket{{{labels},le="{bound}"}}'] = f"0+{inside}x90"
            found[f"sightline_gateway_search_seconds_count{{{labels}}}"] = f"0+{count}x90"
        return found

    def fail(self, others):
        return bool(firing("SightlineSearchesFail", self.series(others)))

    def slow(self, others):
        return bool(firing("SightlineSearchesSlow", self.series(others)))

    def test_searches_that_callers_gave_up_after_waiting_are_failed_ones(self):
        # As they are counted while the index answers nothing.
        self.assertTrue(self.fail({"ok": (0, 0.1), "cancelled": (60, 10)}))
        self.assertTrue(self.fail({"cancelled": (10, 0.5)}))

    def test_searches_that_callers_cancel_at_once_are_no_failed_ones(self):
        self.assertFalse(self.fail({"cancelled": (60, 0.1)}))

    def test_failures_of_the_service_are_told_from_those_of_the_caller(self):
        self.assertFalse(self.fail({}))
        for outcome in ("unavailable", "internal", "resource_exhausted"):
            self.assertTrue(self.fail({outcome: (10, 0.1)}), outcome)
            self.assertFalse(self.fail({outcome: (1, 0.1)}), outcome)
        for outcome in ("invalid_argument", "not_found", "failed_precondition"):
            self.assertFalse(self.fail({outcome: (60, 0.1)}), outcome)

    def test_searches_are_slow_however_they_end(self):
        self.assertFalse(self.slow({}))
        for outcome in ("ok", "cancelled", "unavailable"):
            self.assertTrue(self.slow({outcome: (60, 10)}), outcome)

    def test_calls_that_are_refused_at_once_make_slow_ones_no_rarer(self):
        self.assertTrue(self.slow({"ok": (60, 10), "invalid_argument": (60000, 0.1)}))


class Calls(unittest.TestCase):
    """A minute has 60 calls, which end with one status."""

    def refused(self, status):
        of = f'{WHERE},job="gateway",rpc_method="sightline.v1.Search/Search",rpc_response_status_code="{status}"'
        fired = firing("SightlineCallsRefused", {f"rpc_server_call_duration_seconds_count{{{of}}}": "0+60x90"})
        return [labels["job"] for labels in fired]

    def test_refused_calls_are_told_by_the_service_that_refuses_them(self):
        self.assertEqual(self.refused("RESOURCE_EXHAUSTED"), ["gateway"])
        self.assertEqual(self.refused("UNAVAILABLE"), [])


class Workers(unittest.TestCase):
    # As RabbitMQ has it unless told otherwise: the broker takes back what a consumer has held for so long, and counts a delivery.
    CONSUMER_TIMEOUT_MINUTES = 30

    def stalled(self, **workers):
        """The pods that the alert names, of workers with so many shards in hand and items ended a minute."""
        series = {}
        for pod, (shards, items) in workers.items():
            labels = f'{WHERE},pool="clip",pod="{pod}"'
            series[f"sightline_worker_shards{{{labels}}}"] = f"{shards}x90"
            if items is not None:
                series[f'sightline_worker_items_total{{{labels},outcome="indexed"}}'] = f"40+{items}x90"
        fired = firing("SightlineWorkersStalled", series)
        self.assertEqual({labels["pool"] for labels in fired}, {"clip"} if fired else set())
        return sorted(labels["pod"] for labels in fired)

    def test_a_worker_that_stands_still_is_named_however_well_others_of_its_pool_work(self):
        self.assertEqual(self.stalled(stuck=(2, 0), busy=(2, 60)), ["stuck"])
        # One that never ended an item has no count of them.
        self.assertEqual(self.stalled(one=(2, 0), two=(1, None)), ["one", "two"])

    def test_a_worker_without_shards_or_with_slow_ones_is_not_stalled(self):
        self.assertEqual(self.stalled(idle=(0, 0), slow=(2, 1)), [])

    def test_a_worker_that_computes_is_not_stalled_though_none_of_its_long_shards_has_ended(self):
        at = 'release="demo",namespace="search",pool="clip",pod="long"'
        series = {f"sightline_worker_shards{{{at}}}": "2x90", f'sightline_worker_items_total{{{at},outcome="indexed"}}': "0x90"}
        self.assertEqual(len(firing("SightlineWorkersStalled", series)), 1)
        series[f"sightline_worker_batch_items_count{{{at}}}"] = "0+1x90"
        self.assertEqual(firing("SightlineWorkersStalled", series), [])

    def test_it_is_told_in_less_than_half_of_the_time_after_which_the_broker_takes_shards_back(self):
        rule = next(rule for rule in rules() if rule["alert"] == "SightlineWorkersStalled")
        windows = {int(found) for found in re.findall(r"\[(\d+)m\]", rule["expr"])}
        self.assertEqual(len(windows), 1)
        self.assertLess(sum(windows) + int(rule["for"].removesuffix("m")), self.CONSUMER_TIMEOUT_MINUTES / 2)


class Queues(unittest.TestCase):
    def setUp(self):
        pools = render.of_kind(render.named("all-in"), "ScaledObject")
        self.clip, self.siglip = [re.sub(r"^\^|\(.*|\\", "", pool["spec"]["triggers"][0]["metadata"]["queueName"]) for pool in pools]

    def not_worked(self, waiting, working=(), consumers=(), vhost="sightline", above=None, namespace="search"):
        """The queues that the alert names: some in which shards wait, while some pools end items."""
        series = {f'rabbitmq_queue_messages_ready{{vhost="{vhost}",queue="{queue}"}}': "5x90" for queue in waiting}
        series |= {f'rabbitmq_queue_consumers{{vhost="{vhost}",queue="{queue}"}}': "1x90" for queue in consumers}
        series |= {f'sightline_worker_items_total{{release="demo",namespace="{namespace}",pool="{pool}",outcome="indexed"}}': "0+60x90"
                   for pool in working}
        fired = firing("SightlineQueueNotWorked", series, above)
        for labels in fired:
            self.assertEqual(labels["vhost"], vhost)
        return sorted(labels["queue"] for labels in fired)

    def test_a_queue_that_its_own_pool_works_on_is_worked(self):
        self.assertEqual(self.not_worked([self.clip], ["clip"]), [])
        self.assertEqual(self.not_worked([self.clip, self.siglip], ["clip", "clip-gpu"]), [])

    def test_a_queue_that_only_other_pools_could_work_on_is_not(self):
        self.assertEqual(self.not_worked([self.clip, self.siglip], ["clip"]), [self.siglip])
        self.assertEqual(self.not_worked([self.clip]), [self.clip])

    def test_a_pool_of_another_release_works_on_nothing_here(self):
        self.assertEqual(self.not_worked([self.clip], ["clip"], namespace="elsewhere"), [self.clip])

    def test_any_pool_works_on_the_queue_of_imports(self):
        self.assertEqual(self.not_worked(["sightline.shards.any"]), ["sightline.shards.any"])
        self.assertEqual(self.not_worked(["sightline.shards.any"], ["clip-gpu"]), [])

    def test_a_queue_that_no_pool_is_for_is_not_worked_unless_somebody_takes_from_it(self):
        other = "sightline.shards.other.01234567"
        self.assertEqual(self.not_worked([other], ["clip", "clip-gpu"]), [other])
        self.assertEqual(self.not_worked([other], ["clip"], consumers=[other]), [])

    def test_a_release_without_pools_asks_of_every_queue_whether_somebody_takes_from_it(self):
        # Beside another release with pools, as for gateways with another model.
        alone, queues = {"workers": None, "runs": None}, [self.clip, "sightline.shards.any"]
        self.assertEqual(self.not_worked(queues, consumers=queues, above=alone), [])
        self.assertEqual(self.not_worked(queues, above=alone), sorted(queues))
        self.assertEqual(self.not_worked([f"{self.clip}.dead"], above=alone), [])

    def test_dead_and_delayed_messages_are_no_waiting_shards(self):
        self.assertEqual(self.not_worked([f"{self.clip}.dead", f"{self.clip}.delay.1000"]), [])

    def test_queues_of_another_virtual_host_are_none_of_ours(self):
        self.assertEqual(self.not_worked([self.clip, "sightline.shards.other.01234567"], vhost="other"), [])
        dead = {f'rabbitmq_queue_messages{{vhost="{vhost}",queue="{self.clip}.dead"}}': "1x90" for vhost in ("sightline", "other")}
        self.assertEqual([labels["vhost"] for labels in firing("SightlineDeadLetters", dead)], ["sightline"])

    def test_the_virtual_host_is_that_of_an_address_without_secret(self):
        for url, vhost in (("amqp://rabbitmq:5672", "/"), ("amqp://rabbitmq:5672/search", "search"), ("amqp://rabbitmq:5672/%2f", "/"),
                           ("amqp://rabbitmq:5672/a%2fb", "a/b")):
            plain = {"queue": {"url": url, "existingSecret": {"name": ""}}, "monitoring": {"prometheusRule": {"vhost": ""}}}
            self.assertEqual(self.not_worked([self.clip], vhost=vhost, above=plain), [self.clip], url)
            self.assertEqual(self.not_worked([self.clip], ["clip"], vhost=vhost, above=plain), [], url)

    def test_pools_of_one_model_work_on_one_queue(self):
        model = yaml.safe_load((render.VALUES / "all-in.yaml").read_text())["workers"]["clip"]["model"]
        both = {"workers": {"clip-more": {"model": model}}}
        for working in ("clip", "clip-more"):
            self.assertEqual(self.not_worked([self.clip], [working], above=both), [])
        self.assertEqual(self.not_worked([self.clip], ["clip-gpu"], above=both), [self.clip])


if __name__ == "__main__":
    unittest.main()
