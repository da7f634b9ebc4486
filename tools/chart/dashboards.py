"""Makes the Grafana dashboards of the chart, helm/sightline/dashboards/*.json.

    tools/chart/dashboards.py           writes them
    tools/chart/dashboards.py --check   fails where a file is another
"""

import json
import sys
from typing import Any, Dict, List, Tuple

import drift
import keys

_FOLDER = keys.REPO / "helm/sightline/dashboards"
_WHERE = 'namespace=~"$namespace",release=~"$release"'
# Title, unit, and queries, each with its legend.
Panel = Tuple[str, str, List[Tuple[str, str]]]

# Each coordinator tells of the runs that it reads, a moment apart: none of them is to be added to another.
_RUN = f'{_WHERE},run=~"$run"'
_RUN_ITEMS = f"max by (release, run, dataset, outcome) (sightline_coordinator_run_items{{{_RUN}}})"
_RUN_PLANNED = f"max by (release, run, dataset) (sightline_coordinator_run_planned_items{{{_RUN}}})"
_PROGRESS: List[Panel] = [
    ("Runs under way: items that ended, of those planned so far", "percentunit",
     [(f"sum by (release, run, dataset) ({_RUN_ITEMS}) / {_RUN_PLANNED}", "{{dataset}} {{run}}")]),
    ("Runs under way: items planned so far, and ended, by outcome", "short",
     [(_RUN_PLANNED, "{{dataset}} {{run}} planned"), (_RUN_ITEMS, "{{dataset}} {{run}} {{outcome}}")]),
    ("Items that ended, by outcome", "ops",
     [(f"sum by (outcome) (rate(sightline_worker_items_total{{{_WHERE}}}[$__rate_interval]))", "{{outcome}}")]),
    ("Items that ended in the time shown", "short",
     [(f"sum by (outcome) (increase(sightline_worker_items_total{{{_WHERE}}}[$__range]))", "{{outcome}}")]),
    ("Shards in hand", "short", [(f"sum by (pool) (sightline_worker_shards{{{_WHERE}}})", "{{pool}}")]),
    ("Workers", "short", [(f'count by (pool) (up{{job="worker",{_WHERE}}} == 1)', "{{pool}}")]),
    ("Planning: links, by what became of them", "ops",
     [(f"sum by (outcome) (rate(sightline_coordinator_links_total{{{_WHERE}}}[$__rate_interval]))", "{{outcome}}")]),
    ("Runs created", "short", [(f"sum(increase(sightline_coordinator_runs_created_total{{{_WHERE}}}[$__range]))", "runs")]),
    ("Runs that failed or were cancelled, by why", "short",
     [(f"sum by (reason) (increase(sightline_{service}_runs_stopped_total{{{_WHERE}}}[$__range]))", "{{reason}}")
      for service in ("coordinator", "worker")]),
]
_STAGES: List[Panel] = [
    ("Busy time of a stage per second of a worker", "percentunit",
     [(f"sum by (stage) (rate(sightline_worker_stage_busy_seconds_total{{{_WHERE}}}[$__rate_interval])) / on () group_left "
       f'count(up{{job="worker",{_WHERE}}} == 1)', "{{stage}}")]),
    ("Places of a stage that are taken, mean of the workers", "percentunit",
     [(f"avg by (stage) (sightline_worker_stage_utilisation_ratio{{{_WHERE}}})", "{{stage}}")]),
    ("Devices that have something to compute, mean of a pool", "percentunit",
     [(f"avg by (pool) (sightline_worker_device_busy_ratio{{{_WHERE}}})", "{{pool}}")]),
    ("Items that wait for a stage", "short",
     [(f"sum by (stage) (sightline_worker_stage_waiting_items{{{_WHERE}}})", "{{stage}}")]),
    ("Items in a stage", "short", [(f"sum by (stage) (sightline_worker_stage_items{{{_WHERE}}})", "{{stage}}")]),
    ("Items in a batch of the model, median and 95 %", "short",
     [(f"histogram_quantile({q}, sum by (le) (rate(sightline_worker_batch_items_bucket{{{_WHERE}}}[$__rate_interval])))",
       legend) for q, legend in ((0.5, "median"), (0.95, "95 %"))]),
    ("Time of calls to Milvus, 95 %", "s",
     [(f"histogram_quantile(0.95, sum by (le, db_operation_name) (rate(db_client_operation_duration_seconds_bucket{{{_WHERE}}}"
       "[$__rate_interval])))", "{{db_operation_name}}")]),
    ("Deaths of engines", "short",
     [(f"sum by (pool) (increase(sightline_worker_engine_restarts_total{{{_WHERE}}}[$__rate_interval]))", "{{pool}}")]),
]
# Releases with a virtual host each have queues of the same names.
_OF_QUEUE = 'vhost=~"$vhost",queue=~"sightline[.]'
_QUEUE: List[Panel] = [
    ("Shards waiting", "short",
     [(f'max by (vhost, queue) (rabbitmq_queue_messages_ready{{{_OF_QUEUE}shards[.].*",queue!~".*[.]dead"}})', "{{vhost}} {{queue}}")]),
    ("Shards unacknowledged", "short",
     [(f'max by (vhost, queue) (rabbitmq_queue_messages_unacked{{{_OF_QUEUE}shards[.].*",queue!~".*[.]dead"}})', "{{vhost}} {{queue}}")]),
    ("Planning links", "short",
     [(f'max by (vhost, queue) (rabbitmq_queue_messages{{{_OF_QUEUE}plan.*"}})', "{{vhost}} {{queue}}")]),
    ("Dead letters", "short",
     [(f'max by (vhost, queue) (rabbitmq_queue_messages{{{_OF_QUEUE}.*[.]dead"}})', "{{vhost}} {{queue}}")]),
    ("Workers", "short", [(f'count by (pool) (up{{job="worker",{_WHERE}}} == 1)', "{{pool}}")]),
    ("Messages that were published and that came, but broadcasts", "ops",
     [(f"sum by (messaging_destination_name) (rate(messaging_client_{what}_messages_total{{{_WHERE}}}[$__rate_interval]))",
       f"{{{{messaging_destination_name}}}} {what}") for what in ("sent", "consumed")]),
    ("Time until the broker has a message, 95 %", "s",
     [("histogram_quantile(0.95, sum by (le, messaging_destination_name) "
       f"(rate(messaging_client_operation_duration_seconds_bucket{{{_WHERE}}}[$__rate_interval])))", "{{messaging_destination_name}}")]),
    ("Time of a link or a shard, median", "s",
     [("histogram_quantile(0.5, sum by (le, messaging_destination_name) "
       f"(rate(messaging_process_duration_seconds_bucket{{{_WHERE}}}[$__rate_interval])))", "{{messaging_destination_name}}")]),
]
_ERRORS: List[Panel] = [
    ("Items that failed, by reason", "ops",
     [(f"sum by (reason) (rate(sightline_worker_failures_total{{{_WHERE}}}[$__rate_interval]))", "{{reason}}")]),
    ("Items that failed in the time shown, by reason", "short",
     [(f"sum by (reason) (increase(sightline_worker_failures_total{{{_WHERE}}}[$__range]))", "{{reason}}")]),
    ("Calls, by method and status, but OK", "ops",
     [(f'sum by (rpc_method, rpc_response_status_code) (rate(rpc_server_call_duration_seconds_count{{{_WHERE},'
       'rpc_response_status_code!="OK"}[$__rate_interval]))', "{{rpc_method}} {{rpc_response_status_code}}")]),
    ("Calls to Milvus that failed", "ops",
     [(f'sum by (db_operation_name, error_type) (rate(db_client_operation_duration_seconds_count{{{_WHERE},error_type!=""}}'
       "[$__rate_interval]))", "{{db_operation_name}} {{error_type}}")]),
    ("Messages that were not published or not worked on", "ops",
     [(f'sum by (messaging_destination_name, error_type) (rate({metric}_seconds_count{{{_WHERE},error_type!=""}}[$__rate_interval]))',
       "{{messaging_destination_name}} {{error_type}}") for metric in ("messaging_client_operation_duration", "messaging_process_duration")]),
    ("Searches, by outcome", "ops",
     [(f"sum by (outcome) (rate(sightline_gateway_search_seconds_count{{{_WHERE}}}[$__rate_interval]))", "{{outcome}}")]),
    ("Time of searches", "s",
     [(f'histogram_quantile({q}, sum by (le) (rate(sightline_gateway_search_seconds_bucket{{{_WHERE},outcome="ok"}}'
       "[$__rate_interval])))", legend) for q, legend in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))]),
    ("Thumbnails that could not be made", "ops",
     [(f"sum(rate(sightline_gateway_failed_thumbnails_total{{{_WHERE}}}[$__rate_interval]))", "thumbnails")]),
]
DASHBOARDS: Dict[str, Tuple[str, List[Panel]]] = {
    "progress": ("Sightline: progress of runs", _PROGRESS),
    "stages": ("Sightline: stages of workers", _STAGES),
    "queue": ("Sightline: queues", _QUEUE),
    "errors": ("Sightline: errors and searches", _ERRORS),
}


def variable(name: str, metric: str, source: Dict[str, str]) -> Dict[str, Any]:
    """What is chosen among a label's values; all at first, where the chart does not choose."""
    return {"name": name, "type": "query", "datasource": source, "includeAll": True, "multi": True,
            "query": {"query": f"label_values({metric}, {name})", "refId": name}, "refresh": 2}


def dashboard(name: str) -> Dict[str, Any]:
    title, panels = DASHBOARDS[name]
    source = {"type": "prometheus", "uid": "${datasource}"}
    more = {"queue": [variable("vhost", "rabbitmq_queue_messages", source)],
            "progress": [variable("run", f"sightline_coordinator_run_planned_items{{{_WHERE}}}", source)]}
    return {
        "uid": f"sightline-{name}", "title": title, "tags": ["sightline"], "schemaVersion": 39, "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus"},
            variable("namespace", "sightline_build_info", source),
            variable("release", 'sightline_build_info{namespace=~"$namespace"}', source), *more.get(name, []),
        ]},
        "panels": [{
            "id": index + 1, "type": "timeseries", "title": panel, "datasource": source,
            "gridPos": {"h": 8, "w": 12, "x": 12 * (index % 2), "y": 8 * (index // 2)},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": [{"refId": chr(ord("A") + number), "datasource": source, "expr": expression, "legendFormat": legend}
                        for number, (expression, legend) in enumerate(queries)],
        } for index, (panel, unit, queries) in enumerate(panels)],
    }


if __name__ == "__main__":
    sys.exit(max(drift.main(_FOLDER / f"{name}.json", json.dumps(dashboard(name), indent=1, ensure_ascii=False) + "\n")
                 for name in DASHBOARDS))
