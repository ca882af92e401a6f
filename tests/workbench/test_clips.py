"""Where recipes of recognisers have their speech from: clips of the user's own, or sound made by arithmetic."""

import wave
from pathlib import Path

import numpy as np
import pytest

from serving.errors import ModelUnavailable
from workbench.clips import clips, folder
from workbench.listening import speech, whole_clips
from workbench.recipe import Case


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where clips belong, without any."""
    monkeypatch.setenv("DUOSCRIBE_CACHE", str(tmp_path))
    folder().mkdir()
    return folder()


def record(path: Path, samples: list[int], *, rate: int = 16_000, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.array(samples, "<i2").tobytes())


def test_clips_are_wav_files_with_their_words_beside_them(home: Path) -> None:
    record(home / "b.wav", [0, 16384, -32768])
    record(home / "a.wav", [1])
    (home / "b.txt").write_text("half of it\n", "utf-8")
    first, second = clips()
    assert (first.name, first.text) == ("a", "")
    assert (second.name, second.text) == ("b", "half of it")
    assert second.samples.tolist() == [0.0, 0.5, -1.0]


@pytest.mark.parametrize("kind", [{"rate": 8000}, {"channels": 2}])
def test_clips_of_another_kind_are_refused_by_name(home: Path, kind: dict[str, int]) -> None:
    record(home / "a.wav", [0, 0], **kind)
    with pytest.raises(ModelUnavailable, match=r"a\.wav is not mono, of 16 bits, at 16000 Hz"):
        clips()


def test_a_file_that_is_no_wav_is_refused_by_name(home: Path) -> None:
    (home / "a.wav").write_bytes(b"none")
    with pytest.raises(ModelUnavailable, match=r"a\.wav is no WAV file"):
        clips()


@pytest.mark.parametrize("real", [True, False])
def test_rows_are_different_windows_of_speech_and_the_same_ones_for_a_seed(home: Path, real: bool) -> None:
    if real:
        record(home / "a.wav", list(range(1, 30_001)))
    batch = speech(Case(5, 1.5), seed=1)
    assert batch.shape == (5, 24_000)
    assert batch.dtype == np.float32
    assert len({row.tobytes() for row in batch}) == 5
    assert np.array_equal(batch, speech(Case(5, 1.5), seed=1))
    assert not np.array_equal(batch, speech(Case(5, 1.5), seed=2))


def test_windows_go_through_all_clips_with_pauses_between(home: Path) -> None:
    record(home / "a.wav", [100] * 16_000)
    record(home / "b.wav", [200] * 16_000)
    (row,) = speech(Case(1, 2.5), seed=0) * 32768
    assert row.tolist() == [100] * 16_000 + [0] * 4000 + [200] * 16_000 + [0] * 4000


def test_whole_clips_take_turns(home: Path) -> None:
    for number, name in enumerate("abc", start=1):
        record(home / f"{name}.wav", [number] * number)
    assert [len(row) for row in whole_clips(4, seed=0)] == [1, 2, 3, 1]
    assert [len(row) for row in whole_clips(4, seed=1)] == [2, 3, 1, 2]


def test_without_clips_there_is_sound_all_the_same() -> None:
    first, second = whole_clips(2, seed=0)
    assert first.std() > 0.01
    assert not np.array_equal(first, second)
