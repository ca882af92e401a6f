"""OpenAI's Whisper checkpoint → the files that sherpa-onnx's `OfflineRecognizer.from_whisper` loads.

Reference: k2-fsa/sherpa-onnx, scripts/whisper/export-onnx-with-attention.py.
"""

from __future__ import annotations

import base64
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor

from serving.models.conversion.checkpoints import load_checkpoint
from serving.models.conversion.whisper_network import Decoder, Dimensions, Encoder, Whisper

OPSET = 17

# Layer and head, of a decoder.
Heads = tuple[tuple[int, int], ...]
# Axes of each tensor whose length may vary, and what that length is called.
Axes = dict[str, dict[int, str]]

# Heads whose attention follows the audio, by decoder layers and state: those that OpenAI found (openai/whisper,
# whisper/__init__.py).
ALIGNMENT_HEADS: dict[tuple[int, int], Heads] = {
    (4, 384): ((1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)),  # tiny.en
    (6, 512): ((3, 3), (4, 7), (5, 1), (5, 5), (5, 7)),  # base.en
}
MODEL_TYPES = {(4, 384): "whisper-tiny.en", (6, 512): "whisper-base.en"}

# The English vocabulary with its special tokens; the multilingual ones are larger and number them differently.
ENGLISH_VOCABULARY = 51864
# Languages that have a token each, in English-only models too.
LANGUAGES = 99


def to_fp32(source: Path, target: Path) -> None:
    """`checkpoint.pt` and `gpt2.tiktoken` → `encoder.onnx`, `decoder.onnx`, `tokens.txt`."""
    # Folding would store the transposed embedding a second time: a third of the file.
    export(source, target, fold=False)


def to_int8(source: Path, target: Path) -> None:
    """As `to_fp32`, with matrix products in 8 bits: `encoder.int8.onnx`, `decoder.int8.onnx`, `tokens.txt`."""
    # It needs ONNX Runtime, an extra of its own, and is better missed before the work than after it.
    from serving.models.conversion.quantisation import quantize  # noqa: PLC0415

    # Only a folded weight is one that the quantiser sees.
    export(source, target, fold=True)
    for name in ("encoder", "decoder"):
        whole = target / f"{name}.onnx"
        quantize(whole, target / f"{name}.int8.onnx")
        whole.unlink()


def export(source: Path, target: Path, *, fold: bool) -> None:
    checkpoint = load_checkpoint(source / "checkpoint.pt")
    dims = Dimensions(**checkpoint["dims"])
    model = Whisper(dims).eval()
    model.load_state_dict(checkpoint["model_state_dict"])
    words = read_vocabulary(source / "gpt2.tiktoken")
    export_encoder(model, dims, target / "encoder.onnx", fold=fold)
    export_decoder(model, dims, alignment_heads(dims), target / "decoder.onnx", fold=fold)
    finish(target / "encoder.onnx", metadata(dims, words))
    finish(target / "decoder.onnx", {})
    write_tokens(words, target / "tokens.txt")


def export_encoder(model: Whisper, dims: Dimensions, path: Path, *, fold: bool) -> None:
    mel = torch.zeros(1, dims.n_mels, 2 * dims.n_audio_ctx)
    cross = {1: "n_audio", 2: "T"}
    outputs = {"n_layer_cross_k": cross, "n_layer_cross_v": cross}
    trace(Encoder(model), (mel,), path, {"mel": {0: "n_audio", 2: "T"}}, outputs, fold=fold)


def export_decoder(model: Whisper, dims: Dimensions, heads: Heads, path: Path, *, fold: bool) -> None:
    tokens, offset = torch.zeros(1, 3, dtype=torch.int64), torch.ones(1, dtype=torch.int64)
    past = torch.zeros(dims.n_text_layer, 1, dims.n_text_ctx, dims.n_text_state)
    audio = torch.zeros(dims.n_text_layer, 1, dims.n_audio_ctx, dims.n_text_state)
    cache, cross = {1: "n_audio"}, {1: "n_audio", 2: "T"}
    inputs = {
        "tokens": {0: "n_audio", 1: "n_tokens"},
        "in_n_layer_self_k_cache": cache,
        "in_n_layer_self_v_cache": cache,
        "n_layer_cross_k": cross,
        "n_layer_cross_v": cross,
        "offset": {},
    }
    outputs = {
        "logits": {0: "n_audio", 1: "n_tokens"},
        "out_n_layer_self_k_cache": cache,
        "out_n_layer_self_v_cache": cache,
        "cross_attention_weights": {0: "n_audio", 2: "n_tokens", 3: "T"},
    }
    trace(Decoder(model, heads), (tokens, past, past, audio, audio, offset), path, inputs, outputs, fold=fold)


def trace(
    network: torch.nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    inputs: Axes,
    outputs: Axes,
    *,
    fold: bool,
) -> None:
    """Export as run on `example`; `inputs` and `outputs` give the names, and the axes whose length may vary."""
    with torch.inference_mode(), warnings.catch_warnings():
        # The tracing exporter is kept on purpose: slices at a tensor's value are beyond the newer one.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            example,
            str(path),
            dynamo=False,
            do_constant_folding=fold,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: axes for name, axes in {**inputs, **outputs}.items() if axes},
        )


def alignment_heads(dims: Dimensions) -> Heads:
    """Raises ValueError for a model that this module does not know."""
    heads = ALIGNMENT_HEADS.get((dims.n_text_layer, dims.n_text_state))
    if heads is None or dims.n_vocab != ENGLISH_VOCABULARY:
        raise ValueError("only the checkpoints of tiny.en and base.en can be converted")
    return heads


def metadata(dims: Dimensions, words: dict[bytes, int]) -> dict[str, object]:
    """What sherpa-onnx wants to know; special tokens follow the vocabulary in OpenAI's order."""
    eot = len(words)
    sot = eot + 1
    translate = sot + LANGUAGES + 1
    heads = alignment_heads(dims)
    return {
        "model_type": MODEL_TYPES[dims.n_text_layer, dims.n_text_state],
        "version": "2",
        "maintainer": "k2-fsa",
        **vars(dims),
        "sot_sequence": sot,
        "sot": sot,
        "sot_index": 0,
        "eot": eot,
        "blank_id": words[b" "],
        "is_multilingual": 0,
        "translate": translate,
        "transcribe": translate + 1,
        "sot_lm": translate + 2,
        "sot_prev": translate + 3,
        "no_speech": translate + 4,
        "no_timestamps": translate + 5,
        "n_alignment_heads": len(heads),
        "alignment_heads": ",".join(f"{layer}:{head}" for layer, head in heads),
    }


def finish(path: Path, properties: dict[str, object]) -> None:
    """Write the properties in, and the exporter's version out: equal networks then have equal fingerprints."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {key: str(value) for key, value in properties.items()})
    model.producer_name = model.producer_version = ""
    onnx.save(model, path)


def read_vocabulary(path: Path) -> dict[bytes, int]:
    """GPT-2's byte pairs by rank, from lines of base64 and rank."""
    lines = (line.split() for line in path.read_text("ascii").splitlines() if line)
    return {base64.b64decode(word): int(rank) for word, rank in lines}


def write_tokens(words: dict[bytes, int], path: Path) -> None:
    """sherpa-onnx reads Whisper's tokens in base64, because many are not whole characters."""
    lines = (f"{base64.b64encode(word).decode()} {rank}\n" for word, rank in words.items())
    path.write_text("".join(lines), "ascii")
