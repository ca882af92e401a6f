"""What went into runtimes and what came out, in one .npz file: `<batch>/inputs/<name>` and `<batch>/<runtime>/<name>`."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np

from serving.errors import ModelUnavailable
from workbench.cases import notation, parse
from workbench.recipe import Array, Arrays, Case

INPUTS = "inputs"


class Predictions:
    """Holds one tensor in memory at a time, for all of them can be gigabytes. NumPy's `load` reads the file too."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    @classmethod
    @contextmanager
    def create(cls, path: Path) -> Iterator[Self]:
        with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
            yield cls(archive)

    @classmethod
    @contextmanager
    def read(cls, path: Path) -> Iterator[Self]:
        """Raises ModelUnavailable where the file is no such one, or cut short."""
        try:
            archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise ModelUnavailable(
                f"{path} holds no predictions ({error}): run `duoscribe engines compare` again"
            ) from error
        with archive:
            yield cls(archive)

    def put(self, case: Case, whose: str, arrays: Arrays) -> None:
        for name, array in arrays.items():
            with self._archive.open(f"{_key(case, whose)}{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)

    def get(self, case: Case, whose: str) -> dict[str, Array]:
        """Empty where there is nothing of it."""
        prefix = _key(case, whose)
        return {
            name.removeprefix(prefix).removesuffix(".npy"): self._array(name)
            for name in self._archive.namelist()
            if name.startswith(prefix)
        }

    def cases(self) -> list[Case]:
        """In the order in which they were put."""
        names = (name.partition("/")[0] for name in self._archive.namelist())
        return [parse(name) for name in dict.fromkeys(names)]

    def runtimes(self) -> list[str]:
        names = (name.split("/")[1] for name in self._archive.namelist())
        return [name for name in dict.fromkeys(names) if name != INPUTS]

    def _array(self, name: str) -> Array:
        with self._archive.open(name) as file:
            array: Array = np.lib.format.read_array(file, allow_pickle=False)
            return array


def _key(case: Case, whose: str) -> str:
    return f"{notation(case)}/{whose}/"
