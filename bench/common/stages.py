"""Which stage of the workers the others waited for in a run: what `sightline top` shows live (docs/profiling.md)."""

from typing import Any, Dict, List, NamedTuple

# From this share of its places on a stage is full: as `cli/src/top/load.rs` has it.
FULL = 0.85
# Below this share, beginning and end of the run included, it is not a stage that the run waited for.
SOME = 0.5


class Stage(NamedTuple):
    """One stage of all workers since they were started."""

    busy_s: float
    places: int
    done: int


def totals(statuses: List[Dict[str, Any]]) -> Dict[str, Stage]:
    """By name, in the order of the flow, from what the workers' `GetStatus` answers."""
    found: Dict[str, Stage] = {}
    for stage in (stage for status in statuses for stage in status["stages"]):
        seen = found.get(stage["name"], Stage(0.0, 0, 0))
        found[stage["name"]] = Stage(seen.busy_s + float(stage["busy_seconds"]), seen.places + int(stage["places"]),
                                     seen.done + int(stage["done"]))
    return found


def shares(before: Dict[str, Stage], after: Dict[str, Stage], seconds: float) -> Dict[str, float]:
    """The share of each stage's places that was taken over so many seconds."""
    none = Stage(0.0, 0, 0)
    return {name: min(1.0, (stage.busy_s - before.get(name, none).busy_s) / (seconds * max(1, stage.places)))
            for name, stage in after.items()}


def limiting(taken: Dict[str, float]) -> str:
    """Stages hold their items back for the one after them: the last full one is what the others wait for. Where beginning
    and end leave none full it is the fullest."""
    full = [name for name, share in taken.items() if share >= FULL]
    fullest = max(taken, key=lambda name: taken[name])
    if full:
        return full[-1]
    return fullest if taken[fullest] >= SOME else "no stage alone"
