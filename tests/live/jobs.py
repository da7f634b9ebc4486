"""Jobs and CronJobs of the chart's `runs`, as the cluster's own controllers start them."""

from typing import Any, Dict, Optional

from live import NAMESPACE, RELEASE, Live, Wrong, wait

_JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"


def completed(live: Live, run: str) -> Dict[str, Any]:
    """The first Job of a run in the values that has ended well, or the first of its CronJob."""
    return wait(f"the Job of {run}", lambda: _completed(live, f"{RELEASE}-sightline-run-{run}-"), 600)


def run_of(live: Live, dataset: str, collection: str) -> str:
    """The name of the first run over a dataset into a collection: a schedule may have made more meanwhile."""
    def look() -> Optional[str]:
        newest_first = live.coordinator().ListRuns(page_size=1000)["runs"]
        return next((run["name"] for run in reversed(newest_first) if run["spec"]["dataset"]["name"] == dataset
                     and run["spec"]["collection"] == f"collections/{collection}"), None)
    return wait(f"a run over {dataset}", look)


def _completed(live: Live, prefix: str) -> Optional[Dict[str, Any]]:
    for job in live.plane.api.items(_JOBS):
        name, status = job["metadata"]["name"], job.get("status", {})
        holding = {condition["type"] for condition in status.get("conditions", []) if condition["status"] == "True"}
        if name.startswith(prefix) and "Failed" in holding:
            raise Wrong(f"{name} failed: see its pods' logs in {live.work}/logs; {status['conditions']}")
        if name.startswith(prefix) and "Complete" in holding:
            return job
    return None
