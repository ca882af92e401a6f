"""OpenAI's Whisper checkpoint → the files that sherpa-onnx's `OfflineRecognizer.from_whisper` loads.

Reference: k2-fsa/sherpa-onnx, scripts/whisper/export-onnx-with-attention.py.
"""

from __future__ import annotations

import base64
import warnings
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from serving.models.conversion.checkpoints import load_checkpoint
from serving.models.conversion.whisper_network import Decoder, Dimensions, Encoder, Whisper

OPSET = 17

# Decoder heads whose attention follows the audio, (layer, head) by decoder layers and state: those that OpenAI found,
# as in openai/whisper, whisper/__init__.py.
ALIGNMENT_HEADS = {
    (4, 384): ((1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)),  # tiny.en
    (6, 512): ((3, 3), (4, 7), (5, 1), (5, 5), (5, 7)),  # base.en
}
MODEL_TYPES = {(4, 384): "whisper-tiny.en", (6, 512): "whisper-base.en"}

# Languages that have a token each, in English-only models too.
LANGUAGES = 99


def to_fp32(source: Path, target: Path) -> None:
    """`checkpoint.pt` and `gpt2.tiktoken` → `encoder.onnx`, `decoder.onnx`, `tokens.txt`."""
    checkpoint = load_checkpoint(source / "checkpoint.pt")
    dims = Dimensions(**checkpoint["dims"])
    model = Whisper(dims).eval()
    model.load_state_dict(checkpoint["model_state_dict"])
    words = read_vocabulary(source / "gpt2.tiktoken")
    with torch.inference_mode(), warnings.catch_warnings():
        # The tracing exporter is kept on purpose: slices at a tensor's value are beyond the newer one.
        warnings.simplefilter("ignore")
        export_encoder(model, dims, target / "encoder.onnx")
        export_decoder(model, dims, target / "decoder.onnx")
    add_metadata(target / "encoder.onnx", metadata(dims, words))
    write_tokens(words, target / "tokens.txt")


def to_int8(source: Path, target: Path) -> None:
    """As `to_fp32`, with matrix products in 8 bits: `encoder.int8.onnx`, `decoder.int8.onnx`, `tokens.txt`."""
    to_fp32(source, target)
    for name in ("encoder", "decoder"):
        whole = target / f"{name}.onnx"
        quantize_dynamic(
            whole, target / f"{name}.int8.onnx", op_types_to_quantize=["MatMul"], weight_type=QuantType.QInt8
        )
        whole.unlink()


def export_encoder(model: Whisper, dims: Dimensions, path: Path) -> None:
    cross = {1: "n_audio", 2: "T"}
    torch.onnx.export(
        Encoder(model),
        (torch.zeros(1, dims.n_mels, 2 * dims.n_audio_ctx),),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=["mel"],
        output_names=["n_layer_cross_k", "n_layer_cross_v"],
        dynamic_axes={"mel": {0: "n_audio", 2: "T"}, "n_layer_cross_k": cross, "n_layer_cross_v": cross},
    )


def export_decoder(model: Whisper, dims: Dimensions, path: Path) -> None:
    cache = torch.zeros(dims.n_text_layer, 1, dims.n_text_ctx, dims.n_text_state)
    cross = torch.zeros(dims.n_text_layer, 1, dims.n_audio_ctx, dims.n_text_state)
    names = {"tokens": {0: "n_audio", 1: "n_tokens"}}
    names |= {f"{way}_n_layer_self_{kv}_cache": {1: "n_audio"} for way in ("in", "out") for kv in "kv"}
    names |= {f"n_layer_cross_{kv}": {1: "n_audio", 2: "T"} for kv in "kv"}
    names |= {"logits": {0: "n_audio", 1: "n_tokens"}}
    names |= {"cross_attention_weights": {0: "n_audio", 2: "n_tokens", 3: "T"}}
    torch.onnx.export(
        Decoder(model, ALIGNMENT_HEADS[dims.n_text_layer, dims.n_text_state]),
        (torch.zeros(1, 3, dtype=torch.int64), cache, cache, cross, cross, torch.ones(1, dtype=torch.int64)),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=[
            "tokens",
            "in_n_layer_self_k_cache",
            "in_n_layer_self_v_cache",
            "n_layer_cross_k",
            "n_layer_cross_v",
            "offset",
        ],
        output_names=[
            "logits",
            "out_n_layer_self_k_cache",
            "out_n_layer_self_v_cache",
            "cross_attention_weights",
        ],
        dynamic_axes=names,
    )


def metadata(dims: Dimensions, words: dict[bytes, int]) -> dict[str, object]:
    """What sherpa-onnx wants to know; special tokens follow the vocabulary in OpenAI's order."""
    eot = len(words)
    sot = eot + 1
    translate = sot + LANGUAGES + 1
    heads = ALIGNMENT_HEADS[dims.n_text_layer, dims.n_text_state]
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


def add_metadata(path: Path, values: dict[str, object]) -> None:
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {key: str(value) for key, value in values.items()})
    onnx.save(model, path)


def read_vocabulary(path: Path) -> dict[bytes, int]:
    """GPT-2's byte pairs by rank, from lines of base64 and rank."""
    lines = (line.split() for line in path.read_text("ascii").splitlines() if line)
    return {base64.b64decode(word): int(rank) for word, rank in lines}


def write_tokens(words: dict[bytes, int], path: Path) -> None:
    """sherpa-onnx reads Whisper's tokens in base64, because many are not whole characters."""
    lines = (f"{base64.b64encode(word).decode()} {rank}\n" for word, rank in words.items())
    path.write_text("".join(lines), "ascii")
