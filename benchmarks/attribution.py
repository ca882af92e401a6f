"""Whose words they are: the gateway's merging against naive rules, on conversations with overlap and quick exchanges.

    python -m benchmarks.attribution [--minutes 10] [--known-voices] [--device auto]

Conversations of 2, 3 and 4 speakers (benchmarks/conversations.py), 100 s each: recognised by Whisper tiny.en and diarized,
both by the services' own stages without the services. The same words and turns are put together by each rule:

ours              gateway/merge with its defaults
largest overlap   each word to whose turn, overlaps included, shares most of it, else to the nearest: what scripts do
by sentence       each sentence as a whole to whose turns share most of it

Words are matched with the reference's by text and time (benchmarks/matching.py); of those matched, prints how many have the
wrong speaker, of all and of those within 0.5 s of somebody else's turn or inside it, and how many a rule repaired and broke
of what largest overlap had. cpWER counts what recognition got wrong as well. Labels are matched with names once for each
conversation, by the time that their turns share.

Then the same with the reference's own turns in place of those found: what recognition's times and merging lose by themselves.

Then how far the starts of matched words are from the reference's, for words that open a phrase, whose starts are exact: as
Whisper says them, and as voice activity corrects them (asr_service/timing.py).

--known-voices names the segmentation's local speakers by the reference instead of by their voices, which takes a CPU a
tenth of the time. Then only segmentation's own errors and those of merging are left.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

import gateway.merge
from asr_service import timing
from benchmarks.conversations import Conversation, Manner, Word, converse
from benchmarks.corpus import Turn
from benchmarks.der import names_of
from benchmarks.heard import Fit, Heard, KnownVoices, Recognizer, diarized, untouched
from benchmarks.matching import matches
from benchmarks.rules import Rule, Stages, by_sentence, by_word, merged
from benchmarks.scoring import cp_word_errors, normalized
from diarization_service.config import WorkerConfig
from diarization_service.torch_networks import load_networks
from gateway.merge import MergeOptions
from serving import logs
from serving.models.store import ModelStore

SECONDS = 100.0
NEAR_SECONDS = 0.5
_NANOSECONDS = 1e9

MANNERS = ((2, Manner()), (3, Manner(overlap=0.12, quick=0.5)), (4, Manner(overlap=0.04, quick=0.6)))
RULES: Mapping[str, Rule] = {
    "largest overlap": by_word,
    "by sentence": by_sentence,
    "ours": merged(MergeOptions()),
}
FITS: Mapping[str, Fit] = {"Whisper's": untouched, "corrected": timing.corrected}


@dataclass(frozen=True)
class Case:
    """A conversation and what was found in it; `names` has the reference's name for each label."""

    conversation: Conversation
    heard: Heard
    stages: Stages
    names: Mapping[str, str]

    def pairs(self, words: Sequence[gateway.merge.Word]) -> list[tuple[int, int]]:
        """Indices of spoken words, and of those recognised ones that are the same."""
        spoken = [(word.start, normalized(word.text)) for word in self.conversation.words]
        parts = [
            (index, word.start / _NANOSECONDS, part)
            for index, word in enumerate(words)
            for part in normalized(word.text).split()
        ]
        found = matches(spoken, [(start, part) for _, start, part in parts])
        return [(mine, parts[other][0]) for mine, other in found]

    def is_near(self, word: Word) -> bool:
        """Whether somebody else speaks within NEAR_SECONDS of it, or during it."""
        return any(
            turn.speaker != word.speaker
            and turn.start - NEAR_SECONDS < word.end
            and word.start < turn.end + NEAR_SECONDS
            for turn in self.conversation.turns
        )


@dataclass(frozen=True)
class Scored:
    """What came of a rule in all conversations."""

    cp_wer: float
    right: list[bool]
    """Of each matched word, in the same order for every rule."""


def main() -> None:
    arguments = parsed()
    logs.configure("warning", "console")
    recognizer = Recognizer()
    cases = list(found(arguments, recognizer))
    near = [
        case.is_near(case.conversation.words[spoken])
        for case in cases
        for spoken, _ in case.pairs(case.stages.words)
    ]
    seconds = sum(case.conversation.seconds for case in cases)
    print(f"{seconds / 60:.1f} min, {len(near)} words matched, {sum(near)} of them near somebody else's turn")
    print_rules("rule", cases, near)
    print_rules("rule, with the reference's turns", [with_true_turns(case) for case in cases], near)
    print_starts(cases, recognizer)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10, help="of conversations")
    parser.add_argument(
        "--known-voices", action="store_true", help="let the reference stand in for embeddings"
    )
    parser.add_argument("--device", default="auto", help="where to diarize: cpu, cuda, cuda:N or auto")
    return parser.parse_args()


def found(arguments: argparse.Namespace, recognizer: Recognizer) -> Iterator[Case]:
    store = ModelStore()
    networks = load_networks(
        WorkerConfig(
            str(store.path("pyannote-segmentation-3.0")),
            str(store.path("wespeaker-resnet34")),
            arguments.device,
            mode="exact",
            precision="fp32",
        )
    )
    for number in range(round(arguments.minutes * 60 / SECONDS)):
        speakers, manner = MANNERS[number % len(MANNERS)]
        conversation = converse(SECONDS, speakers, seed=number, manner=manner)
        heard = recognizer.hear(conversation)
        voices = KnownVoices(networks, conversation) if arguments.known_voices else networks
        turns, exclusive = diarized(voices, conversation)
        stages = Stages(recognizer.words(heard, timing.corrected), turns, exclusive)
        yield Case(conversation, heard, stages, names_of(conversation, in_seconds(turns)))


def in_seconds(turns: Sequence[gateway.merge.Turn]) -> list[Turn]:
    return [Turn(turn.start / _NANOSECONDS, turn.end / _NANOSECONDS, turn.speaker) for turn in turns]


def scored(cases: Sequence[Case], rule: Rule) -> Scored:
    errors = words = 0
    right: list[bool] = []
    for case in cases:
        speakers = rule(case.stages)
        attributed = zip(speakers, (word.text for word in case.stages.words), strict=True)
        case_errors, case_words = cp_word_errors(case.conversation, attributed)
        errors, words = errors + case_errors, words + case_words
        right += [
            case.names.get(speakers[heard]) == case.conversation.words[spoken].speaker
            for spoken, heard in case.pairs(case.stages.words)
        ]
    return Scored(errors / words, right)


def with_true_turns(case: Case) -> Case:
    turns = tuple(
        gateway.merge.Turn(round(turn.start * _NANOSECONDS), round(turn.end * _NANOSECONDS), turn.speaker)
        for turn in case.conversation.turns
    )
    names = {turn.speaker: turn.speaker for turn in turns}
    return replace(case, stages=Stages(case.stages.words, turns, turns), names=names)


def print_rules(title: str, cases: Sequence[Case], near: Sequence[bool]) -> None:
    scores = {name: scored(cases, rule) for name, rule in RULES.items()}
    print(f"\n| {title} | cpWER | wrong, near others' turns | wrong, all words | repaired | broken |")
    print("| --- | --- | --- | --- | --- | --- |")
    baseline = scores["largest overlap"].right
    for name, score in scores.items():
        changed = [
            (before, after) for before, after in zip(baseline, score.right, strict=True) if before != after
        ]
        wrong = [not right for right in score.right]
        wrong_near = sum(each for each, is_near in zip(wrong, near, strict=True) if is_near)
        print(
            f"| {name} | {score.cp_wer:.1%} | {wrong_near} of {sum(near)}, {wrong_near / sum(near):.1%} |"
            f" {sum(wrong) / len(wrong):.1%} | {changed.count((False, True))} | {changed.count((True, False))} |"
        )


def print_starts(cases: Sequence[Case], recognizer: Recognizer) -> None:
    print("\n| word starts | median error, ms | mean, ms | 90 % below, ms | more than 250 ms off |")
    print("| --- | --- | --- | --- | --- |")
    for name, fit in FITS.items():
        errors = np.concatenate([start_errors(case, recognizer.words(case.heard, fit)) for case in cases])
        off = np.abs(errors)
        print(
            f"| {name} | {np.median(off) * 1000:.0f} | {off.mean() * 1000:.0f} | {np.quantile(off, 0.9) * 1000:.0f} |"
            f" {(off > 0.25).mean():.1%} of {len(off)} |"
        )


def start_errors(case: Case, words: Sequence[gateway.merge.Word]) -> np.ndarray:
    """Of words that open a phrase, in seconds; late is positive."""
    return np.array(
        [
            words[heard].start / _NANOSECONDS - case.conversation.words[spoken].start
            for spoken, heard in case.pairs(words)
            if case.conversation.words[spoken].opens
        ]
    )


if __name__ == "__main__":
    main()
