"""Makes torchaudio and pyannote.audio importable beside any build of torch. Import it before either of them.

**torchaudio's native extension.** See serving/torchaudio_compat.py.

**torchcodec.** pyannote.audio warns at length where torchcodec does not load. Audio is handed over as a waveform here, so
it is never asked for.

**Network.** pyannote.audio reports its use, and asks a hub for models, unless told otherwise before its import.
"""

import importlib
import os
import warnings

import serving.torchaudio_compat  # noqa: F401  pyannote.audio imports torchaudio


def _stay_offline() -> None:
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
    os.environ["HF_HUB_OFFLINE"] = "1"


def _import_pyannote() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed correctly")
        importlib.import_module("pyannote.audio")


_stay_offline()
_import_pyannote()
