"""python -m asr_service.engines"""

import sys

from asr_service.engines.commands import engines

_OF_THE_WORKBENCH = {"torch", "torchaudio", "vocos", "matplotlib"}

if __name__ == "__main__":
    try:
        engines(prog_name="duoscribe engines")
    except ModuleNotFoundError as error:
        extra = "workbench" if error.name in _OF_THE_WORKBENCH else "asr"
        sys.exit(
            f"the package {error.name} is missing: pip install 'duoscribe[{extra},gpu-cu12]', or gpu-cu13 or cpu in its place"
        )
