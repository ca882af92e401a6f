"""The engines of one model on this machine: which it needs, which are there, and how they come into a service.

    shelf = Shelf(network, settings, look(), "my-model", fingerprint)
    choice = shelf.choose(weights)
    for engine in shelf.open(choice):                    # where choice.provider is "tensorrt"
        outputs = engine.session.run(engine.inputs)
        engine.judge(outputs, search(outputs))

Opening builds nothing, unless the settings ask for it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from onnxruntime import OrtValue

from asr_service.engines.ort.build import Tell, Work, build, in_own_process
from asr_service.engines.ort.cache import EngineCache, Entry
from asr_service.engines.ort.choice import Choice, resolve
from asr_service.engines.ort.devices import Installation
from asr_service.engines.ort.gate import Figures, Reference, Tokens, judge
from asr_service.engines.ort.network import Network
from asr_service.engines.ort.order import REFERENCE
from asr_service.engines.ort.profiles import Profile
from asr_service.engines.ort.recipe import Recipe, build_command, recipes
from asr_service.engines.ort.record import Record
from asr_service.engines.ort.runtime import Array, Placement, Session
from asr_service.engines.ort.settings import Bounds, Settings
from serving.errors import ModelUnavailable

OpenSession = Callable[[Path, Placement], Session]
# What becomes of a recipe's build, said in words.
Progress = Callable[[Recipe], Tell]


@dataclass(frozen=True)
class LoadedEngine:
    """An encoder on TensorRT, ready to run and still to be judged."""

    profile: Profile
    session: Session
    record: Record
    reference: Reference
    bounds: Bounds

    @property
    def inputs(self) -> Mapping[str, Array]:
        """The gate's, for one run of `session`."""
        return self.reference.inputs

    def judge(self, outputs: Mapping[str, OrtValue], tokens: Tokens) -> Figures:
        """What the session and the search made of `inputs`. Raises ModelUnavailable where the CPU makes something else."""
        figures = self.reference.compare({name: value.numpy() for name, value in outputs.items()}, tokens)
        judge(figures, self.bounds)
        return figures


@dataclass(frozen=True)
class Shelf:
    network: Network
    settings: Settings
    installation: Installation
    model: str
    """What the user calls it."""
    fingerprint: str
    """Of the model's folder."""
    cache: EngineCache = field(default_factory=EngineCache)
    work: Work = in_own_process
    open_session: OpenSession = Session

    def choose(self, weights: Sequence[Path]) -> Choice:
        """As `resolve`; but auto takes CUDA where TensorRT has no engines yet and is not to build them.

        `weights` are all ONNX files of the model.
        """
        choice = resolve(self.settings, self.installation, weights)
        if choice.provider != "tensorrt" or self.settings.provider != "auto" or self.settings.build:
            return choice
        try:
            self.find(choice)
        except ModelUnavailable as error:
            on_cuda = resolve(replace(self.settings, provider="cuda"), self.installation, weights)
            return replace(on_cuda, reason=f"no TensorRT: {error.message}")
        return choice

    def find(self, choice: Choice) -> list[tuple[Recipe, Entry]]:
        """The engine of each profile. Raises ModelUnavailable, which names the command that builds a missing one."""
        command = build_command(self.model, self.settings)
        return [
            (recipe, self.cache.find(recipe.identity, command=command)) for recipe in self.recipes(choice)
        ]

    def build(self, choice: Choice, progress: Progress) -> list[tuple[Recipe, Entry]]:
        """Builds those that are missing, one after the other, minutes each. Raises ModelUnavailable."""
        return [(recipe, self._build(recipe, progress(recipe))) for recipe in self.recipes(choice)]

    def open(self, choice: Choice, progress: Progress = lambda _: lambda _: None) -> list[LoadedEngine]:
        """One for each profile. Raises ModelUnavailable where one is missing, damaged, or cannot be loaded."""
        found = self.build(choice, progress) if self.settings.build else self.find(choice)
        return [self._load(recipe, entry) for recipe, entry in found]

    def recipes(self, choice: Choice) -> list[Recipe]:
        if choice.gpu is None:
            raise ModelUnavailable(f"no TensorRT: {choice.reason}")
        made = recipes(
            self.network, self.settings, self.installation, choice.gpu, fingerprint=self.fingerprint
        )
        return list(made)

    def _build(self, recipe: Recipe, tell: Tell) -> Entry:
        return build(
            recipe, self.cache, model=self.model, bounds=self.settings.allowed, tell=tell, work=self.work
        )

    def _load(self, recipe: Recipe, entry: Entry) -> LoadedEngine:
        if entry.record is None:
            raise ModelUnavailable(f"{entry.folder} has lost its record; run `duoscribe engines check`")
        with loading(entry, build_command(self.model, self.settings)):
            session = self.open_session(
                entry.folder / entry.record.graph, recipe.placement(entry.folder, entry.record.graph)
            )
        return LoadedEngine(
            recipe.profile, session, entry.record, _reference(entry, entry.record), self.settings.allowed
        )


@contextmanager
def loading(entry: Entry, command: str) -> Iterator[None]:
    """Raises ModelUnavailable, which names `command` as what builds the engine, where loading it has built it again."""
    before = _contents(entry.folder)
    yield
    if _contents(entry.folder) != before:
        # Its users would wait for minutes at every start, and nobody would know.
        raise ModelUnavailable(
            f"TensorRT built the engine in {entry.folder} again instead of loading it: run `{command}`, and report it if "
            "it happens again"
        )


def _reference(entry: Entry, record: Record) -> Reference:
    try:
        return Reference.load(entry.folder / REFERENCE, record.tokens)
    except ValueError as error:
        raise ModelUnavailable(
            f"{entry.folder / REFERENCE} cannot be read ({error}); run `duoscribe engines check`"
        ) from error


def _contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of each file."""
    return {
        path.name: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.iterdir()
        if path.is_file()
    }
