"""The recipes on small networks with random weights; `test_real_models` has the real ones."""

import base64
import json
import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from serving.models.conversion import pyannote_segmentation, wespeaker, whisper
from serving.models.conversion.checkpoints import Problem, Resolution, Specifications, load_checkpoint
from serving.models.conversion.whisper_network import Dimensions, Whisper
from serving.models.pull import ConversionFailed, convert

TINY = Dimensions(
    n_mels=8,
    n_vocab=40,
    n_audio_ctx=16,
    n_audio_state=12,
    n_audio_head=2,
    n_audio_layer=2,
    n_text_ctx=10,
    n_text_state=12,
    n_text_head=3,
    n_text_layer=2,
)
HEADS = ((0, 1), (1, 0), (1, 2))


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module", params=[True, False], ids=["folded", "not folded"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    torch.manual_seed(0)
    model = Whisper(TINY).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    whisper.export_encoder(model, TINY, folder / "encoder.onnx", fold=request.param)
    whisper.export_decoder(model, TINY, HEADS, folder / "decoder.onnx", fold=request.param)
    return folder


def cross(exported: Path, frames: int) -> list[np.ndarray]:
    mel = np.random.default_rng(0).standard_normal((1, TINY.n_mels, frames), np.float32)
    return session(exported / "encoder.onnx").run(None, {"mel": mel})


def decode(
    exported: Path, steps: list[list[int]], frames: int = 32
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits and attention of all tokens, given in `steps`, and the keys that were cached at the end."""
    decoder = session(exported / "decoder.onnx")
    keys, values = cross(exported, frames)
    # Beyond the offset a cache holds what earlier utterances left there; it must not matter.
    self_k = self_v = np.full((TINY.n_text_layer, 1, TINY.n_text_ctx, TINY.n_text_state), 7, np.float32)
    logits, weights, offset = [], [], 0
    for step in steps:
        inputs = {
            "tokens": np.array([step], np.int64),
            "in_n_layer_self_k_cache": self_k,
            "in_n_layer_self_v_cache": self_v,
            "n_layer_cross_k": keys,
            "n_layer_cross_v": values,
            "offset": np.array([offset], np.int64),
        }
        out, self_k, self_v, attention = decoder.run(None, inputs)
        offset += len(step)
        logits.append(out)
        weights.append(attention)
    return np.concatenate(logits, axis=1), np.concatenate(weights, axis=2), self_k[:, :, :offset]


def test_decoding_in_steps_equals_decoding_at_once(exported):
    at_once = decode(exported, [[1, 2, 3, 4, 5]])
    in_steps = decode(exported, [[1, 2], [3], [4, 5]])

    for whole, pieces in zip(at_once, in_steps, strict=True):
        np.testing.assert_allclose(whole, pieces, atol=1e-5)


def test_a_token_does_not_see_what_follows_it(exported):
    first, *_ = decode(exported, [[1, 2, 3]])
    second, *_ = decode(exported, [[1, 2, 9]])

    np.testing.assert_allclose(first[:, :2], second[:, :2], atol=1e-5)
    assert np.abs(first[:, 2] - second[:, 2]).max() > 1e-3


def test_attention_is_that_of_the_alignment_heads_over_any_length_of_audio(exported):
    for frames in (32, 20):
        _, weights, _ = decode(exported, [[1, 2, 3]], frames)
        assert weights.shape == (1, len(HEADS), 3, frames // 2)
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_attention_matches_pytorchs_own():
    """The encoder's first layer against torch.nn.MultiheadAttention with the same weights."""
    torch.manual_seed(1)
    model = Whisper(TINY).eval()
    ours = model.encoder.blocks[0].attn
    reference = torch.nn.MultiheadAttention(TINY.n_audio_state, TINY.n_audio_head, batch_first=True).eval()
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        reference.in_proj_bias.copy_(torch.cat([ours.query.bias, torch.zeros(12), ours.value.bias]))
        reference.out_proj.load_state_dict(ours.out.state_dict())
        x = torch.randn(2, 5, TINY.n_audio_state)
        torch.testing.assert_close(ours(x, ours.key(x), ours.value(x))[0], reference(x, x, x)[0])


def test_whisper_metadata_numbers_the_special_tokens_as_openai_does():
    words = {bytes([rank % 256, rank // 256]): rank for rank in range(50255)} | {b" ": 50255}
    dims = replace(TINY, n_text_layer=4, n_text_state=384, n_vocab=51864)

    values = whisper.metadata(dims, words)

    # The English tokenizer of openai-whisper: endoftext, startoftranscript, translate, …, notimestamps.
    assert (values["eot"], values["sot"], values["translate"]) == (50256, 50257, 50357)
    assert (values["transcribe"], values["no_speech"], values["no_timestamps"]) == (50358, 50361, 50362)
    assert values["blank_id"] == 50255
    assert values["alignment_heads"] == "1:0,2:0,2:5,3:0,3:1,3:2,3:3,3:4"
    assert values["n_alignment_heads"] == 8


def test_other_whispers_are_refused():
    with pytest.raises(ValueError, match=r"only the checkpoints of tiny\.en and base\.en"):
        whisper.alignment_heads(replace(TINY, n_text_layer=4, n_text_state=384, n_vocab=51865))


def test_tokens_are_written_as_they_are_read(tmp_path):
    words = {b"a": 0, b"\xff\xfe": 1, b" the": 2}
    whisper.write_tokens(words, tmp_path / "tokens.txt")

    assert whisper.read_vocabulary(tmp_path / "tokens.txt") == words
    assert (tmp_path / "tokens.txt").read_text().splitlines()[2] == f"{base64.b64encode(b' the').decode()} 2"


def test_wespeaker_weights_find_their_layers(tmp_path):
    graph, arrays = folded_resnet()
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")

    wespeaker.convert(tmp_path, tmp_path)

    state = load_file(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(state["resnet.conv1.weight"], arrays["w0"])
    # Stage 2 begins after the stem and three blocks of two convolutions; its first block has a shortcut.
    np.testing.assert_array_equal(state["resnet.layer2.0.conv1.weight"], arrays["w7"])
    np.testing.assert_array_equal(state["resnet.layer2.0.shortcut.0.weight"], arrays["w9"])
    np.testing.assert_array_equal(state["resnet.layer2.0.shortcut.1.bias"], arrays["b9"])
    np.testing.assert_array_equal(state["resnet.seg_1.bias"], arrays["model.seg_1.bias"] - arrays["mean_vec"])
    assert json.loads((tmp_path / "config.json").read_text())["hyper_parameters"]["num_mel_bins"] == 80


def test_a_folded_batch_norm_only_adds():
    bias = np.array([0.5, -2], np.float32)
    norm = torch.nn.BatchNorm2d(2).eval()
    state = wespeaker.batch_norm("bn", bias)
    norm.load_state_dict({name.removeprefix("bn."): torch.tensor(value) for name, value in state.items()})

    x = torch.randn(1, 2, 3, 4)
    torch.testing.assert_close(norm(x), x + torch.tensor(bias)[:, None, None], rtol=1e-6, atol=1e-6)


def folded_resnet() -> tuple[onnx.GraphProto, dict[str, np.ndarray]]:
    """As many convolutions as a folded ResNet34 has, in its order, with weights that tell them apart."""
    arrays, nodes = {}, []
    for index in range(len(list(wespeaker.layers()))):
        arrays[f"w{index}"] = np.full((1, 1, 1, 1), index, np.float32)
        arrays[f"b{index}"] = np.full(1, index + 0.5, np.float32)
        nodes.append(helper.make_node("Conv", [f"x{index}", f"w{index}", f"b{index}"], [f"x{index + 1}"]))
    arrays["model.seg_1.weight"] = np.ones((2, 2), np.float32)
    arrays["model.seg_1.bias"] = np.array([3, 4], np.float32)
    arrays["mean_vec"] = np.array([1, 1], np.float32)
    signature = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 1, 1]) for name in ("x0", "x1")
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    return helper.make_graph(nodes, "folded", signature[:1], signature[1:], initializers), arrays


def test_specifications_by_name():
    held = Specifications()
    vars(held).update(
        problem=Problem.MONO_LABEL_CLASSIFICATION, resolution=Resolution.FRAME, duration=10.0, powerset=True
    )

    assert pyannote_segmentation.specifications(held) == {
        "problem": "MONO_LABEL_CLASSIFICATION",
        "resolution": "FRAME",
        "duration": 10.0,
    }


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return Path.touch, (self.path,)


def test_a_checkpoint_cannot_run_anything(tmp_path):
    torch.save({"dims": Payload(tmp_path / "ran")}, tmp_path / "checkpoint.pt")

    with pytest.raises(Exception, match="Weights only load failed"):
        load_checkpoint(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "ran").exists()


def test_a_plain_checkpoint_loads(tmp_path):
    torch.save({"state": OrderedDict(a=torch.ones(2))}, tmp_path / "checkpoint.pt")

    assert load_checkpoint(tmp_path / "checkpoint.pt")["state"]["a"].tolist() == [1, 1]


def test_a_recipe_that_fails_in_its_process_says_why(tmp_path):
    with pytest.raises(ConversionFailed, match="FileNotFoundError"):
        convert("wespeaker-resnet34", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("missing", "recipe", "extra"),
    [("onnx", "wespeaker-resnet34", "models"), ("onnxruntime", "whisper-int8", "cpu")],
)
def test_what_a_recipe_needs_is_named_with_the_extra_that_brings_it(tmp_path, missing, recipe, extra):
    # None in sys.modules is a package that is not installed.
    runs = (
        f"import runpy, sys; sys.modules[{missing!r}] = None; sys.argv[1:] = [{recipe!r}, {str(tmp_path)!r}, 'target']; "
        "runpy.run_module('serving.models.conversion', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", runs], capture_output=True, text=True, check=False)
    assert done.stderr.startswith(f"the package {missing}")
    assert done.stderr.endswith(f"is missing: pip install 'duoscribe[{extra}]'\n")


def test_the_store_itself_imports_neither_torch_nor_onnx():
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, serving.models; print({'torch', 'onnx', 'onnxruntime'} & set(sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "set()"
