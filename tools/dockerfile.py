"""deploy/Dockerfile as stages of instructions, for what checks it and what runs its steps without a container engine."""

import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """`keyword` is in capitals; `value` is all that follows it, continued lines joined."""

    keyword: str
    value: str


@dataclass(frozen=True)
class Copy:
    """`stage` is where the sources lie; None is the build context."""

    stage: str | None
    sources: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class Stage:
    """`parent` is what stands after FROM, with arguments filled in: an image, or an earlier stage's name."""

    name: str
    parent: str
    instructions: list[Instruction] = field(default_factory=list)

    def values(self, keyword: str) -> list[str]:
        return [instruction.value for instruction in self.instructions if instruction.keyword == keyword]

    @property
    def copies(self) -> list[Copy]:
        return [copy(value) for value in self.values("COPY")]


@dataclass(frozen=True)
class Dockerfile:
    stages: dict[str, Stage]

    def chain(self, name: str) -> list[Stage]:
        """The stage and all that it is built from, the first one first."""
        stage = self.stages[name]
        return [*(self.chain(stage.parent) if stage.parent in self.stages else ()), stage]

    def instructions(self, name: str) -> Iterator[Instruction]:
        """Everything that makes the image of this stage, in order."""
        for stage in self.chain(name):
            yield from stage.instructions

    def last(self, name: str, keyword: str) -> str | None:
        """What holds in the image of this stage where a later instruction replaces an earlier one."""
        values = [
            instruction.value for instruction in self.instructions(name) if instruction.keyword == keyword
        ]
        return values[-1] if values else None

    def environment(self, name: str) -> dict[str, str]:
        return {
            key: value
            for instruction in self.instructions(name)
            if instruction.keyword == "ENV"
            for key, value in pairs(instruction.value)
        }

    @property
    def targets(self) -> list[str]:
        """Stages that are run: none is built on them, nothing is copied from them."""
        used = {stage.parent for stage in self.stages.values()}
        used |= {copy.stage for stage in self.stages.values() for copy in stage.copies if copy.stage}
        return [name for name in self.stages if name not in used]


def read(text: str) -> Dockerfile:
    """Raises ValueError where a stage has no name."""
    stages: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    for instruction in _instructions(text):
        if instruction.keyword == "FROM":
            stage = _stage(instruction.value, arguments)
            stages[stage.name] = stage
        elif stages:
            stage.instructions.append(instruction)
        elif instruction.keyword == "ARG":
            arguments.update(pairs(instruction.value))
    return Dockerfile(stages)


def copy(value: str) -> Copy:
    """COPY's sources and target; its only flag known here is --from."""
    words = shlex.split(value)
    stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
    return Copy(stage, tuple(words[:-1]), words[-1])


def pairs(value: str) -> list[tuple[str, str]]:
    """NAME=VALUE of ENV or ARG; a name alone has an empty value."""
    return [(name, text) for name, _, text in (word.partition("=") for word in shlex.split(value))]


def _instructions(text: str) -> Iterator[Instruction]:
    parser = DockerfileParser(fileobj=io.BytesIO(text.encode()))
    for entry in parser.structure:
        if entry["instruction"] != "COMMENT":
            yield Instruction(entry["instruction"], entry["value"])


def _stage(value: str, arguments: dict[str, str]) -> Stage:
    parent, _, name = value.partition(" AS ")
    if not name:
        raise ValueError(f"FROM {value}: the stage has no name")
    return Stage(name, re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], parent))
