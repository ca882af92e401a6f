"""Writes a model repository: a folder for each part, and one for the ensemble that joins them."""

import json
from collections.abc import Iterable
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import numpy as np
from google.protobuf import text_format
from google.protobuf.message import Message

from asr_service.engines.ort.runtime import Placement, Session
from asr_service.triton import configurations, python_models
from asr_service.triton.assembling import GIVEN, GIVES, Assembly
from asr_service.triton.configurations import data_file, part_name
from asr_service.triton.graphs import write_graphs
from asr_service.triton.parts import Part, check_flow
from serving.errors import ModelUnavailable

VERSION = "1"


def write_repository(assembly: Assembly, name: str, folder: Path) -> list[Path]:
    """The folders of the ensemble `name` and its parts in `folder`, complete or not at all; the ensemble is the last.

    Raises ModelUnavailable where the model cannot be exported, or some of them are there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".export-", dir=folder) as made:
        names = _write(assembly, name, Path(made))
        there = [name for name in names if (folder / name).exists()]
        if there:
            raise ModelUnavailable(
                f"{folder} holds {', '.join(there)} already: remove these, or name another folder or another --name"
            )
        return [Path(made, name).rename(folder / name) for name in names]


def _write(assembly: Assembly, name: str, folder: Path) -> list[str]:
    graphs = write_graphs(assembly, lambda part: folder / f"{name}_{part}" / VERSION / "model.onnx")
    parts = assembly.parts({part: Session(path, Placement()) for part, path in graphs.items()})
    check_flow(GIVEN, parts)
    for part in parts:
        _write_part(assembly, part, folder / part_name(name, part), part_name(name, part))
    _write_texts(assembly, folder / f"{name}_texts" / VERSION)
    _write_ensemble(assembly, parts, folder / name)
    return [*(part_name(name, part) for part in parts), name]


def _write_part(assembly: Assembly, part: Part, folder: Path, name: str) -> None:
    _write_config(configurations.of_part(name, part, assembly.options), folder)
    if part.backend == "python":
        (folder / VERSION).mkdir()
        copyfile(Path(*python_models.__path__, f"{part.name}.py"), folder / VERSION / "model.py")
    for sample in part.samples:
        for tensor, number in sample.numbers.items():
            path = folder / "warmup" / data_file(sample, tensor)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(np.int64(number).tobytes())


def _write_texts(assembly: Assembly, folder: Path) -> None:
    texts = [text.decode("latin-1") for text in assembly.model.written]
    (folder / "texts.json").write_text(json.dumps(texts), "utf-8")


def _write_ensemble(assembly: Assembly, parts: Iterable[Part], folder: Path) -> None:
    """With an empty folder for its version, without which Triton finds none."""
    (folder / VERSION).mkdir(parents=True)
    config = configurations.of_ensemble(
        folder.name, parts, assembly.options, takes=GIVEN, gives=[GIVES], about=assembly.about
    )
    _write_config(config, folder)


def _write_config(config: Message, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.pbtxt").write_text(text_format.MessageToString(config), "utf-8")
