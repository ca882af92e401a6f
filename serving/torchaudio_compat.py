"""Makes torchaudio importable beside any build of torch. Import it before torchaudio.

There is one torchaudio 2.11 for all builds of torch, and its native extension links CUDA. Beside a CPU build of torch,
`import torchaudio` therefore ends with `OSError: libc10_cuda.so`; beside a build for another CUDA release, with a
`RuntimeError` about versions. Nothing that is used here (Kaldi features, mel spectrograms, resampling) needs that extension,
and torchaudio has a state for going without it: its loader answers False where the library's file is not there. So
torchaudio is imported as it is, and only if that fails imported once more with the loader answering False. A build that
fits keeps its extension, nothing in site-packages changes, and every other error is passed on.

The second import works because Python takes a module whose import failed out of `sys.modules`, but keeps the
submodules that had been imported by then, `torchaudio._extension.utils` with the loader among them
(https://docs.python.org/3/reference/import.html#loading).
"""

import importlib
import sys

_LOADER = "torchaudio._extension.utils"


def _import_torchaudio() -> None:
    try:
        importlib.import_module("torchaudio")
    except (OSError, RuntimeError):
        if _LOADER not in sys.modules:
            raise
        sys.modules[_LOADER]._load_lib = lambda _library: False  # type: ignore[attr-defined]  # noqa: SLF001
        importlib.import_module("torchaudio")


_import_torchaudio()
