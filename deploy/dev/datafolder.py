"""One data folder: each component's files, log and settings, and the lock that commands take.

    DATA/<component>/       its own files
    DATA/<component>.log    its output
    DATA/<component>.json   its ports, options and main process
"""

import contextlib
import dataclasses
import fcntl
import json
import re
import shutil
from pathlib import Path
from typing import Dict, Iterator, List, Optional

import processes
from components.base import Instance, Options
from problem import DevError

_ERROR = re.compile(r"error|fatal|panic", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Settings:
    ports: Dict[str, int]
    options: Options
    main: Optional[int] = None


class DataFolder:
    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        if any(character.isspace() for character in str(self.root)):
            raise DevError(f"the data folder '{self.root}' has a space in its path, which RabbitMQ's start script "
                           "cannot take: name another with --data")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time in a folder."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def folder(self, name: str) -> Path:
        return self.root / name

    def log(self, name: str) -> Path:
        return self.root / f"{name}.log"

    def settings(self, name: str) -> Optional[Settings]:
        try:
            saved = json.loads((self.root / f"{name}.json").read_text())
        except FileNotFoundError:
            return None
        return Settings(saved["ports"], Options(**saved["options"]), saved["main"])

    def save(self, name: str, settings: Settings) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        fresh = self.root / f"{name}.json.new"
        fresh.write_text(json.dumps(dataclasses.asdict(settings), indent=1) + "\n")
        fresh.replace(self.root / f"{name}.json")

    def instance(self, name: str) -> Instance:
        settings = self.settings(name)
        if settings is None:
            raise DevError(f"{name} was never started in {self.root}: `dev.py up {name}` does that")
        return Instance(self.folder(name), settings.ports, settings.options)

    def is_running(self, name: str) -> bool:
        """Whether its main process lives. Helpers may outlive it for a moment."""
        settings = self.settings(name)
        return settings is not None and settings.main in processes.of(self.folder(name))

    def names(self) -> List[str]:
        return [file.stem for file in self.root.glob("*.json")]

    def log_excerpt(self, name: str) -> str:
        """The first errors, which name the cause, and the last lines: a crash report may be long between them."""
        try:
            lines = self.log(name).read_text(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        last = lines[-10:]
        errors = [line for line in lines[:-10] if _ERROR.search(line)][:8]
        return "\n".join(f"    {line[:300]}" for line in [*errors, "…", *last])

    def remove(self, keep_logs: bool) -> None:
        """Delete what the components left here; with their logs unless they are to be kept."""
        for name in self.names():
            shutil.rmtree(self.folder(name), ignore_errors=True)
            (self.root / f"{name}.json").unlink(missing_ok=True)
            if not keep_logs:
                self.log(name).unlink(missing_ok=True)
        (self.root / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.root.rmdir()
