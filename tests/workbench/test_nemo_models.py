"""NeMo's models with random weights, in the layouts that users have: what they hold, and what sherpa-onnx makes of them."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from asr_service.engines import load
from asr_service.engines.base import Engine, Speech
from asr_service.engines.ort.features import SherpaNemoFeatures
from support.networks import difference, run
from workbench.networks import fastconformer, greedy, jasper, nemo_export, nemo_models
from workbench.networks.listening import babble
from workbench.networks.nemo_ctc import Ctc, Encoder
from workbench.networks.nemo_models import Transducer
from workbench.networks.prediction import Dimensions
from workbench.networks.threads import one_thread

TOKENS, LETTERS = 200, 28
BINS = 80
DECODERS = {
    "rnnt": Dimensions(tokens=TOKENS, encoder=64, width=64),
    "tdt": Dimensions(tokens=TOKENS, encoder=64, width=64, layers=1, durations=5),
}
CTC: dict[str, tuple[Callable[[], Encoder], int]] = {
    "fastconformer-ctc": (partial(fastconformer.FastConformer, fastconformer.TINY), TOKENS),
    "citrinet": (partial(jasper.Jasper, jasper.Dimensions.citrinet(64, 80, repeat=1)), TOKENS),
    "quartznet": (
        partial(jasper.Jasper, jasper.Dimensions.quartznet(BINS, copies=1, repeat=2, divisor=8)),
        LETTERS,
    ),
    "jasper": (partial(jasper.Jasper, jasper.Dimensions.jasper(BINS, repeat=2, divisor=16)), LETTERS),
}
MODELS = (*DECODERS, *CTC)
# Tokens a second. Letters come faster than pieces.
RATES = {"quartznet": 12.0, "jasper": 12.0}

Model = Transducer | Ctc


@pytest.fixture(scope="module", autouse=True)
def _on_one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    found: dict[str, Model] = {
        name: nemo_models.transducer(fastconformer.TINY, decoder) for name, decoder in DECODERS.items()
    }
    for name, (encoder, tokens) in CTC.items():
        found[name] = nemo_models.ctc(encoder, tokens, rate=rate(name))
    return found


@pytest.fixture(scope="module")
def exports(models: dict[str, Model], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a directory in sherpa-onnx's layout for each model."""
    folder = tmp_path_factory.mktemp("nemo")
    for name, model in models.items():
        (folder / name).mkdir()
        if isinstance(model, Ctc):
            nemo_export.export_ctc_for_sherpa_onnx(model, folder / name)
        else:
            nemo_export.export_for_sherpa_onnx(model, folder / name)
    return folder


@pytest.fixture(scope="module")
def engines(exports: Path) -> dict[str, Engine]:
    return {name: load(exports / name, precision="fp32", threads=1) for name in MODELS}


def rate(name: str) -> float:
    return RATES.get(name, nemo_models.PIECES_A_SECOND)


@torch.inference_mode()
def heard_by_torch(model: Model, samples: np.ndarray) -> list[int]:
    front_end = SherpaNemoFeatures(BINS, ctc=isinstance(model, Ctc), normalize=True)
    features = torch.from_numpy(front_end(samples).T).unsqueeze(0)
    encoded, lengths = model.encoder(features, torch.tensor([features.shape[2]]))
    if isinstance(model, Ctc):
        return greedy.collapsed(model.log_probs(encoded), lengths, model.tokens)[0]
    return model.search(encoded, lengths)[0].tokens


@pytest.mark.parametrize("name", MODELS)
def test_random_weights_say_long_and_varied_hypotheses(name: str, engines: dict[str, Engine]) -> None:
    seconds = 20
    recognitions = [
        engines[name].recognize([Speech(babble(seconds, seed=100 + seed).numpy())])[0] for seed in range(3)
    ]
    for recognition in recognitions:
        assert 0.4 * rate(name) * seconds <= len(recognition.tokens) <= 2.5 * rate(name) * seconds
    said = {token.text for recognition in recognitions for token in recognition.tokens}
    assert len(said) >= (20 if name in RATES else 80)


@pytest.mark.parametrize("name", MODELS)
def test_sherpa_onnx_hears_what_the_network_says(
    name: str, models: dict[str, Model], engines: dict[str, Engine]
) -> None:
    symbols = nemo_export.symbols(LETTERS if name in RATES else TOKENS)
    for seed in range(3):
        samples = babble(6, seed=200 + seed).numpy()
        (recognition,) = engines[name].recognize([Speech(samples)])
        expected = [symbols[token].replace("▁", " ") for token in heard_by_torch(models[name], samples)]
        assert [token.text.decode() for token in recognition.tokens] == expected


@pytest.mark.parametrize("name", CTC)
def test_exported_ctc_models_give_what_the_network_gives(
    name: str, models: dict[str, Model], exports: Path
) -> None:
    features, lengths = torch.randn(2, BINS, 203), torch.tensor([203, 121])
    (found,) = run(exports / name / "model.onnx", audio_signal=features, length=lengths)
    model = models[name]
    assert isinstance(model, Ctc)
    with torch.inference_mode():
        assert difference(found, model(features, lengths)) < 1e-4


@pytest.mark.parametrize("name", DECODERS)
def test_exported_decoders_give_what_the_networks_give(
    name: str, models: dict[str, Model], exports: Path
) -> None:
    model = models[name]
    assert isinstance(model, Transducer)
    step, encoded = some_step(model), torch.randn(3, 64, 5)
    predicted, _, *states = run(exports / name / "decoder.onnx", **step)
    (logits,) = run(exports / name / "joiner.onnx", encoder_outputs=encoded, decoder_outputs=predicted)
    with torch.inference_mode():
        expected, expected_states = model.prediction(
            step["targets"], (step["states_1"], step["onnx__LSTM_3"])
        )
        expected_logits = model.joint(encoded, expected)
    assert difference(predicted, expected) < 1e-4
    assert all(difference(*pair) < 1e-4 for pair in zip(states, expected_states, strict=True))
    # Exported on a CPU: logarithms of probabilities.
    assert difference(logits, expected_logits.log_softmax(dim=-1)) < 1e-4


@pytest.mark.parametrize("name", DECODERS)
def test_the_layout_of_two_files_holds_the_same_weights(
    name: str, models: dict[str, Model], exports: Path, tmp_path: Path
) -> None:
    model = models[name]
    assert isinstance(model, Transducer)
    nemo_export.export_for_onnx_asr(model, tmp_path)
    step, encoded = some_step(model), torch.randn(3, 64, 5)
    predicted, lengths, *states = run(exports / name / "decoder.onnx", **step)
    (expected,) = run(exports / name / "joiner.onnx", encoder_outputs=encoded, decoder_outputs=predicted)
    step["input_states_1"], step["input_states_2"] = step.pop("states_1"), step.pop("onnx__LSTM_3")
    logits, found_lengths, *found_states = run(
        tmp_path / "decoder_joint-model.onnx", encoder_outputs=encoded, **step
    )
    assert difference(torch.from_numpy(logits).log_softmax(dim=-1), expected) < 1e-4
    assert found_lengths.tolist() == lengths.tolist()
    assert all(difference(*pair) < 1e-5 for pair in zip(found_states, states, strict=True))
    assert run(
        tmp_path / "encoder-model.onnx", audio_signal=(x := torch.randn(1, BINS, 99)), length=np.array([99])
    )[0] == pytest.approx(run(exports / name / "encoder.onnx", audio_signal=x, length=np.array([99]))[0])


def some_step(model: Transducer) -> dict[str, torch.Tensor]:
    """Three rows of two tokens, blank among them, and random states."""
    blank, layers = model.dims.tokens, model.dims.layers
    return {
        "targets": torch.tensor([[1, 2], [blank, 7], [5, blank]], dtype=torch.int32),
        "target_length": torch.full((3,), 2, dtype=torch.int32),
        "states_1": torch.randn(layers, 3, 64),
        "onnx__LSTM_3": torch.randn(layers, 3, 64),
    }


@pytest.mark.parametrize("kind", DECODERS)
def test_what_onnx_asr_reads_beside_the_two_files(
    kind: str, models: dict[str, Model], tmp_path: Path
) -> None:
    model = models[kind]
    assert isinstance(model, Transducer)
    nemo_export.export_for_onnx_asr(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == {"model_type": f"nemo-conformer-{kind}", "features_size": BINS, "subsampling_factor": 8}
    vocabulary = (tmp_path / "vocab.txt").read_text("utf-8").splitlines()
    assert vocabulary[0] == "<unk> 0"
    assert vocabulary[-1] == f"<blk> {TOKENS}"


@pytest.mark.parametrize(("name", "subsampling"), [("citrinet", 8), ("quartznet", 2)])
def test_ctc_models_say_what_sherpa_onnx_reads(name: str, subsampling: int, exports: Path) -> None:
    said = {entry.key: entry.value for entry in onnx.load(exports / name / "model.onnx").metadata_props}
    assert said["subsampling_factor"] == str(subsampling)
    assert said["normalize_type"] == "per_feature"
    assert said["vocab_size"] == str(LETTERS if name in RATES else TOKENS)


def test_only_the_url_tells_tdt_from_rnnt(exports: Path) -> None:
    said = {
        name: {entry.key: entry.value for entry in onnx.load(exports / name / "encoder.onnx").metadata_props}
        for name in DECODERS
    }
    assert "tdt" in said["tdt"].pop("url")
    assert "tdt" not in said["rnnt"].pop("url")
    assert said["tdt"].pop("pred_rnn_layers") == "1"
    assert said["rnnt"].pop("pred_rnn_layers") == "2"
    assert said["tdt"] == said["rnnt"]
