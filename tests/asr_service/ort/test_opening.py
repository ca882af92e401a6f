"""What becomes of a model's folder: which of its files run, what may share a batch, what is refused and why."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnxruntime.quantization import QuantType, quantize_dynamic

from asr_service.engines import load
from asr_service.engines.base import Engine, Samples, Speech, Stop, Stopped
from asr_service.engines.ort.settings import Settings
from serving.errors import ModelUnavailable
from support.random_models import SHERPA_ONNX, quartznet_of_64_bins, write
from support.tiny_models import MODELS, bursts
from support.tiny_models.breakage import set_metadata

SPEECH = Speech(bursts((0.4, 1.0), 1.7))


def opened(directory: Path, **how: object) -> Engine:
    return load(directory, **{"precision": "fp32", "threads": 1, "engine": "ort", **how})


def text(engine: Engine) -> bytes:
    (found,) = engine.recognize([SPEECH])
    return b"".join(token.text for token in found.tokens)


def store_weights_apart(path: Path) -> Path:
    model, data = onnx.load(path), path.with_name(f"{path.name}.data")
    path.unlink()
    onnx.save_model(model, path, save_as_external_data=True, location=data.name, size_threshold=64)
    return data


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a random model, which is made once."""
    folder = tmp_path_factory.mktemp("opening")
    return lambda name: folder / name if (folder / name).exists() else write(SHERPA_ONNX[name], folder / name)


@pytest.mark.parametrize("name", ["transducer", "tdt", "tdt-of-onnx-asr", "ctc-of-onnx-asr", "whisper"])
def test_weights_may_lie_beside_every_file(name: str, tmp_path: Path) -> None:
    MODELS[name].write(tmp_path)
    for path in tmp_path.glob("*.onnx"):
        store_weights_apart(path)
    assert text(opened(tmp_path)) == b" good mor"


@pytest.mark.parametrize("kept", [0, 40])
def test_weights_that_were_cut_short_are_refused(kept: int, tmp_path: Path) -> None:
    MODELS["tdt"].write(tmp_path)
    data = store_weights_apart(tmp_path / "encoder.onnx")
    data.write_bytes(data.read_bytes()[:kept])
    with pytest.raises(ModelUnavailable, match=rf"{tmp_path}.*fetch the model again"):
        opened(tmp_path)


def test_precision_chooses_among_files(tmp_path: Path) -> None:
    MODELS["nemo-ctc"].write(tmp_path)
    shutil.copy(tmp_path / "model.onnx", tmp_path / "model.int8.onnx")
    set_metadata(tmp_path / "model.int8.onnx", "subsampling_factor", "4")
    coarse, fine = (
        opened(tmp_path, precision=precision).recognize([SPEECH])[0].tokens for precision in ("fp32", "int8")
    )
    assert [token.start for token in fine] == pytest.approx([(token.start or 0) / 2 for token in coarse])


def test_eight_bit_weights_allow_no_company(made: Callable[[str], Path], tmp_path: Path) -> None:
    """One scale is found for the activations of a whole batch."""
    shutil.copytree(made("fastconformer-ctc"), tmp_path, dirs_exist_ok=True)
    assert opened(tmp_path).info.max_batch > 1
    model = tmp_path / "model.onnx"
    quantize_dynamic(model, model, weight_type=QuantType.QUInt8)
    assert opened(tmp_path).info.max_batch == 1


@pytest.mark.parametrize(
    ("name", "mixed"),
    [
        ("fastconformer-ctc", True),
        ("conformer-transducer", True),
        ("zipformer-ctc", False),
        ("citrinet", False),
    ],
)
def test_only_lengths_that_do_not_disturb_each_other_share_a_bucket(
    name: str, mixed: bool, made: Callable[[str], Path], sample: Samples
) -> None:
    engine = opened(made(name))
    short, long = (Speech(sample[:samples]) for samples in (32_160, 33_600))
    assert (engine.bucket(short) == engine.bucket(long)) == mixed
    assert engine.bucket(short) < engine.bucket(Speech(sample[:64_000]))
    assert engine.padded(short) >= short.seconds


def test_quartznet_of_64_bins_runs(tmp_path: Path, sample: Samples) -> None:
    """As published. sherpa-onnx refuses it: it computes 80 mel bins for every CTC model of NeMo."""
    write(quartznet_of_64_bins, tmp_path / "quartznet")
    (found,) = opened(tmp_path / "quartznet").recognize([Speech(sample)])
    assert len(found.tokens) > 100
    with pytest.raises(ModelUnavailable, match="Got: 80 Expected: 64"):
        opened(tmp_path / "quartznet", engine="sherpa")


def test_gigaam_is_left_to_sherpa_onnx(tmp_path: Path) -> None:
    MODELS["nemo-ctc"].write(tmp_path)
    set_metadata(tmp_path / "model.onnx", "is_giga_am", "1")
    with pytest.raises(ModelUnavailable, match=r"is a GigaAM model, .* choose the engine sherpa"):
        opened(tmp_path)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_there_is_missed_not_replaced(provider: str, tmp_path: Path) -> None:
    MODELS["nemo-ctc"].write(tmp_path)
    with pytest.raises(ModelUnavailable, match=r"^no (CUDA|TensorRT): "):
        opened(tmp_path, settings=Settings(provider=provider))


def test_auto_says_what_it_took_and_why(tmp_path: Path) -> None:
    MODELS["nemo-ctc"].write(tmp_path)
    info = opened(tmp_path, settings=Settings(provider="auto")).info
    assert info.provider == "cpu"
    assert info.provider_reason


def test_a_running_batch_can_be_stopped(made: Callable[[str], Path], sample: Samples) -> None:
    """Whole, it takes a hundred times as long as the stop comes after its begin."""
    engine, stop = opened(made("zipformer-ctc")), Stop()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Stopped):
        engine.recognize([Speech(sample)] * 200, stop)
    assert engine.recognize([SPEECH]), "and serves the next"
