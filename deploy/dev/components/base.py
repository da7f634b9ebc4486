"""What a component has to say about itself."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List


@dataclass(frozen=True)
class Launch:
    """One process of a component."""

    command: List[str]
    env: Dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """What the command line may change about components. Kept, so that `start` starts what `up` started."""

    rabbitmq_conf: Dict[str, str] = field(default_factory=dict)
    rabbitmq_management: bool = False


@dataclass(frozen=True)
class Instance:
    """A component in one data folder: where it keeps its files, its ports and its options."""

    folder: Path
    ports: Dict[str, int]
    options: Options


class Component:
    name: str
    # How long it may take to be ready, and to end after SIGTERM, on a slow machine.
    start_seconds: float = 60
    stop_seconds: float = 20

    def installed(self) -> bool:
        """Whether `deploy/setup` has put it in place."""
        raise NotImplementedError

    def port_names(self, options: Options) -> List[str]:
        raise NotImplementedError

    def prepare(self, instance: Instance) -> List[Launch]:
        """Write its configuration; what to start, the main process last."""
        raise NotImplementedError

    def check(self, instance: Instance) -> None:
        """One real call; `NotReady` while it does not serve."""
        raise NotImplementedError

    def environment(self, instance: Instance) -> Dict[str, str]:
        """The variables by which tests find it."""
        raise NotImplementedError

    def tidy(self, instance: Instance, main: int) -> None:
        """Remove what it leaves outside its folder. `main` was its main process."""
