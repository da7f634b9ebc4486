"""What 1,000 devices ask of the broker and the index, from the rates that they were measured at."""

from typing import Any, Dict

DEVICES = 1000
# Images a second of one device: a slow processor, SO400M at 448 pixels on a large GPU, ViT-B/16 on one.
SPEEDS = (20, 300, 2500)
SHARDS = (256, 4096)
# Shards of a run that may be outstanding, where it does not say how many; a link makes a quarter of them, and no more than
# `shards_per_link` of coordinator/src/planner.rs.
WINDOW = 16
MOST_OF_A_LINK = 32
# A worker says so often what it does, with work or without: `report_every` of worker/src/config.rs.
REPORT_SECONDS = 5


def messages_a_shard(window: int = WINDOW) -> float:
    """Confirmed and consumed: the shard, its word that it is done, and its part of a link."""
    return 2 + 1 / min(MOST_OF_A_LINK, max(1, window // 4))


def messages_a_second(images: float, shard: int) -> float:
    """Confirmed and consumed, for so many images a second: those of the shards, and each worker's reports. A worker for each
    device, and one coordinator: each further one consumes what workers broadcast once more."""
    return images / shard * messages_a_shard() + DEVICES / REPORT_SECONDS


def table(report: Dict[str, Any]) -> str:
    """As Markdown. A broker's rate is the smaller of publishing and consuming; an index's is what workers without a model
    wrote into it."""
    broker = min(report["broker"]["published_per_s"], report["broker"]["consumed_per_s"])
    index = report["index"]["rows_per_s"]
    lines = ["| images a second and device | images a second | items a shard | messages a second | of this broker | of this index |",
             "|---|---|---|---|---|---|"]
    for speed in SPEEDS:
        for shard in SHARDS:
            images = speed * DEVICES
            messages = messages_a_second(images, shard)
            lines.append(f"| {speed:,} | {images:,} | {shard:,} | {messages:,.0f} | {messages / broker:,.2f} | {images / index:,.0f} |")
    grew = [f"What this {server} takes is more than was measured: its rate still grew in the last step."
            for server in ("broker", "index") if report[server]["still_grew"]]
    return "\n".join([*lines, *([""] if grew else []), *grew])
