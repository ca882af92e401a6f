"""Progress from the hook's calls: never falls, ends at 1, and says little."""

from hypothesis import given
from hypothesis import strategies as st

from diarization_service.progress import ProgressMeter
from speech.diarization.v1.diarization_pb2 import (
    DIARIZATION_STEP_CLUSTERING,
    DIARIZATION_STEP_EMBEDDING,
    DIARIZATION_STEP_SEGMENTATION,
)

STEPS = ["segmentation", "speaker_counting", "embeddings", "discrete_diarization", "something new"]
COUNTS = st.none() | st.integers(0, 100)


def run(meter: ProgressMeter, windows: int) -> list[tuple[int, float]]:
    """The calls that pyannote.audio makes for a recording."""
    calls: list[tuple[str, int | None, int | None]] = [
        *(("segmentation", done, windows) for done in range(windows + 1)),
        ("segmentation", None, None),
        ("speaker_counting", None, None),
        *(("embeddings", done, windows) for done in range(windows + 1)),
        ("embeddings", None, None),
        ("discrete_diarization", None, None),
    ]
    told = [meter.advance(*call) for call in calls]
    return [(progress.step, progress.fraction) for progress in told if progress is not None]


def test_a_recordings_progress_passes_through_every_step_and_ends_at_one() -> None:
    told = run(ProgressMeter(), 10)
    assert list(dict.fromkeys(step for step, _ in told)) == [
        DIARIZATION_STEP_SEGMENTATION,
        DIARIZATION_STEP_EMBEDDING,
        DIARIZATION_STEP_CLUSTERING,
    ]
    assert told[0] == (DIARIZATION_STEP_SEGMENTATION, 0.0)
    assert told[-1] == (DIARIZATION_STEP_CLUSTERING, 1.0)


def test_hours_of_audio_make_no_more_messages_than_a_progress_bar_can_show() -> None:
    assert 100 < len(run(ProgressMeter(), 20_000)) < 210


@given(st.lists(st.tuples(st.sampled_from(STEPS), COUNTS, COUNTS)))
def test_whatever_the_hook_says_progress_stays_within_bounds_and_never_falls(
    calls: list[tuple[str, int | None, int | None]],
) -> None:
    meter = ProgressMeter()
    told = [meter.advance(*call) for call in calls]
    fractions = [progress.fraction for progress in told if progress is not None]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction <= 1 for fraction in fractions)
