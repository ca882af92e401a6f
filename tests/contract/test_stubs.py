"""The stubs that are imported are those of the contract as it stands."""

from pathlib import Path

import pytest

from tools.check_contract import buf
from tools.generate_stubs import PROTOS, descriptor_set, generate


def files_below(folder: Path, pattern: str) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob(pattern)}


@pytest.mark.parametrize("pattern", ["*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi"])
def test_installed_stubs_are_compiled_from_the_contract(tmp_path: Path, pattern: str) -> None:
    generate(tmp_path)
    assert files_below(tmp_path, pattern) == files_below(PROTOS, pattern)
    assert len(files_below(tmp_path, pattern)) == 4


def test_buf_finds_nothing_to_object_to(tmp_path: Path) -> None:
    image = tmp_path / "contract.binpb"
    descriptor_set(image)
    assert buf("lint", image) == 0


def test_buf_refuses_a_change_that_breaks_callers(tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    for name, text in files_below(PROTOS, "*.proto").items():
        (changed / name).parent.mkdir(parents=True, exist_ok=True)
        (changed / name).write_text(text.replace("string language = 3;", "string language = 30;"))
    before, after = tmp_path / "before.binpb", tmp_path / "after.binpb"
    descriptor_set(before)
    descriptor_set(after, protos=changed)
    assert buf("breaking", after, "--against", str(before)) != 0
    assert buf("breaking", before, "--against", str(before)) == 0
