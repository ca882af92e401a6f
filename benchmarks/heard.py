"""What both stages find in a conversation, without services: words with times, and turns."""

import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from asr_service import timing
from asr_service.config import AsrConfig
from asr_service.engines.base import Recognition, Speech, Token
from asr_service.listening import Listener
from asr_service.loading import LoadedModels, cut_options, load_models
from asr_service.spelling import SpelledWord, spell
from asr_service.utterances import Utterance, UtteranceCutter
from benchmarks.conversations import Conversation
from benchmarks.streamed import streamed
from diarization_service.runs import Track
from diarization_service.stages import Activity, Block, Floats, Networks, Windows
from gateway.merge import Turn, Word
from serving.audio import to_float
from serving.models.store import ModelStore
from serving.speakers import SpeakerBounds
from serving.times import SAMPLE_RATE

_NANOSECONDS = 1_000_000_000

Fit = Callable[..., list[timing.Span]]
"""As `timing.corrected`."""


Heard = Sequence[tuple[Utterance, Recognition]]


def untouched(
    words: Sequence[SpelledWord], tokens: Sequence[Token], regions: Sequence[timing.Span], length: float
) -> list[timing.Span]:
    """Times as the model says them."""
    del regions
    return [timing.Span(start, end) for start, end in timing.token_times(words, tokens, length)]


class Recognizer:
    """The recognition service's models, told nothing."""

    def __init__(self) -> None:
        self._models: LoadedModels = load_models(AsrConfig(), ModelStore())

    def hear(self, conversation: Conversation) -> Heard:
        info = self._models.engine.info
        cutter = UtteranceCutter(cut_options(AsrConfig(), info))
        listener = Listener(self._models.detector(), cutter)
        utterances = listener.hear(conversation.samples) + listener.finish()
        return [(utterance, self._recognized(utterance)) for utterance in utterances]

    def words(self, heard: Heard, fit: Fit) -> tuple[Word, ...]:
        """In order of time, with the times that `fit` makes of the tokens'."""
        words = [
            word for utterance, recognition in heard for word in self._words(utterance, recognition, fit)
        ]
        return tuple(sorted(words, key=lambda word: word.start))

    def _recognized(self, utterance: Utterance) -> Recognition:
        speech = Speech(to_float(utterance.samples), voiced=utterance.voiced)
        return self._models.engine.recognize([speech])[0]

    def _words(self, utterance: Utterance, recognition: Recognition, fit: Fit) -> Iterator[Word]:
        _, spelled = spell(recognition.tokens, self._models.engine.info.family)
        regions = [timing.Span(*span) for span in utterance.voiced]
        spans = fit(spelled, recognition.tokens, regions, len(utterance.samples) / SAMPLE_RATE)
        offset = utterance.start / SAMPLE_RATE
        for word, span in zip(spelled, spans, strict=True):
            yield Word(word.text, _nanoseconds(offset + span.start), _nanoseconds(offset + span.end))


def diarized(networks: Networks, conversation: Conversation) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
    """By the service's stages, without hints: turns, and turns without overlaps."""
    answer = streamed(networks, conversation.samples, SpeakerBounds())
    return _turns(answer.tracks), _turns(answer.exclusive)


class KnownVoices:
    """Networks whose embeddings the reference makes: each mask's voice is of whom its window has most in the mask.

    Needs a tenth of the time, and takes no voice for another's: what is left are errors near the turns' bounds.
    """

    block_windows = 1

    def __init__(self, networks: Networks, conversation: Conversation) -> None:
        self.geometry = networks.geometry
        self.segmentation_batch = networks.segmentation_batch
        self.embedding_batch = networks.embedding_batch
        self.segment: Callable[[Windows], Activity] = networks.segment
        self._turns = conversation.turns
        self._names = sorted({turn.speaker for turn in conversation.turns})
        window, step = self.geometry.window, self.geometry.step
        samples = np.pad(to_float(conversation.samples), (0, window))
        # A block does not say when it is, and no two of them sound the same.
        self._starts = {
            zlib.crc32(samples[start : start + window].tobytes()): start / SAMPLE_RATE
            for start in range(0, len(conversation.samples), step)
        }

    def embed(self, blocks: list[Block]) -> list[Floats]:
        return [self._voices(self._start(block), block.masks[0])[None] for block in blocks]

    def _start(self, block: Block) -> float:
        window = block.part(slice(1), self.geometry.window)
        return self._starts[zlib.crc32(window.samples.tobytes())]

    def _voices(self, start: float, masks: Floats) -> Floats:
        """One axis for each speaker of the reference: masks of shape (speakers, frames) to (speakers, dimension)."""
        times = start + self.geometry.frame_step * np.arange(masks.shape[1])
        heard = np.stack([self._speaking(name, times) for name in self._names], axis=1)
        voices: Floats = np.full((len(masks), self.geometry.dimension), np.nan, np.float32)
        for voice, mask in zip(voices, masks, strict=True):
            if mask.any():
                voice[:] = 0.0
                voice[int(np.argmax(mask @ heard))] = 1.0
        return voices

    def _speaking(self, name: str, times: Floats) -> Floats:
        speaking: Floats = np.zeros(len(times), np.float32)
        for turn in self._turns:
            if turn.speaker == name:
                speaking[(times >= turn.start) & (times < turn.end)] = 1.0
        return speaking


def _turns(tracks: Sequence[Track]) -> tuple[Turn, ...]:
    return tuple(
        Turn(_nanoseconds(track.start), _nanoseconds(track.end), f"SPEAKER_{track.speaker:02}")
        for track in tracks
    )


def _nanoseconds(seconds: float) -> int:
    return round(seconds * _NANOSECONDS)
