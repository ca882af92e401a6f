"""Progress from counts of windows: never falls, ends at 1, and says little."""

from hypothesis import given
from hypothesis import strategies as st

from diarization_service.progress import ProgressMeter
from speech.diarization.v1.diarization_pb2 import (
    DIARIZATION_STEP_CLUSTERING,
    DIARIZATION_STEP_EMBEDDING,
    DIARIZATION_STEP_SEGMENTATION,
    DiarizationProgress,
)

COUNTS = st.integers(0, 50)


def run(windows: int, batch: int) -> list[DiarizationProgress]:
    """What is told of a recording that is there whole: segmented in batches, each of which is then embedded."""
    meter = ProgressMeter()
    counts = [
        (segmented, embedded)
        for segmented in range(batch, windows + 1, batch)
        for embedded in (segmented - batch, segmented)
    ]
    told = [
        meter.advance(windows=windows, segmented=segmented, embedded=embedded, answered=answered)
        for segmented, embedded, answered in [
            (0, 0, False),
            *((segmented, embedded, False) for segmented, embedded in counts),
            (windows, windows, True),
        ]
    ]
    return [progress for progress in told if progress is not None]


def test_a_recordings_progress_passes_through_every_step_and_ends_at_one() -> None:
    told = run(80, 8)
    assert list(dict.fromkeys(progress.step for progress in told)) == [
        DIARIZATION_STEP_SEGMENTATION,
        DIARIZATION_STEP_EMBEDDING,
        DIARIZATION_STEP_CLUSTERING,
    ]
    assert (told[0].fraction, told[-1].fraction) == (0, 1)


def test_hours_of_audio_make_no_more_messages_than_a_progress_bar_can_show() -> None:
    assert 100 < len(run(20_000, 8)) < 210


def test_while_audio_arrives_nobody_knows_how_much_is_still_to_come() -> None:
    meter = ProgressMeter()
    told = [
        meter.advance(windows=None, segmented=count + 1, embedded=count, answered=False)
        for count in range(1000)
    ]
    assert [progress.fraction for progress in told if progress is not None] == [0]


def test_nothing_to_compute_is_all_done() -> None:
    meter = ProgressMeter()
    progress = meter.advance(windows=0, segmented=0, embedded=0, answered=False)
    assert progress is not None
    assert progress.step == DIARIZATION_STEP_CLUSTERING


@given(st.lists(st.tuples(st.none() | COUNTS, COUNTS, COUNTS, st.booleans())))
def test_whatever_is_counted_progress_stays_within_bounds_and_never_falls(
    counts: list[tuple[int | None, int, int, bool]],
) -> None:
    meter = ProgressMeter()
    told = [
        meter.advance(windows=windows, segmented=segmented, embedded=embedded, answered=answered)
        for windows, segmented, embedded, answered in counts
    ]
    said = [(progress.step, progress.fraction) for progress in told if progress is not None]
    assert [fraction for _, fraction in said] == sorted(fraction for _, fraction in said)
    assert [step for step, _ in said] == sorted(step for step, _ in said)
    assert all(0 <= fraction <= 1 for _, fraction in said)
