"""Which models are found in a folder, in which of two layouts, and what is said where a folder holds none."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
import pytest

from asr_service.engines.checks import check
from asr_service.engines.layout import ModelLayout, Precision, detect
from asr_service.engines.sherpa import SherpaEngine
from asr_service.engines.tokens import read_tokens, token_texts
from serving.errors import ModelUnavailable
from support.tiny_models import MODELS, ctc, nemo
from support.tiny_models.breakage import set_metadata

Write = Callable[[Path], None]

ONNX_ASR: dict[str, Write] = {
    "rnnt": nemo.write_onnx_asr,
    "tdt": partial(nemo.write_onnx_asr, tdt=True),
    "ctc": ctc.write_onnx_asr,
}


def checked(directory: Path, precision: Precision = "fp32") -> ModelLayout:
    layout = detect(directory, precision)
    check(layout)
    return layout


def refusal(directory: Path) -> str:
    with pytest.raises(ModelUnavailable) as refused:
        checked(directory)
    assert str(directory) in refused.value.message
    return refused.value.message


def configure(directory: Path, **values: object) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def store_weights_apart(path: Path) -> Path:
    model, data = onnx.load(path), path.with_name(f"{path.name}.data")
    path.unlink()
    onnx.save_model(model, path, save_as_external_data=True, location=data.name, size_threshold=64)
    return data


@pytest.mark.parametrize("kind", ["rnnt", "tdt"])
def test_finds_a_transducer_in_two_files(kind: str, tmp_path: Path) -> None:
    ONNX_ASR[kind](tmp_path)
    layout = checked(tmp_path)
    assert (layout.export, layout.family) == ("onnx-asr", "nemo-transducer")
    assert layout.files == {
        "encoder": tmp_path / "encoder-model.onnx",
        "decoder_joint": tmp_path / "decoder_joint-model.onnx",
    }
    assert layout.tokens == tmp_path / "vocab.txt"
    assert layout.config["model_type"] == f"nemo-conformer-{kind}"


def test_finds_a_ctc_model_with_a_vocabulary(tmp_path: Path) -> None:
    ctc.write_onnx_asr(tmp_path)
    layout = checked(tmp_path)
    assert (layout.export, layout.family) == ("onnx-asr", "nemo-ctc")
    assert layout.files == {"model": tmp_path / "model.onnx"}


@pytest.mark.parametrize(("precision", "infix"), [("int8", ".int8"), ("fp32", "")])
def test_takes_the_precision_that_is_preferred(precision: Precision, infix: str, tmp_path: Path) -> None:
    nemo.write_onnx_asr(tmp_path)
    for stem in ("encoder-model", "decoder_joint-model"):
        shutil.copy(tmp_path / f"{stem}.onnx", tmp_path / f"{stem}.int8.onnx")
    names = {path.name for path in checked(tmp_path, precision).files.values()}
    assert names == {f"encoder-model{infix}.onnx", f"decoder_joint-model{infix}.onnx"}


def test_tokens_txt_makes_a_model_sherpa_onnxs(tmp_path: Path) -> None:
    """Their repositories hold vocab.txt or config.json at times, too."""
    MODELS["nemo-ctc"].write(tmp_path)
    (tmp_path / "vocab.txt").write_text("of no use")
    (tmp_path / "config.json").write_text("{}")
    assert checked(tmp_path).export == "sherpa-onnx"


@pytest.mark.parametrize(
    ("name", "model_type", "family"),
    [
        ("nemo-ctc", "EncDecCTCModelBPE", "nemo-ctc"),  # Citrinet, Conformer
        ("nemo-ctc", "EncDecCTCModel", "nemo-ctc"),  # QuartzNet, Jasper
        ("transducer", "zipformer2", "transducer"),
        ("transducer", "conformer", "transducer"),
        ("zipformer-ctc", "zipformer2_ctc", "zipformer-ctc"),
    ],
)
def test_metadata_tell_the_family(name: str, model_type: str, family: str, tmp_path: Path) -> None:
    MODELS[name].write(tmp_path)
    (path,) = (*tmp_path.glob("encoder*.onnx"), *tmp_path.glob("model.onnx"))
    set_metadata(path, "model_type", model_type)
    assert checked(tmp_path).family == family


@pytest.mark.parametrize("kind", ONNX_ASR)
def test_sherpa_onnx_says_what_it_does_not_read(kind: str, tmp_path: Path) -> None:
    ONNX_ASR[kind](tmp_path)
    with pytest.raises(
        ModelUnavailable, match=r"onnx-asr .* sherpa-onnx does not read; choose the engine ort"
    ):
        SherpaEngine(tmp_path, precision="fp32", threads=1)


@pytest.mark.parametrize("name", ["transducer", "tdt", "nemo-ctc"])
def test_weights_may_lie_beside_the_model(name: str, tmp_path: Path) -> None:
    MODELS[name].write(tmp_path)
    (path,) = (*tmp_path.glob("encoder*.onnx"), *tmp_path.glob("model.onnx"))
    data = store_weights_apart(path)
    assert checked(tmp_path).family == MODELS[name].family
    data.unlink()
    assert f"{path.name} keeps its weights in {data.name}, which is missing" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model_type": "nemo-conformer-aed"}, "model_type is 'nemo-conformer-aed', expected one of"),
        ({"model_type": None}, "model_type is 'None'"),
        (
            {"features_size": 80},
            r"takes features of shape \(None, 128, None\), where config.json says 80 bins",
        ),
        ({"features_size": "128"}, "features_size must be a positive whole number"),
        ({"subsampling_factor": 0}, "subsampling_factor must be a positive whole number"),
        ({"max_tokens_per_step": "10"}, "max_tokens_per_step must be a positive whole number"),
        ({"subsampling_factor": True}, "subsampling_factor must be a positive whole number"),
        ({"model_type": "nemo-conformer-rnnt"}, "gives 13 numbers for the 8 tokens of vocab.txt"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(values: dict[str, object], said: str, tmp_path: Path) -> None:
    nemo.write_onnx_asr(tmp_path, tdt=True)
    configure(tmp_path, **values)
    with pytest.raises(ModelUnavailable, match=said):
        checked(tmp_path)


@pytest.mark.parametrize("kind", ONNX_ASR)
def test_a_vocabulary_of_another_model_is_refused(kind: str, tmp_path: Path) -> None:
    ONNX_ASR[kind](tmp_path)
    lines = [f"piece{number} {number}\n" for number in range(20)]
    (tmp_path / "vocab.txt").write_text("".join([*lines, "<blk> 20\n"]))
    assert "numbers for the 21 tokens of vocab.txt" in refusal(tmp_path)


@pytest.mark.parametrize("lines", ["<blk> 0\na 1\n", "a 0\n<blk> 2\n"])
def test_a_vocabulary_must_be_whole_and_end_with_blank(lines: str, tmp_path: Path) -> None:
    nemo.write_onnx_asr(tmp_path)
    (tmp_path / "vocab.txt").write_text(lines)
    assert "with <blk> last" in refusal(tmp_path)


def test_a_file_in_anothers_place_is_refused(tmp_path: Path) -> None:
    nemo.write_onnx_asr(tmp_path)
    shutil.copy(tmp_path / "encoder-model.onnx", tmp_path / "decoder_joint-model.onnx")
    assert "has no tensor encoder_outputs" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "vocab.txt"])
def test_what_is_missing_is_named(name: str, tmp_path: Path) -> None:
    nemo.write_onnx_asr(tmp_path)
    (tmp_path / name).unlink()
    assert f"{tmp_path / name} is missing; fetch the model again" in refusal(tmp_path)


def test_files_in_ort_format_do_not_tell_their_family(tmp_path: Path) -> None:
    MODELS["transducer"].write(tmp_path)
    for path in tmp_path.glob("*.onnx"):
        path.rename(path.with_suffix(".ort"))
    assert "use the files in ONNX format" in refusal(tmp_path)


def test_token_texts_are_what_the_pieces_stand_for(tmp_path: Path) -> None:
    table = "<blk> 0\n▁good 1\nby▁e 2\n▁ 3\n<0xE4> 4\n<0x41> 5\n<0xZZ> 6\n7\n"
    (tmp_path / "tokens.txt").write_text(table)
    texts = token_texts(read_tokens(tmp_path / "tokens.txt"))
    assert texts == {
        0: b"<blk>",
        1: b" good",
        2: "by▁e".encode(),
        3: b" ",
        4: b"\xe4",
        5: b"A",
        6: b"<0xZZ>",
        7: b" ",
    }
