"""An exported repository is one that Triton can read, and says what the project's own engine says."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as schema

from asr_service.engines import load
from asr_service.engines.base import Samples, Speech
from asr_service.spelling import spell
from asr_service.triton.commands import triton
from support.tiny_models import MODELS, TinyModel, bursts
from support.triton import Repository, TritonError

EXPORTED = [
    *("transducer", "rnnt", "tdt", "nemo-ctc", "zipformer-ctc", "whisper"),
    *("tdt-of-onnx-asr", "ctc-of-onnx-asr", "whisper-without-attention"),
]
PARTS = ("lengths", "preprocessing", "encoder", "decoding", "texts")
ROWS = 4
HEARD = [bursts((0.4, 1.0, 1.6)[:count], 1.7 + 0.3 * count, seed=count) for count in (1, 2, 3)]


def export(model: Path, folder: Path, *flags: str) -> Result:
    return CliRunner().invoke(triton, ["export", str(model), str(folder), "--name", "asr", *flags])


@pytest.fixture(scope="module", params=EXPORTED)
def model(request: pytest.FixtureRequest) -> TinyModel:
    return MODELS[request.param]


@pytest.fixture(scope="module")
def source(model: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    model.write(folder)
    return folder


@pytest.fixture(scope="module")
def folder(model: TinyModel, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    seconds = "30:30:30" if model.family == "whisper" else "0.5:1:8"
    result = export(source, folder, "--profile", f"1:2:{ROWS}x{seconds}")
    assert result.exit_code == 0, result.output
    assert result.output.split() == [str(folder / f"asr_{part}") for part in PARTS] + [str(folder / "asr")]
    return folder


@pytest.fixture
def repository(folder: Path) -> Repository:
    return Repository(folder)


def config(folder: Path, name: str) -> schema.ModelConfig:
    return text_format.Parse((folder / name / "config.pbtxt").read_text(), schema.ModelConfig())


def asking(*rows: Samples) -> Mapping[str, np.ndarray]:
    """For several, padded as clients pad them, with what silence never is."""
    width = max(map(len, rows))
    audio = np.stack([np.pad(row, (0, width - len(row)), constant_values=0.5) for row in rows])
    return {"audio_signal": audio, "audio_lengths": np.array([[len(row)] for row in rows])}


def said(repository: Repository, requests: Sequence[Mapping[str, np.ndarray]]) -> list[list[str]]:
    answers = repository.infer("asr", requests)
    return [[text.decode() for text in answer["decoded_texts"][:, 0]] for answer in answers]


def said_by_the_engine(source: Path, model: TinyModel) -> list[str]:
    engine = load(source, precision="fp32", threads=1, engine="ort")
    return [spell(engine.recognize([Speech(each)])[0].tokens, model.family)[0] for each in HEARD]


def test_words_are_the_engines(repository: Repository, source: Path, model: TinyModel) -> None:
    expected = said_by_the_engine(source, model)
    assert len(set(expected)) == len(HEARD)
    assert said(repository, [{"audio_signal": samples[np.newaxis]} for samples in HEARD]) == [
        [text] for text in expected
    ]


def test_rows_of_a_request_are_recordings_with_lengths(
    repository: Repository, source: Path, model: TinyModel
) -> None:
    assert said(repository, [asking(*HEARD)]) == [said_by_the_engine(source, model)]


def test_requests_share_batches(repository: Repository) -> None:
    """Of equal buckets, as many as there may be, whatever their lengths; a request of several rows stays whole."""
    alone = [said(repository, [asking(HEARD[0][:-cut])]) for cut in (1, 200, 400, 600, 800)]
    encoder, decoding = (repository.models[f"asr_{part}"] for part in ("encoder", "decoding"))
    encoder.batches.clear()
    decoding.batches.clear()
    assert said(repository, [asking(HEARD[0][:-cut]) for cut in (1, 200, 400, 600, 800)]) == [
        text for (text,) in alone
    ]
    assert encoder.batches == decoding.batches == [ROWS, 1]


def test_parts_are_warmed_up(repository: Repository, model: TinyModel) -> None:
    for part in repository.models.values():
        part.warm_up()
    batches = {name.removeprefix("asr_"): part.batches for name, part in repository.models.items()}
    assert (batches["preprocessing"], batches["encoder"], batches["decoding"]) == ([1], [1, ROWS], [1])


def test_the_encoder_is_for_tensorrt(folder: Path, model: TinyModel) -> None:
    (accelerator,) = config(
        folder, "asr_encoder"
    ).optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    assert accelerator.parameters["precision_mode"] == "FP16"
    assert accelerator.parameters["trt_engine_cache_enable"] == "true"
    assert accelerator.parameters["trt_engine_cache_path"].startswith("/var/tmp/asr-")
    shapes = {
        most: dict(
            each.split(":") for each in accelerator.parameters[f"trt_profile_{most}_shapes"].split(",")
        )
        for most in ("min", "opt", "max")
    }
    described = {one.name for one in config(folder, "asr_encoder").input}
    assert [set(names) for names in shapes.values()] == [described] * 3
    rows = [{shape.split("x")[0] for shape in names.values()} for names in shapes.values()]
    assert rows == [{"1"}, {"2"}, {str(ROWS)}]


def test_batches_are_dynamic_and_bounded(folder: Path) -> None:
    for part in PARTS:
        found = config(folder, f"asr_{part}")
        assert found.max_batch_size == ROWS
        is_graph = found.backend == "onnxruntime"
        assert found.HasField("dynamic_batching") == is_graph
        (group,) = found.instance_group
        assert group.kind == (group.KIND_GPU if is_graph else group.KIND_CPU)
    assert config(folder, "asr").platform == "ensemble"
    assert (folder / "asr" / "1").is_dir()


BAD = {
    "too long": ({"audio_signal": np.zeros((1, 700_000), np.float32)}, "audio_signal has 43.8 s"),
    "nothing": ({"audio_signal": np.zeros((1, 0), np.float32)}, "from 1 to 0"),
    "16 bits": ({"audio_signal": np.full((1, 16_000), 300, np.float32)}, "divide those of 16 bits by 32768"),
    "no numbers": ({"audio_signal": np.full((1, 16_000), np.nan, np.float32)}, "lie in [-1, 1)"),
    "beyond": (asking(HEARD[0]) | {"audio_lengths": np.array([[90_000]])}, "audio_lengths must give"),
    "none of it": (asking(HEARD[0]) | {"audio_lengths": np.array([[0]])}, "audio_lengths must give"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("model", [MODELS["nemo-ctc"]], ids=["nemo-ctc"], scope="module", indirect=False)
def test_what_is_wrong_is_refused_before_anything_is_computed(
    repository: Repository, model: TinyModel, what: str
) -> None:
    request, problem = BAD[what]
    with pytest.raises(TritonError) as refused:
        repository.infer("asr", [request])
    assert refused.value.code == TritonError.INVALID_ARG
    assert problem in refused.value.message
    assert not repository.models["asr_preprocessing"].batches
