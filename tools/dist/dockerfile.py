"""A Dockerfile in its parts: stages, and the instructions in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple


@dataclass(frozen=True)
class Instruction:
    """One instruction, its lines joined."""

    word: str
    rest: str


@dataclass(frozen=True)
class Copy:
    """What one COPY takes, from another stage or, where `stage` is None, from the build's context."""

    stage: Optional[str]
    sources: List[str]
    target: str


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next. `base` is another stage's name, or an image as it is written."""

    name: str
    base: str
    instructions: Tuple[Instruction, ...]

    def of(self, word: str) -> List[str]:
        """What every instruction of this word says."""
        return [one.rest for one in self.instructions if one.word == word]

    def copies(self) -> List[Copy]:
        return [_copy(rest) for rest in self.of("COPY")]

    def commands(self, *program: str) -> List[List[str]]:
        """The arguments of every command of its RUNs that begins with these words."""
        simple = [shlex.split(command) for rest in self.of("RUN") for command in re.split(r"&&|\|", rest)]
        return [words[len(program):] for words in simple if tuple(words[:len(program)]) == program]


class Dockerfile:
    """A file's arguments before the first stage, and its stages in their order."""

    def __init__(self, file: Path):
        self.name = file.name.removesuffix(".Dockerfile")
        self.arguments: Dict[str, str] = {}
        found: List[Tuple[str, str, List[Instruction]]] = []
        for one in _instructions(file.read_text()):
            if one.word == "FROM":
                base, _, name = one.rest.partition(" AS ")
                found.append((name or "final", base, []))
            elif found:
                found[-1][2].append(one)
            elif one.word == "ARG":
                name, _, value = one.rest.partition("=")
                self.arguments[name] = value
        self.stages = [Stage(name, base, tuple(instructions)) for name, base, instructions in found]

    @property
    def final(self) -> Stage:
        return self.stages[-1]

    def lineage(self, name: str) -> List[Stage]:
        """A stage, the one that it begins from, and so on, to the one that begins from an image."""
        named = {stage.name: stage for stage in self.stages}
        line = [named[name]]
        while line[-1].base in named:
            line.append(named[line[-1].base])
        return line


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        yield Instruction(word, " ".join(rest.split()))


def _copy(rest: str) -> Copy:
    words = rest.split()
    flags = [word for word in words if word.startswith("--")]
    stages = [flag.removeprefix("--from=") for flag in flags if flag.startswith("--from=")]
    *sources, target = words[len(flags):]
    return Copy(stages[0] if stages else None, sources, target)
