"""Real models, real sockets, real speech: error rates must stay where they were measured.

The figure measured stands beside each bound. Bounds leave room for another machine's floating point, not for a worse
system. What the recordings are: benchmarks/corpus.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.answers import attributed_words, found_turns
from benchmarks.corpus import Recording, conversation, meeting, sample
from benchmarks.der import diarization_error_rate
from benchmarks.scoring import cp_word_error_rate, word_error_rate
from speech.diarization.v1.diarization_pb2 import SpeakerHints
from support.transcripts import Caller

pytestmark = pytest.mark.models


@dataclass(frozen=True)
class Bounds:
    """The largest error rates accepted; None where the recording has no reference for it.

    `speakers` must be found exactly, with the number told beforehand where `hint` gives it.
    """

    speakers: int
    der: float
    wer: float | None = None
    cp_wer: float | None = None
    hint: int | None = None


@pytest.mark.parametrize(
    ("recording", "bounds"),
    [
        # Measured: DER 5.2 %, WER 18.5 %, cpWER 28.4 %.
        pytest.param(sample, Bounds(2, der=0.08, wer=0.22, cp_wer=0.32), id="sample"),
        # Measured: DER 35.2 %: two people far from the microphone.
        pytest.param(lambda: meeting("dev00"), Bounds(2, der=0.38), id="meeting-dev00"),
        # Measured: DER 50.6 %: four people, much of it at once; without the hint five are found.
        pytest.param(lambda: meeting("tst00"), Bounds(4, der=0.54, hint=4), id="meeting-tst00"),
        # Measured: DER 21.9 %, WER 4.3 %, cpWER 29.2 %: turns of a sentence are short for telling voices apart.
        pytest.param(lambda: conversation(70), Bounds(2, der=0.25, wer=0.07, cp_wer=0.33), id="conversation"),
    ],
)
async def test_error_rates(
    caller: Caller,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    recording: Callable[[], Recording],
    bounds: Bounds,
) -> None:
    reference = recording()
    wav = reference.write_wav(tmp_path / "recording.wav")
    transcript = await caller.transcribe_file(wav, speakers=SpeakerHints(exact=bounds.hint))
    found = attributed_words(transcript)
    rates = {"DER": diarization_error_rate(reference, found_turns(transcript))}
    if reference.sentences:
        rates["WER"] = word_error_rate(reference, " ".join(text for _, text in found))
        rates["cpWER"] = cp_word_error_rate(reference, found)
    for name, rate in rates.items():
        record_property(name, round(rate, 4))
    assert len(transcript.speakers) == bounds.speakers
    assert rates["DER"] <= bounds.der
    assert bounds.wer is None or rates["WER"] <= bounds.wer
    assert bounds.cp_wer is None or rates["cpWER"] <= bounds.cp_wer
