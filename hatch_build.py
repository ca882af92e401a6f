"""Compiles the contract's stubs whenever the project is built or installed, editable installs included."""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StubsHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        root = Path(self.root)
        spec = importlib.util.spec_from_file_location("generate_stubs", root / "tools" / "generate_stubs.py")
        if spec is None or spec.loader is None:
            raise RuntimeError("tools/generate_stubs.py is missing from the source tree")
        generator = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(generator)
        generator.generate(root / "protos")
