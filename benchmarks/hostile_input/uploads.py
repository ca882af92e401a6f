"""Hostile uploads: messages in any order, with anything in them."""

import random
from collections.abc import Sequence
from typing import Any, cast

from benchmarks.hostile_input.files import hostile_file
from speech.audio.v1 import audio_pb2

_CONTAINER = audio_pb2.AudioFormat(container=audio_pb2.ContainerFormat())
_TOO_LARGE = bytes(5 * 1024 * 1024)


def hostile_messages(chance: random.Random, request: type[Any], config: type[Any]) -> Sequence[Any]:
    """Of an upload whose messages and config are of these two types. Most of them bring a hostile file in good order."""
    if chance.random() < 0.75:
        return _in_order(chance, request, config, _CONTAINER, hostile_file(chance))
    if chance.random() < 0.5:
        return _in_order(
            chance, request, config, _raw_format(chance), chance.randbytes(chance.randrange(50_000))
        )
    return [_any_message(chance, request, config) for _ in range(chance.randrange(8))]


def _in_order(
    chance: random.Random,
    request: type[Any],
    config: type[Any],
    audio_format: audio_pb2.AudioFormat,
    data: bytes,
) -> Sequence[Any]:
    size = chance.choice((100, 4_096, 65_536))
    size = max(size, len(data) // 500)
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    return [
        request(config=config(audio_format=audio_format)),
        *(request(audio=chunk) for chunk in chunks),
        request(end_of_audio=audio_pb2.EndOfAudio()),
    ]


def _raw_format(chance: random.Random) -> audio_pb2.AudioFormat:
    numbers = (-1, 0, 1, 2, 5, 32, 33, 999, 8_000, 16_000, 44_100, 384_000, 2**31 - 1, -(2**31))
    return audio_pb2.AudioFormat(
        pcm=audio_pb2.PcmFormat(
            encoding=cast("audio_pb2.PcmEncoding.ValueType", chance.choice((0, 1, 2, 7))),
            sample_rate_hz=chance.choice(numbers),
            channels=chance.choice(numbers),
        )
    )


def _any_message(chance: random.Random, request: type[Any], config: type[Any]) -> Any:
    if chance.random() < 0.01:
        return request(audio=_TOO_LARGE)
    return chance.choice(
        (
            request(),
            request(config=config(audio_format=_CONTAINER)),
            request(config=config(audio_format=_raw_format(chance))),
            request(config=config(audio_format=_CONTAINER, request_id="\0" * chance.randrange(1_000))),
            request(audio=chance.randbytes(chance.randrange(2_000))),
            request(end_of_audio=audio_pb2.EndOfAudio()),
        )
    )
