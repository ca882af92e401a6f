"""Small models with random weights, real in everything else, in the layouts that users have."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from workbench.networks import (
    conformer,
    fastconformer,
    icefall_export,
    icefall_models,
    jasper,
    nemo_export,
    nemo_models,
    stateless,
    zipformer,
)
from workbench.networks.icefall_encoder import Encoder as IcefallEncoder
from workbench.networks.nemo_ctc import Encoder as NemoEncoder
from workbench.networks.prediction import Dimensions
from workbench.networks.threads import one_thread

PIECES, LETTERS = 200, 28
LETTERS_A_SECOND = 12.0

Write = Callable[[Path], None]


def _nemo_transducer(directory: Path, *, durations: int, onnx_asr: bool = False) -> None:
    decoder = Dimensions(tokens=PIECES, encoder=64, width=64, layers=1, durations=durations)
    model = nemo_models.transducer(fastconformer.TINY, decoder)
    export = nemo_export.export_for_onnx_asr if onnx_asr else nemo_export.export_for_sherpa_onnx
    export(model, directory)


def _nemo_ctc(
    directory: Path, encoder: Callable[[], NemoEncoder], *, letters: bool = False, onnx_asr: bool = False
) -> None:
    rate = LETTERS_A_SECOND if letters else nemo_models.PIECES_A_SECOND
    model = nemo_models.ctc(encoder, LETTERS if letters else PIECES, rate=rate)
    export = nemo_export.export_ctc_for_onnx_asr if onnx_asr else nemo_export.export_ctc_for_sherpa_onnx
    export(model, directory)


def _icefall_transducer(directory: Path, encoder: Callable[[], IcefallEncoder]) -> None:
    icefall_export.export_transducer(icefall_models.transducer(encoder, stateless.TINY), directory)


def _icefall_ctc(directory: Path, encoder: Callable[[], IcefallEncoder]) -> None:
    icefall_export.export_ctc(icefall_models.ctc(encoder, PIECES), directory)


_FASTCONFORMER = partial(fastconformer.FastConformer, fastconformer.TINY)
_ZIPFORMER = partial(zipformer.Zipformer, zipformer.TINY)
_CITRINET = jasper.Dimensions.citrinet(64, 80, repeat=1)

SHERPA_ONNX: dict[str, Write] = {
    "conformer-transducer": partial(
        _icefall_transducer, encoder=partial(conformer.Conformer, conformer.TINY)
    ),
    "zipformer-transducer": partial(_icefall_transducer, encoder=_ZIPFORMER),
    "zipformer-ctc": partial(_icefall_ctc, encoder=_ZIPFORMER),
    "fastconformer-rnnt": partial(_nemo_transducer, durations=0),
    "fastconformer-tdt": partial(_nemo_transducer, durations=5),
    "fastconformer-ctc": partial(_nemo_ctc, encoder=_FASTCONFORMER),
    "citrinet": partial(_nemo_ctc, encoder=partial(jasper.Jasper, _CITRINET)),
    "quartznet": partial(
        _nemo_ctc,
        encoder=partial(jasper.Jasper, jasper.Dimensions.quartznet(80, copies=1, repeat=2, divisor=8)),
        letters=True,
    ),
    "jasper": partial(
        _nemo_ctc,
        encoder=partial(jasper.Jasper, jasper.Dimensions.jasper(80, repeat=2, divisor=16)),
        letters=True,
    ),
}
"""In sherpa-onnx's layout. Real QuartzNet and Jasper have 64 mel bins; sherpa-onnx gives every CTC model of NeMo's 80."""

ONNX_ASR: dict[str, Write] = {
    "fastconformer-rnnt": partial(_nemo_transducer, durations=0, onnx_asr=True),
    "fastconformer-tdt": partial(_nemo_transducer, durations=5, onnx_asr=True),
    "fastconformer-ctc": partial(_nemo_ctc, encoder=_FASTCONFORMER, onnx_asr=True),
}
"""In onnx-asr's."""


def quartznet_of_64_bins(directory: Path) -> None:
    dimensions = jasper.Dimensions.quartznet(64, copies=1, repeat=2, divisor=8)
    _nemo_ctc(directory, partial(jasper.Jasper, dimensions), letters=True)


def write(model: Write, directory: Path) -> Path:
    """Makes the directory and the model in it. Takes seconds."""
    directory.mkdir(parents=True)
    with one_thread():
        model(directory)
    return directory
