"""NeMo's models in the layouts that users have: sherpa-onnx's and onnx-asr's.

References: k2-fsa/sherpa-onnx, scripts/nemo/parakeet-tdt-0.6b-v2/export_onnx.py and
scripts/nemo/fast-conformer-hybrid-transducer-ctc/; istupakov/onnx-asr, src/onnx_asr/models/nemo.py, which reads the files that
NeMo's own `export` of a whole model writes.
"""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from workbench.networks import exporting, fastconformer
from workbench.networks.jasper import Jasper
from workbench.networks.masked_subsampling import FACTOR
from workbench.networks.nemo_ctc import Ctc
from workbench.networks.nemo_models import Transducer
from workbench.networks.prediction import Joint, PredictionNetwork
from workbench.networks.vocabulary import pieces, write_tokens

COMMON = {"normalize_type": "per_feature", "model_author": "NeMo"}
BLANK = "<blk>"


def symbols(tokens: int) -> tuple[str, ...]:
    """Pieces and, behind them, blank."""
    return ("<unk>", *pieces(tokens - 1), BLANK)


class Decoder(nn.Module):
    """The prediction network with its states one by one, as it is exported alone."""

    def __init__(self, prediction: PredictionNetwork) -> None:
        super().__init__()
        self.prediction = prediction

    def forward(
        self, targets: Tensor, target_length: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        predicted, (hidden, cell) = self.prediction(targets, (hidden, cell))
        return predicted, target_length, hidden, cell


class LogJoint(nn.Module):
    """The joint as it is exported on a CPU: NeMo's then ends with logarithms of probabilities, durations among them."""

    def __init__(self, joint: Joint) -> None:
        super().__init__()
        self.joint = joint

    def forward(self, encoder_outputs: Tensor, decoder_outputs: Tensor) -> Tensor:
        logits: Tensor = self.joint(encoder_outputs, decoder_outputs)
        return logits.log_softmax(dim=-1)


class DecoderJoint(nn.Module):
    """The prediction network and the joint in one graph, as exported on a GPU: it ends with logits."""

    def __init__(self, prediction: PredictionNetwork, joint: Joint) -> None:
        super().__init__()
        self.decoder = Decoder(prediction)
        self.joint = joint

    def forward(
        self, encoder_outputs: Tensor, targets: Tensor, target_length: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        predicted, target_length, hidden, cell = self.decoder(targets, target_length, hidden, cell)
        return self.joint(encoder_outputs, predicted), target_length, hidden, cell


def export_for_sherpa_onnx(model: Transducer, directory: Path) -> None:
    """Writes encoder.onnx, decoder.onnx, joiner.onnx and tokens.txt; only a TDT model's `url` says that it is one."""
    dims = model.dims
    metadata = {
        **COMMON,
        "vocab_size": dims.tokens,
        "pred_rnn_layers": dims.layers,
        "pred_hidden": dims.width,
        "subsampling_factor": FACTOR,
        "model_type": "EncDecRNNTBPEModel",
        "version": 2,
        "url": "https://huggingface.co/nvidia/parakeet-" + ("tdt" if dims.durations else "rnnt"),
        "comment": "Only the transducer branch is exported",
        "feat_dim": model.encoder.dims.mel_bins,
    }
    fastconformer.export(model.encoder, directory / "encoder.onnx", metadata)
    export_decoder(model.prediction, directory / "decoder.onnx")
    export_joiner(model.joint, directory / "joiner.onnx")
    write_tokens(symbols(dims.tokens), directory)


def export_decoder(prediction: PredictionNetwork, path: Path) -> None:
    """Names of the states are as the exporter makes them up, for NeMo gives none."""
    exporting.export(
        Decoder(prediction),
        _step(prediction),
        path,
        inputs=exporting.numbered(
            **{"targets": (0, 1), "target_length": (0,), "states.1": (1,), "onnx::LSTM_3": (1,)}
        ),
        outputs=exporting.numbered(
            **{"outputs": (0, 2), "prednet_lengths": (0,), "states": (1,), "states.5": (1,)}
        ),
    )


def export_joiner(joint: Joint, path: Path) -> None:
    dims = joint.dims
    exporting.export(
        LogJoint(joint),
        (torch.randn(2, dims.encoder, 3), torch.randn(2, dims.width, 4)),
        path,
        inputs=exporting.numbered(encoder_outputs=(0, 2), decoder_outputs=(0, 2)),
        outputs=exporting.numbered(outputs=(0, 1, 2)),
    )


def export_for_onnx_asr(model: Transducer, directory: Path) -> None:
    """Writes encoder-model.onnx, decoder_joint-model.onnx, vocab.txt and config.json."""
    fastconformer.export(model.encoder, directory / "encoder-model.onnx")
    exporting.export(
        DecoderJoint(model.prediction, model.joint),
        (torch.randn(2, model.dims.encoder, 3), *_step(model.prediction)),
        directory / "decoder_joint-model.onnx",
        inputs=exporting.numbered(
            encoder_outputs=(0, 2),
            targets=(0, 1),
            target_length=(0,),
            input_states_1=(1,),
            input_states_2=(1,),
        ),
        outputs=exporting.numbered(
            outputs=(0, 1, 2), prednet_lengths=(0,), output_states_1=(1,), output_states_2=(1,)
        ),
    )
    kind = "nemo-conformer-tdt" if model.dims.durations else "nemo-conformer-rnnt"
    _describe(directory, model.dims.tokens, kind, model.encoder.dims.mel_bins, FACTOR)


def export_ctc_for_sherpa_onnx(model: Ctc, directory: Path) -> None:
    """Writes model.onnx and tokens.txt."""
    metadata = {
        **COMMON,
        "vocab_size": model.tokens,
        "subsampling_factor": _subsampling(model),
        "model_type": "EncDecCTCModelBPE",
        "version": 1,
    }
    export_ctc(model, directory / "model.onnx", metadata)
    write_tokens(symbols(model.tokens), directory)


def export_ctc_for_onnx_asr(model: Ctc, directory: Path) -> None:
    """Writes model.onnx, vocab.txt and config.json."""
    export_ctc(model, directory / "model.onnx", {})
    _describe(directory, model.tokens, "nemo-conformer-ctc", model.encoder.dims.mel_bins, _subsampling(model))


def export_ctc(model: Ctc, path: Path, metadata: dict[str, object]) -> None:
    exporting.export(
        model,
        fastconformer.example(model.encoder.dims.mel_bins),
        path,
        inputs=fastconformer.INPUTS,
        outputs=exporting.numbered(logprobs=(0, 1)),
        metadata=metadata,
    )


def _subsampling(model: Ctc) -> int:
    return model.encoder.dims.subsampling if isinstance(model.encoder, Jasper) else FACTOR


def _step(prediction: PredictionNetwork) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    hidden, cell = prediction.initial(2)
    return torch.zeros(2, 4, dtype=torch.int32), torch.full((2,), 4, dtype=torch.int32), hidden, cell


def _describe(directory: Path, tokens: int, kind: str, mel_bins: int, subsampling: int) -> None:
    write_tokens(symbols(tokens), directory, name="vocab.txt")
    config = {"model_type": kind, "features_size": mel_bins, "subsampling_factor": subsampling}
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
