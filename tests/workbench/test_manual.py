"""The recipe in docs/workbench.md, taken from there and run."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from workbench.commands import export
from workbench.compare import compare

MANUAL = Path(__file__).parents[2] / "docs" / "workbench.md"


@pytest.fixture
def detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The manual's example as a file, in a folder where commands may write."""
    (example,) = re.findall(r"```python\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)
    monkeypatch.setenv("DUOSCRIBE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "detector.py"
    path.write_text(example, "utf-8")
    return path


def test_the_manuals_recipe_is_exported_and_compared(detector: Path) -> None:
    exported = CliRunner().invoke(export, [str(detector)])
    assert exported.exit_code == 0, exported.output
    compared = CliRunner().invoke(compare, [str(detector), "--runtime", "cpu"])
    assert compared.exit_code == 0, compared.output
    found = json.loads(Path("compare.json").read_text("utf-8"))
    names = {judged["verdict"]["name"] for judged in found["judgements"]}
    assert names == {"frames decided alike"}
    assert Path("predictions.npz").is_file()
