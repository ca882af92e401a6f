"""icefall's architectures with random weights: what is exported, what sherpa-onnx makes of it, what padding does."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from asr_service.engines import load
from asr_service.engines.base import Engine, Recognition, Speech
from asr_service.engines.ort.features import KaldiFeatures
from workbench.networks import conformer, icefall_export, icefall_models, stateless, zipformer
from workbench.networks.greedy import collapsed
from workbench.networks.icefall_ctc import BLANK, Ctc
from workbench.networks.icefall_encoder import Encoder
from workbench.networks.listening import babble
from workbench.networks.stateless_greedy import search
from workbench.networks.threads import one_thread

FEATURES = KaldiFeatures()
TRANSDUCERS: dict[str, Callable[[], Encoder]] = {
    "conformer": partial(conformer.Conformer, conformer.TINY),
    "zipformer": partial(zipformer.Zipformer, zipformer.TINY),
}
MODELS = (*TRANSDUCERS, "zipformer-ctc")
FILE = {
    "conformer": "encoder-epoch-99-avg-1.onnx",
    "zipformer": "encoder-epoch-99-avg-1.onnx",
    "zipformer-ctc": "model.onnx",
}

Model = stateless.Transducer | Ctc
Built = dict[str, Model]


@pytest.fixture(scope="module", autouse=True)
def unthreaded() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def models() -> Built:
    found: Built = {"zipformer-ctc": icefall_models.ctc(TRANSDUCERS["zipformer"], 100)}
    for name, encoder in TRANSDUCERS.items():
        found[name] = icefall_models.transducer(encoder, stateless.TINY)
    return found


@pytest.fixture(scope="module")
def exports(models: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a directory for each model."""
    folder = tmp_path_factory.mktemp("icefall")
    for name, model in models.items():
        (folder / name).mkdir()
        if isinstance(model, Ctc):
            icefall_export.export_ctc(model, folder / name)
        else:
            icefall_export.export_transducer(model, folder / name)
    return folder


@pytest.fixture(scope="module")
def engines(exports: Path) -> dict[str, Engine]:
    return {name: load(exports / name, precision="fp32", threads=1) for name in MODELS}


@pytest.fixture(scope="module")
def batching_engines(exports: Path) -> dict[str, Engine]:
    return {name: load(exports / name, precision="fp32", threads=1, engine="ort") for name in MODELS}


def frames_of(models: Built, name: str, *features: np.ndarray, padding: float = 0.0) -> list[Tensor]:
    """What the model's first network gives for each utterance of a batch, without its padding."""
    lengths = torch.tensor([len(utterance) for utterance in features])
    rows = [torch.from_numpy(utterance) for utterance in features]
    batch = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding)
    with torch.inference_mode():
        frames, lengths = first_network(models[name])(batch, lengths)
    return [row[:length] for row, length in zip(frames, lengths.tolist(), strict=True)]


def first_network(model: Model) -> nn.Module:
    return model if isinstance(model, Ctc) else model.encoder


def heard_by_torch(models: Built, name: str, samples: np.ndarray) -> list[int]:
    (frames,) = frames_of(models, name, FEATURES(samples))
    batch, lengths, model = frames.unsqueeze(0), torch.tensor([len(frames)]), models[name]
    if isinstance(model, Ctc):
        return collapsed(batch, lengths, BLANK)[0]
    return search(model.decoder, model.joiner, batch, lengths)[0].tokens


def symbols(directory: Path) -> list[str]:
    lines = (directory / "tokens.txt").read_text("utf-8").splitlines()
    return [line.split()[0] for line in lines]


def said(recognition: Recognition) -> list[tuple[bytes, float | None]]:
    return [(token.text, token.start) for token in recognition.tokens]


def run(path: Path, **inputs: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(None, inputs)
    return outputs


def difference(found: np.ndarray | Tensor, expected: Tensor) -> float:
    """The largest, relative to the largest value."""
    return float((torch.as_tensor(found) - expected).abs().max() / expected.abs().max())


def noise(frames: int, seed: int) -> np.ndarray:
    """Features as loud as speech, of so many frames."""
    return np.random.default_rng(seed).normal(-7, 4, (frames, 80)).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_random_weights_say_long_and_varied_hypotheses(name: str, engines: dict[str, Engine]) -> None:
    seconds = 20
    (recognition,) = engines[name].recognize([Speech(babble(seconds, seed=100).numpy())])
    assert 3 * seconds <= len(recognition.tokens) <= 8 * seconds
    assert len({token.text for token in recognition.tokens}) >= 40


@pytest.mark.parametrize("name", MODELS)
def test_sherpa_onnx_hears_what_the_network_says(
    name: str, models: Built, engines: dict[str, Engine], exports: Path
) -> None:
    table = symbols(exports / name)
    for seed in range(3):
        samples = babble(6, seed=200 + seed).numpy()
        (recognition,) = engines[name].recognize([Speech(samples)])
        tokens = heard_by_torch(models, name, samples)
        expected = [table[token].replace("▁", " ") for token in tokens]
        assert [token.text.decode() for token in recognition.tokens] == expected


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("lengths", [(9,), (64,), (203, 121, 78), (90, 97)])
def test_exports_give_what_the_network_gives(
    name: str, lengths: tuple[int, ...], models: Built, exports: Path
) -> None:
    features = [noise(length, seed) for seed, length in enumerate(lengths)]
    batch = np.zeros((len(lengths), max(lengths), 80), np.float32)
    for row, utterance in zip(batch, features, strict=True):
        row[: len(utterance)] = utterance
    found, counts = run(exports / name / FILE[name], x=batch, x_lens=np.array(lengths))
    expected = frames_of(models, name, *features)
    assert counts.tolist() == [len(frames) for frames in expected]
    for row, frames in zip(found, expected, strict=True):
        assert difference(row[: len(frames)], frames) < 1e-4


def test_decoder_and_joiner_give_what_the_networks_give(models: Built, exports: Path) -> None:
    """The context before the first tokens is -1, which no embedding has."""
    model, directory = models["conformer"], exports / "conformer"
    assert isinstance(model, stateless.Transducer)
    contexts = np.array([[-1, 0], [0, 5], [99, 7]])
    frames = np.random.default_rng(0).standard_normal((3, stateless.TINY.joiner), np.float32)
    (predicted,) = run(directory / "decoder-epoch-99-avg-1.onnx", y=contexts)
    (logits,) = run(directory / "joiner-epoch-99-avg-1.onnx", encoder_out=frames, decoder_out=predicted)
    with torch.inference_mode():
        expected = model.decoder(torch.from_numpy(contexts))
        assert difference(predicted, expected) < 1e-4
        assert difference(logits, model.joiner(torch.from_numpy(frames), expected)) < 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_exports_say_what_sherpa_onnx_reads(name: str, exports: Path) -> None:
    directory = exports / name
    said = {
        (path.name.split("-")[0], entry.key): entry.value
        for path in directory.glob("*.onnx")
        for entry in onnx.load(path).metadata_props
    }
    if name in TRANSDUCERS:
        kind = {"conformer": "conformer", "zipformer": "zipformer2"}[name]
        assert said["encoder", "model_type"] == kind
        assert (said["decoder", "context_size"], said["decoder", "vocab_size"]) == ("2", "100")
        assert said["joiner", "joiner_dim"] == "64"
    else:
        assert said["model.onnx", "model_type"] == "zipformer2_ctc"
    assert symbols(directory)[:3] == ["<blk>", "<sos/eos>", "<unk>"]
    assert len(set(symbols(directory))) == 100


@pytest.mark.parametrize("frames", range(100, 104))
def test_a_conformer_hears_nothing_of_padding_with_zeros(frames: int, models: Built) -> None:
    utterance, longer = noise(frames, seed=0), noise(171, seed=1)
    (alone,) = frames_of(models, "conformer", utterance)
    beside, _ = frames_of(models, "conformer", utterance, longer)
    assert difference(beside, alone) < 1e-5


def test_a_conformer_hears_the_first_frame_of_other_padding(models: Built) -> None:
    """sherpa-onnx pads with the logarithm of 1e-10; with nothing behind it, the first convolution pads with zeros."""
    changes = {}
    for frames in range(100, 104):
        utterance, longer = noise(frames, seed=0), noise(171, seed=1)
        (alone,) = frames_of(models, "conformer", utterance)
        beside, _ = frames_of(models, "conformer", utterance, longer, padding=np.log(1e-10))
        changes[frames % 4] = difference(beside, alone)
    # Where the last window of the strides reaches the last frame, the window before the strides reaches one further.
    assert changes.pop(3) > 0.01
    assert max(changes.values()) < 1e-5


def test_our_engine_pads_a_conformer_with_zeros_so_that_any_lengths_share_a_batch(
    batching_engines: dict[str, Engine],
) -> None:
    """Not those of a Zipformer."""
    lengths = [Speech(babble(1.7 + step / 100, seed=300 + step).numpy()) for step in range(4)]
    buckets = {
        name: {engine.bucket(speech) for speech in lengths} for name, engine in batching_engines.items()
    }
    assert {name: len(found) for name, found in buckets.items()} == {
        "conformer": 1,
        "zipformer": 4,
        "zipformer-ctc": 4,
    }
    engine = batching_engines["conformer"]
    together = [said(recognition) for recognition in engine.recognize(lengths)]
    assert together == [said(*engine.recognize([speech])) for speech in lengths]


@pytest.mark.parametrize("name", ["zipformer", "zipformer-ctc"])
@pytest.mark.parametrize("padding", [0.0, np.log(1e-10)])
def test_a_zipformer_hears_its_padding(name: str, padding: float, models: Built) -> None:
    """Most in the last frames: ConvNeXt sees three frames of 20 ms ahead, the averages of slower stacks several."""
    utterance, longer = noise(301, seed=0), noise(371, seed=1)
    (alone,) = frames_of(models, name, utterance)
    beside, _ = frames_of(models, name, utterance, longer, padding=padding)
    assert difference(beside, alone) > 0.01
    assert difference(beside[-4:], alone[-4:]) > 3 * difference(beside[:-8], alone[:-8])


@pytest.mark.parametrize("name", MODELS)
def test_utterances_of_equal_length_do_not_hear_each_other(name: str, models: Built) -> None:
    utterances = [noise(130, seed) for seed in range(3)]
    together = frames_of(models, name, *utterances)
    for utterance, frames in zip(utterances, together, strict=True):
        (alone,) = frames_of(models, name, utterance)
        assert difference(frames, alone) < 1e-5


def parameters(encoder: Callable[[], Encoder]) -> int:
    model = stateless.Transducer(encoder(), stateless.LIBRISPEECH)
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_medium_zipformer_is_icefalls_to_the_last_parameter() -> None:
    """icefall's RESULTS.md says 65549011; two projections only train it, and each layer has a scale that nothing uses."""
    training = 2 * (stateless.LIBRISPEECH.width + 1) * stateless.LIBRISPEECH.vocabulary
    unused = sum(stack.layers * stack.width for stack in zipformer.MEDIUM.stacks)
    assert parameters(partial(zipformer.Zipformer, zipformer.MEDIUM)) == 65_549_011 - training - unused


def test_the_large_conformer_has_the_size_of_icefalls() -> None:
    assert parameters(partial(conformer.Conformer, conformer.LIBRISPEECH)) == pytest.approx(78.1e6, rel=0.001)
