"""Free ports on the loopback."""

import random
import socket
from typing import Dict, Iterable, Sequence

# Below the range from which Linux gives ports to outgoing connections: those may take one at any moment.
_FIRST, _LAST = 20000, 32000


def is_free(port: int) -> bool:
    """Whether a server could listen on the port, on the loopback or on every address."""
    for address in ("127.0.0.1", "0.0.0.0"):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As servers do: connections of a server that has ended may linger on its port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def choose(names: Sequence[str], taken: Iterable[int]) -> Dict[str, int]:
    """A free port for each name. Chosen at random, so that two folders starting at once hardly meet."""
    used = set(taken)
    chosen: Dict[str, int] = {}
    for name in names:
        port = random.randint(_FIRST, _LAST)
        while port in used or not is_free(port):
            port = random.randint(_FIRST, _LAST)
        used.add(port)
        chosen[name] = port
    return chosen
