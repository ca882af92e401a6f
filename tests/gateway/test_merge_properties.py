from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.merge import FOREVER, MergeOptions, Merger, Segment, TurnsPatch
from support.gateway import reference
from support.gateway.recordings import (
    Recording,
    Step,
    diarization_steps,
    interleaved,
    recognition_steps,
    recordings,
)
from support.gateway.scratch import Scratch

OPTIONS = MergeOptions()


class Replay:
    """The replay rule, with what it promises checked at every event."""

    def __init__(self) -> None:
        self.segments: dict[str, Segment] = {}
        self.events: list[Segment] = []

    def apply(self, segment: Segment) -> None:
        known = self.segments.get(segment.segment_id)
        for replaced in (segment.segment_id, *segment.supersedes):
            assert not (replaced in self.segments and self.segments[replaced].speaker_final)
        assert segment.revision == (known.revision + 1 if known else 0)
        assert known is None or known.words == segment.words or texts([known]) == texts([segment])
        for superseded in segment.supersedes:
            self.segments.pop(superseded, None)
        self.segments[segment.segment_id] = segment
        self.events.append(segment)
        counted = Counter(texts(self.segments.values()))
        assert max(counted.values()) == 1

    def final(self) -> list[tuple]:
        ordered = sorted(self.segments.values(), key=lambda segment: segment.start)
        assert all(segment.speaker_final for segment in ordered)
        return content(ordered)


def texts(segments) -> list[str]:
    return [attributed.word.text for segment in segments for attributed in segment.words]


def content(segments) -> list[tuple]:
    return [(segment.speaker, segment.words) for segment in segments]


def run(steps: list[Step], *, final_only: bool = False) -> list[Segment]:
    merger = Merger(OPTIONS, final_only=final_only)
    return [segment for step in steps for segment in step(merger)]


def sequential(recording: Recording) -> list[Segment]:
    """The final transcript, words first and all at once."""
    return run(
        [
            lambda merger: merger.add_words(recording.words),
            Merger.end_words,
            lambda merger: merger.patch_turns(whole(recording)),
            Merger.end_turns,
        ],
        final_only=True,
    )


def whole(recording: Recording):
    return TurnsPatch(0, recording.turns, recording.exclusive, FOREVER, FOREVER)


@st.composite
def reports(draw, *, failing: bool = False) -> tuple[Recording, list[Step]]:
    recording = draw(recordings())
    words = draw(recognition_steps(recording))
    turns = draw(diarization_steps(recording, failing=failing))
    return recording, draw(interleaved(words, turns))


@st.composite
def corrected_reports(draw) -> tuple[Recording, list[Step]]:
    """Recognition comes first, so that every patch has words to label."""
    recording = draw(recordings())
    words = draw(recognition_steps(recording))
    return recording, words + draw(diarization_steps(recording, min_patches=6))


@given(recordings())
@settings(max_examples=100, deadline=None)
def test_segments_follow_the_rules(recording):
    found = [(segment.speaker, tuple(w.word for w in segment.words)) for segment in sequential(recording)]
    words = sorted(recording.words, key=lambda word: word.start)
    speakers = [speaker for speaker, run in found for _ in run]
    assert found == reference.divided(words, speakers, OPTIONS)
    assert reference.likelihood(words, speakers, recording, OPTIONS) == reference.greatest_likelihood(
        words, recording, OPTIONS
    )


@given(reports() | corrected_reports())
@settings(max_examples=100, deadline=None)
def test_replayed_events_are_the_final_transcript_however_the_stages_interleave(report):
    recording, steps = report
    replay, merger, said = Replay(), Merger(OPTIONS), 0
    for step in steps:
        for segment in step(merger):
            replay.apply(segment)
        shown = len(texts(replay.segments.values()))
        assert shown >= said  # what was shown stays shown
        said = shown
    assert replay.final() == content(sequential(recording))


@given(reports() | corrected_reports())
@settings(max_examples=100, deadline=None)
def test_final_only_sends_each_segment_once_in_order(report):
    recording, steps = report
    segments = run(steps, final_only=True)
    assert content(segments) == content(sequential(recording))
    assert len({segment.segment_id for segment in segments}) == len(segments)
    assert all(
        segment.speaker_final and segment.revision == 0 and not segment.supersedes for segment in segments
    )
    assert [segment.start for segment in segments] == sorted(segment.start for segment in segments)


@given(reports())
@settings(max_examples=100, deadline=None)
def test_no_word_is_lost_or_doubled(report):
    recording, steps = report
    assert sorted(texts(run(steps, final_only=True))) == sorted(word.text for word in recording.words)


@given(reports(failing=True), st.data())
@settings(max_examples=100, deadline=None)
def test_a_failed_diarization_leaves_the_same_transcript_however_the_stages_interleave(report, data):
    recording, steps = report
    replay = Replay()
    for segment in run(steps):
        replay.apply(segment)
    assert replay.final() == content(run(steps, final_only=True))
    assert sorted(texts(replay.segments.values())) == sorted(word.text for word in recording.words)


@given(recordings(), st.data())
@settings(max_examples=100, deadline=None)
def test_when_diarization_fails_matters_only_to_what_it_had_not_found(recording, data):
    turns = data.draw(diarization_steps(recording, failing=True))
    words = data.draw(recognition_steps(recording))
    mixed = data.draw(interleaved(words, turns))
    assert content(run(mixed, final_only=True)) == content(run(words + turns, final_only=True))


@given(recordings())
@settings(max_examples=100, deadline=None)
def test_names_of_speakers_do_not_matter(recording):
    names = {"A": "Z", "B": "A", "C": "M", "": ""}
    renamed = [
        (names[speaker], [(w.word, names[w.speaker], tuple(names[o] for o in w.overlapping)) for w in words])
        for speaker, words in content(sequential(recording))
    ]
    assert renamed == [
        (speaker, [(w.word, w.speaker, w.overlapping) for w in words])
        for speaker, words in content(sequential(recording.renamed(names)))
    ]


@given(reports() | corrected_reports())
@settings(max_examples=200, deadline=None)
def test_early_labels_are_those_of_the_turns_so_far(report):
    _, steps = report
    replay, merger, scratch = Replay(), Merger(OPTIONS), Scratch()
    for step in steps:
        step(scratch)
        for segment in step(merger):
            replay.apply(segment)
        labels = scratch.labels(OPTIONS)
        for segment in replay.segments.values():
            expected = [labels[text] for text in texts([segment])]
            # One that the turns have not passed keeps the label it has.
            assert "" in expected or expected == [segment.speaker] * len(expected)


@given(reports() | corrected_reports())
@settings(max_examples=200, deadline=None)
def test_previews_are_sent_again_only_where_they_changed(report):
    _, steps = report
    merger, shown = Merger(OPTIONS), {}
    for step in steps:
        sent = step(merger)
        settled = set(texts(segment for segment in sent if segment.speaker_final))
        now = speakers(sent)
        for segment in sent:
            for replaced in (segment.segment_id, *segment.supersedes):
                before = shown.get(replaced)
                if before is not None and not segment.speaker_final:
                    changed = speakers([before]).items() - now.items()
                    assert changed or settled & set(texts([before]))
        shown.update({segment.segment_id: segment for segment in sent})


def speakers(segments) -> dict[str, str]:
    return {attributed.word.text: segment.speaker for segment in segments for attributed in segment.words}
