"""python -m asr_service.engines"""

import sys

try:
    from asr_service.engines.commands import engines
except ModuleNotFoundError as error:
    sys.exit(
        f"the package {error.name} is missing: pip install 'duoscribe[asr,gpu-cu12]', or gpu-cu13 or cpu in its place"
    )

if __name__ == "__main__":
    engines(prog_name="duoscribe engines")
