"""Ways to run the Python pipeline, of which the fastest is compared with ours."""

import math
from typing import Callable, Dict, List, NamedTuple, Optional

# As the worker's supervisor has it for engines (worker/src/supervisor/process.rs): threads that wait do not spin.
PASSIVE = {"OMP_WAIT_POLICY": "passive"}
# As our own process sets glibc's allocator (crates/models/src/allocator.rs), so that freed blocks are kept for the next batch;
# and its heap grows in large steps.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(256 << 20), "MALLOC_TRIM_THRESHOLD_": str(512 << 20), "MALLOC_TOP_PAD_": str(64 << 20)}
# `plain` is what a process inherits. Threads spin in `malloc` and not in `tuned`; not spinning is not tried without the
# allocator's settings, which cost nothing.
ENVIRONMENTS: Dict[str, Dict[str, str]] = {"plain": {}, "malloc": MALLOC, "tuned": {**PASSIVE, **MALLOC}}


class Variant(NamedTuple):
    """How the pipeline is started."""

    pixels: str
    loaders: int
    batch: int
    # "compiled" by torch's inductor, and "frozen": its weights packed for the products while it is compiled.
    model: str = "eager"
    # Each with its part of the pictures, of the threads and with so many loaders.
    processes: int = 1
    environment: str = "plain"

    @property
    def name(self) -> str:
        said = [f"{self.pixels} loaders={self.loaders} batch={self.batch}"]
        said += [self.model] if self.model != "eager" else []
        said += [f"processes={self.processes}"] if self.processes > 1 else []
        said += [self.environment] if self.environment != "plain" else []
        return " ".join(said)


# The pipeline in one process, with loaders: from what is usual to what our own engine does, a few pictures at a time.
SIZES = [Variant("pillow", 2, 32), Variant("tensor", 2, 32), Variant("pillow", 2, 8), Variant("pillow", 1, 4),
         Variant("tensor", 2, 32, "compiled"), Variant("tensor", 2, 32, "frozen"), Variant("tensor", 1, 16, "frozen"),
         Variant("tensor", 1, 8, "frozen")]
# What an operator makes of it: one process a core, as our lanes have a thread a core, that loads its pictures by itself. Each has
# weights of its own. It is measured in every round, and told beside the pipeline.
PER_CORE = Variant("tensor", 0, 16, "frozen", processes=2, environment="malloc")
# How many sizes are tried in each environment, and how many of all are measured in every round: the first look is short.
BEST = 2


def search(rate: Callable[[Variant], Optional[float]], sizes: int = len(SIZES)) -> List[Variant]:
    """The fastest ones, searched for in two steps: the sizes in the plain environment, then the other environments for the best
    sizes. `rate` gives images a second, or nothing for a variant that does not run."""
    rates: Dict[Variant, float] = {}

    def look(variant: Variant) -> None:
        found = rate(variant)
        if found is not None:
            rates[variant] = found

    for variant in SIZES[:sizes]:
        look(variant)
    if not rates:
        raise SystemExit("bench-ingest: no variant of the Python pipeline runs: see target/bench/ingest/logs/python.log")
    for variant in sorted(rates, key=lambda tried: rates[tried], reverse=True)[:BEST]:
        for environment in list(ENVIRONMENTS)[1:]:
            look(variant._replace(environment=environment))
    return sorted(rates, key=lambda tried: rates[tried], reverse=True)[:BEST]


def whole_batches(items: int) -> int:
    """So many items, rounded down to a multiple of every variant's batches, one at least: a shorter last batch has another
    shape, and a compiled model would be compiled again for it in the middle of what is timed."""
    step = math.lcm(*(variant.batch * variant.processes for variant in [*SIZES, PER_CORE]))
    return max(step, items // step * step)
