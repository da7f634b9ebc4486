"""Looks at something again and again while a benchmark does something else."""

import threading
from typing import Callable, Generic, List, Optional, TypeVar

Reading = TypeVar("Reading")


class Sampler(Generic[Reading]):
    """Readings from a thread of its own, until it is ended. A reading that fails fails the benchmark: a thread that dies
    unseen would leave half a measurement, which looks like a whole one."""

    def __init__(self, look: Callable[[], Reading], every_seconds: float) -> None:
        self._look, self._every = look, every_seconds
        self._ended = threading.Event()
        self._seen: List[Reading] = []
        self._failed: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._every):
                self._seen.append(self._look())
        except BaseException as error:  # noqa: B036
            self._failed = error

    def end(self) -> List[Reading]:
        self._ended.set()
        self._thread.join()
        if self._failed is not None:
            raise RuntimeError("a reading failed while the benchmark ran: its figures would be of a part") from self._failed
        return self._seen
