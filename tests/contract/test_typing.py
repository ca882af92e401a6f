"""What is installed offers its types to callers' type checkers (PEP 561)."""

from importlib import resources

import pytest


@pytest.mark.parametrize("package", ["speech", "serving", "asr_service", "diarization_service", "gateway"])
def test_packages_say_that_they_are_typed(package: str) -> None:
    assert resources.files(package).joinpath("py.typed").is_file()
