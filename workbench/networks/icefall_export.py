"""icefall's models as its scripts export them to ONNX, and as sherpa-onnx reads them.

Reference: k2-fsa/icefall, egs/librispeech/ASR/zipformer/export-onnx.py and export-onnx-ctc.py.
"""

from pathlib import Path

import torch
from torch import Tensor

from workbench.networks import exporting
from workbench.networks.icefall_ctc import Ctc
from workbench.networks.stateless import Decoder, Joiner, ProjectedEncoder, Transducer
from workbench.networks.vocabulary import pieces, write_tokens

AUTHOR = {"version": 1, "model_author": "k2-fsa"}
SPECIAL = ("<blk>", "<sos/eos>", "<unk>")
FEATURES = {"x": {0: "N", 1: "T"}, "x_lens": {0: "N"}}
STEM = "epoch-99-avg-1"


def export_transducer(model: Transducer, directory: Path) -> None:
    """Writes encoder, decoder and joiner, each `STEM` after its role, and tokens.txt."""
    export_encoder(model.encoder, directory / f"encoder-{STEM}.onnx")
    export_decoder(model.decoder, directory / f"decoder-{STEM}.onnx")
    export_joiner(model.joiner, directory / f"joiner-{STEM}.onnx")
    write_vocabulary(model.dims.vocabulary, directory)


def export_encoder(encoder: ProjectedEncoder, path: Path) -> None:
    """`x` [N, T, mel], `x_lens` [N] → `encoder_out` [N, T', joiner], `encoder_out_lens` [N]."""
    exporting.export(
        encoder,
        example(encoder.encoder.mel_bins),
        path,
        inputs=FEATURES,
        # Both times are "T" in icefall's own exports, though the second is a quarter of the first.
        outputs={"encoder_out": {0: "N", 1: "T"}, "encoder_out_lens": {0: "N"}},
        metadata={"model_type": encoder.encoder.model_type, **AUTHOR},
    )


def export_decoder(decoder: Decoder, path: Path) -> None:
    """`y` [N, context] int64 → `decoder_out` [N, joiner]."""
    vocabulary, context = decoder.embedding.num_embeddings, decoder.conv.kernel_size[0]
    exporting.export(
        decoder,
        (torch.zeros(3, context, dtype=torch.int64),),
        path,
        inputs={"y": {0: "N"}},
        outputs={"decoder_out": {0: "N"}},
        metadata={"context_size": context, "vocab_size": vocabulary},
    )


def export_joiner(joiner: Joiner, path: Path) -> None:
    """`encoder_out` and `decoder_out` [N, joiner] → `logit` [N, vocabulary]."""
    width = joiner.output_linear.in_features
    exporting.export(
        joiner,
        (torch.zeros(3, width), torch.zeros(3, width)),
        path,
        inputs={"encoder_out": {0: "N"}, "decoder_out": {0: "N"}},
        outputs={"logit": {0: "N"}},
        metadata={"joiner_dim": width},
    )


def export_ctc(model: Ctc, directory: Path) -> None:
    """Writes model.onnx and tokens.txt.

    `x` [N, T, mel], `x_lens` [N] → `log_probs` [N, T', vocabulary], `log_probs_len` [N].
    """
    exporting.export(
        model,
        example(model.encoder.mel_bins),
        directory / "model.onnx",
        inputs=FEATURES,
        outputs={"log_probs": {0: "N", 1: "T"}, "log_probs_len": {0: "N"}},
        metadata={"model_type": f"{model.encoder.model_type}_ctc", **AUTHOR},
    )
    write_vocabulary(model.ctc_output.out_features, directory)


def write_vocabulary(size: int, directory: Path) -> None:
    """tokens.txt for so many tokens, blank and icefall's other special symbols first."""
    write_tokens(symbols(size), directory)


def symbols(size: int) -> tuple[str, ...]:
    """Special symbols and, behind them, pieces."""
    return (*SPECIAL, *pieces(size - len(SPECIAL)))


def example(mel_bins: int) -> tuple[Tensor, Tensor]:
    """Features and lengths of two utterances, one of them padded."""
    return torch.randn(2, 100, mel_bins), torch.tensor([100, 83])
