"""Makes torchaudio and pyannote.audio importable beside any build of torch. Import it before either of them.

**torchaudio's native extension.** There is one torchaudio 2.11 for all builds of torch, and its extension links CUDA.
Beside a CPU build of torch, `import torchaudio` therefore ends with `OSError: libc10_cuda.so`; beside a build for
another CUDA release, with a `RuntimeError` about versions. Nothing that diarization uses (Kaldi features, resampling)
needs that extension, and torchaudio has a state for going without it: its loader answers False where the library's file
is not there. So torchaudio is imported as it is, and only if that fails imported once more with the loader answering
False. A build that fits keeps its extension, nothing in site-packages changes, and every other error is passed on.

The second import works because Python takes a module whose import failed out of `sys.modules`, but keeps the
submodules that had been imported by then, `torchaudio._extension.utils` with the loader among them
(https://docs.python.org/3/reference/import.html#loading).

**torchcodec.** pyannote.audio warns at length where torchcodec does not load. Audio is handed over as a waveform here, so
it is never asked for.

**Network.** pyannote.audio reports its use, and asks a hub for models, unless told otherwise before its import.
"""

import importlib
import os
import sys
import warnings

_LOADER = "torchaudio._extension.utils"


def _import_torchaudio() -> None:
    try:
        importlib.import_module("torchaudio")
    except (OSError, RuntimeError):
        if _LOADER not in sys.modules:
            raise
        sys.modules[_LOADER]._load_lib = lambda _library: False  # type: ignore[attr-defined]  # noqa: SLF001
        importlib.import_module("torchaudio")


def _stay_offline() -> None:
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
    os.environ["HF_HUB_OFFLINE"] = "1"


def _import_pyannote() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed correctly")
        importlib.import_module("pyannote.audio")


_stay_offline()
_import_torchaudio()
_import_pyannote()
