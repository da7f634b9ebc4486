"""What 1,000 devices ask of the broker and the index, from the rates that they were measured at."""

from typing import Any, Dict

DEVICES = 1000
# Images a second of one device: a slow processor, SO400M at 448 pixels on a large GPU, ViT-B/16 on one.
SPEEDS = (20, 300, 2500)
SHARDS = (256, 4096)
# Confirmed and consumed: the shard, its word that it is done, and its part of a link of 16 shards.
MESSAGES_A_SHARD = 2 + 1 / 16


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
            messages = images / shard * MESSAGES_A_SHARD
            lines.append(f"| {speed:,} | {images:,} | {shard:,} | {messages:,.0f} | {messages / broker:,.2f} | {images / index:,.0f} |")
    return "\n".join(lines)
