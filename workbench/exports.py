"""Where exported recipes lie.

    $DUOSCRIBE_CACHE/workbench/<recipe>-<size>/    model.onnx, with model.onnx.data above 2 GB; export.json says how it went

A folder appears complete or not at all. It is written anew when the code changes that decides what is in it.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from asr_service.engines.ort import features, graphs
from serving.models.exclusive import locked, scratch
from serving.models.integrity import fingerprint, has_sizes, read_stamp, write_stamp
from serving.models.store import default_cache_dir
from workbench import networks, recipes
from workbench.export import GRAPH, Report, export
from workbench.loading import load, source
from workbench.recipe import Recipe, Size

REPORT = "export.json"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Export:
    """A recipe and the folder of its ONNX file."""

    text: str
    """What its user calls the recipe."""
    recipe: Recipe
    folder: Path

    @property
    def graph(self) -> Path:
        return self.folder / GRAPH

    @property
    def fingerprint(self) -> str:
        """Over the graph and its weights."""
        return fingerprint(self.folder)

    @property
    def report(self) -> Report:
        return Report.from_json(json.loads((self.folder / REPORT).read_text("utf-8")))


class Exports:
    """Any number of processes may use one."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_cache_dir() / "workbench"

    def get(self, text: str, size: Size, tell: Tell) -> Export:
        """What is there, or else is exported now. `text` as `load` takes it. Raises ModelUnavailable."""
        recipe, wanted = load(text, size), revision(text)
        made = Export(text, recipe, self.root / f"{recipe.name}-{size}")
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(self.root / f".{made.folder.name}.lock", lambda: tell("waiting for another process")):
            if not _is_whole(made.folder, wanted):
                tell(f"exporting {recipe.name} and comparing it with PyTorch")
                self._fill(made, wanted)
        return made

    def _fill(self, made: Export, wanted: str) -> None:
        with scratch(self.root / f".{made.folder.name}") as work:
            report = export(made.recipe, work)
            write_stamp(work, wanted, tuple(path.name for path in work.iterdir()))
            (work / REPORT).write_text(json.dumps(asdict(report), indent=2) + "\n", "utf-8")
            shutil.rmtree(made.folder, ignore_errors=True)
            work.rename(made.folder)


def revision(text: str) -> str:
    """A hash of the code that a recipe's ONNX file comes from: nobody has to remember that an older one is another."""
    digest = hashlib.sha256()
    for path in _sources(text):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _sources(text: str) -> Iterator[Path]:
    module = source(text)
    if module.__file__ is not None:
        yield Path(module.__file__)
    for package in (networks, recipes, features, graphs):
        for folder in package.__path__:
            yield from sorted(Path(folder).glob("*.py"))


def _is_whole(folder: Path, wanted: str) -> bool:
    stamp = read_stamp(folder)
    return stamp is not None and stamp.entry == wanted and has_sizes(folder, stamp)
