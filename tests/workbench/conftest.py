"""What tests of the workbench share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def workbench_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For DUOSCRIBE_CACHE: recipes are exported into it once for all tests that use it."""
    return tmp_path_factory.mktemp("cache")
