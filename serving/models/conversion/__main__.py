"""`python -m serving.models.conversion RECIPE SOURCE TARGET`: run one recipe from folder to folder."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

# Recipe → module and function. Modules are imported when asked for: what one needs, another may lack.
RECIPES = {
    "whisper-fp32": ("whisper", "to_fp32"),
    "whisper-int8": ("whisper", "to_int8"),
    "pyannote-segmentation": ("pyannote_segmentation", "convert"),
    "wespeaker-resnet34": ("wespeaker", "convert"),
}


def main(arguments: list[str]) -> None:
    recipe, source, target = arguments
    module, function = RECIPES[recipe]
    try:
        convert = getattr(import_module(f"serving.models.conversion.{module}"), function)
        convert(Path(source), Path(target))
    except ModuleNotFoundError as error:
        sys.exit(f"the package {error.name} is missing: pip install 'duoscribe[{_extra(error.name)}]'")


def _extra(package: str | None) -> str:
    # A machine with a GPU has the same module from gpu-cu12 or gpu-cu13.
    return "cpu" if (package or "").startswith("onnxruntime") else "models"


if __name__ == "__main__":
    main(sys.argv[1:])
