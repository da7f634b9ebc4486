"""Makes docs/configuration.md from what the programs themselves list.

    tools/chart/configuration.py           writes it
    tools/chart/configuration.py --check   fails where the file is another
"""

import sys
from typing import Dict, List

import drift
import keys

_HEAD = """# Configuration

Every key of every service, as its binary lists it (`--list-keys`); `make chart-docs` makes this page.
[operating.md](operating.md#configuration) says where keys are given and which place wins. A key's variable is its name in upper
case after `SIGHTLINE_`, with `__` for each dot: `queue.url` is `SIGHTLINE_QUEUE__URL`. `sightline-worker encoder` takes the keys of
every service but those of `s3` and `index`. `sightline standalone` takes them but for `index.url`, since its index is a file below `data`;
with `model.threads` 0 its models have half of the cores each, and `model.max_pixels` counts for queries, too.
"""
_TABLE = "| key | kind | default | meaning |\n|---|---|---|---|\n"
# Keys that every service has in the same form.
_COMMON = "Every service"


def sections() -> Dict[str, List[keys.Key]]:
    """Keys by service; what all services have alike comes first."""
    listed = {service: keys.of(service) for service in keys.SERVICES}
    shared = [key for key in listed[keys.SERVICES[0]] if all(key in others for others in listed.values())]
    titles = {service: f"sightline-{service}" for service in keys.SERVICES}
    for subcommand, words in {**keys.SUBCOMMANDS, **keys.STANDALONE}.items():
        # These lack some of the shared keys, and the page says which.
        listed[subcommand], titles[subcommand] = keys.of(subcommand), " ".join(words)
    return {_COMMON: shared, **{titles[service]: [key for key in found if key not in shared]
                                for service, found in listed.items()}}


def row(key: keys.Key) -> str:
    default = "" if key.default == "none" else f"`{key.default}`"
    cells = [f"`{key.name}`", key.kind.replace(" | ", ", "), default, key.meaning.replace("|", "\\|")]
    return "| " + " | ".join(cells) + " |\n"


def page() -> str:
    parts = [f"\n## {title}\n\n{_TABLE}{''.join(map(row, found))}" for title, found in sections().items()]
    return _HEAD + "".join(parts)


if __name__ == "__main__":
    sys.exit(drift.main(keys.REPO / "docs/configuration.md", page()))
