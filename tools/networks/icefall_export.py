"""icefall's models as its scripts export them to ONNX, and as sherpa-onnx reads them.

Reference: k2-fsa/icefall, egs/librispeech/ASR/zipformer/export-onnx.py and pruned_transducer_stateless5/export-onnx.py.
"""

from pathlib import Path

import torch
from torch import Tensor

from tools.networks import exporting
from tools.networks.stateless import Decoder, Joiner, ProjectedEncoder, Transducer
from tools.networks.vocabulary import pieces, write_tokens

AUTHOR = {"version": 1, "model_author": "k2-fsa"}
SPECIAL = ("<blk>", "<sos/eos>", "<unk>")
STEM = "epoch-99-avg-1"


def export_transducer(model: Transducer, directory: Path, *, model_type: str, mel_bins: int = 80) -> None:
    """Writes encoder, decoder and joiner, each `STEM` after its role, and tokens.txt."""
    export_encoder(model.encoder, directory / f"encoder-{STEM}.onnx", model_type, mel_bins)
    export_decoder(model.decoder, directory / f"decoder-{STEM}.onnx")
    export_joiner(model.joiner, directory / f"joiner-{STEM}.onnx")
    write_vocabulary(model.dims.vocabulary, directory)


def export_encoder(encoder: ProjectedEncoder, path: Path, model_type: str, mel_bins: int) -> None:
    """`x` [N, T, mel], `x_lens` [N] → `encoder_out` [N, T', joiner], `encoder_out_lens` [N]."""
    exporting.export(
        encoder,
        example(mel_bins),
        path,
        inputs={"x": {0: "N", 1: "T"}, "x_lens": {0: "N"}},
        # Both times are "T" in icefall's own exports, though the second is a quarter of the first.
        outputs={"encoder_out": {0: "N", 1: "T"}, "encoder_out_lens": {0: "N"}},
        metadata={"model_type": model_type, **AUTHOR},
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


def write_vocabulary(size: int, directory: Path) -> None:
    """tokens.txt for so many tokens, blank and icefall's other special symbols first."""
    write_tokens((*SPECIAL, *pieces(size - len(SPECIAL))), directory)


def example(mel_bins: int) -> tuple[Tensor, Tensor]:
    """Features and lengths of two utterances, one of them padded."""
    return torch.randn(2, 100, mel_bins), torch.tensor([100, 83])
