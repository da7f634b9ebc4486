"""Messages a second through the broker, by `crates/queue/examples/rate.rs`, over more and more connections."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import usage

# Of a shard's message.
BYTES = 400


def rates(program: Path, connections: int, in_flight: int, messages: int) -> Dict[str, Any]:
    """Confirmed and then consumed messages a second, each with the cores that the client and the broker kept busy."""
    command = [str(program), os.environ["SIGHTLINE_TEST_AMQP_URL"], str(messages), str(BYTES),
               str(in_flight), str(connections)]
    broker, found = usage.servers()["rabbitmq"], {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        try:
            answer(client)
            for phase in ("published", "consumed"):
                parts = {"client": [client.pid], "broker": broker}
                before, started = spent(parts), time.monotonic()
                found.update(answer(client))
                after, seconds = spent(parts), time.monotonic() - started
                found[f"{phase}_cores"] = {name: round((after[name] - before[name]) / seconds, 2) for name in parts}
        finally:
            client.kill()
    return found


def answer(client: "subprocess.Popen[str]") -> Dict[str, float]:
    """Has the client do its next step."""
    client.stdin.write("go\n")
    client.stdin.flush()
    line = client.stdout.readline()
    if not line:
        raise SystemExit(f"bench-scale: the broker's client ended with {client.wait()}")
    return json.loads(line)


def spent(parts: Dict[str, List[int]]) -> Dict[str, float]:
    return {name: sum(map(usage.processor_seconds, pids)) for name, pids in parts.items()}


def slower(rate: Dict[str, Any]) -> Tuple[str, float]:
    """The phase that limits, since each message is published and consumed."""
    phase = min(("published", "consumed"), key=lambda name: rate[f"{name}_per_s"])
    return phase, rate[f"{phase}_per_s"]
