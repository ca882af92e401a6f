"""A decoder: the process that takes one recording apart."""

import os
import socket
import traceback
from pathlib import Path
from typing import Never

from serving.decoding import container, raw
from serving.decoding.blocks import BlockWriter
from serving.decoding.bounds import Bounds
from serving.decoding.clock import Clock
from serving.decoding.confinement import CpuTime, confine, isolate
from serving.decoding.connection import Connection
from serving.decoding.converter import Converter
from serving.decoding.expansion import Expansion
from serving.decoding.layout import RawLayout
from serving.decoding.length import check_length
from serving.decoding.messages import Request
from serving.decoding.upload import UploadReader
from serving.errors import DuoscribeError, InvalidAudio


def run(service: socket.socket, parent: int, directory: Path | None) -> Never:
    """Decode the recording that `service` sends. Called right after the fork from `parent`; ends the process."""
    code = 1
    try:
        isolate(service, parent)
        _answer(Connection(service), directory)
        code = 0
    except ConnectionError:  # the service has lost interest
        code = 0
    finally:
        os._exit(code)


def _answer(connection: Connection, directory: Path | None) -> None:
    request = connection.request()
    confine(request.bounds)
    try:
        Decoder(connection, request.bounds, directory).decode(request)
    except ConnectionError:
        raise
    except DuoscribeError as error:
        connection.fail(error)
    except Exception as error:  # noqa: BLE001 - the service logs it
        if _is_for_memory(error):
            connection.fail(_out_of_memory(request.bounds))
        else:
            connection.break_down(traceback.format_exc())
    else:
        connection.finish()


class Decoder:
    """Reads the upload, writes blocks, and holds both against the bounds."""

    def __init__(self, connection: Connection, bounds: Bounds, directory: Path | None) -> None:
        self._connection = connection
        self._bounds = bounds
        self._directory = directory
        self._cpu = CpuTime(bounds)
        self._cpu.grant(0.0)
        self._writer = BlockWriter(connection.write, self._check)
        self._upload = UploadReader(connection, bounds.max_upload_bytes, on_dry=self._writer.flush)
        self._expansion = Expansion(bounds.max_decompression_ratio, lambda: self._upload.bytes_read)

    def decode(self, request: Request) -> None:
        """What was decoded before an error is still heard. Raises InvalidAudio, RecordingTooLong, Unavailable, MemoryError."""
        try:
            if request.audio_format.WhichOneof("format") == "pcm":
                self._decode_raw(RawLayout.checked(request.audio_format.pcm))
            else:
                self._decode_container()
        finally:
            self._writer.flush()

    def _decode_raw(self, layout: RawLayout) -> None:
        self._connection.announce(layout.info)
        converter = Converter(self._writer, Clock(0.0, restarts=False))
        for frame in raw.frames(layout, self._upload.read):
            converter.add(frame)
        converter.finish()

    def _decode_container(self) -> None:
        bounds = self._bounds
        with container.opened(
            self._upload.read, max_probe_bytes=bounds.max_probe_bytes, directory=self._directory
        ) as reader:
            check_length(reader.completeness.at_least, bounds.max_audio_seconds)
            clock = Clock(reader.origin, restarts=reader.restarts)
            converter = Converter(self._writer, clock)
            announced = False
            for frame in reader.frames(clock.expect_loss):
                if not announced:
                    self._connection.announce(reader.info(frame))
                    announced = True
                reader.note_gap(converter.add(frame))
            converter.finish()
            reader.completeness.check(converter.seconds)

    def _check(self, seconds: float) -> None:
        check_length(seconds, self._bounds.max_audio_seconds)
        self._expansion.check(seconds)
        self._cpu.grant(seconds)


def _is_for_memory(error: Exception) -> bool:
    """Whether memory ran out; PyAV has words for it where FFmpeg gave nothing instead of an object."""
    return isinstance(error, MemoryError) or str(error).startswith("Could not allocate")


def _out_of_memory(bounds: Bounds) -> InvalidAudio:
    return InvalidAudio(
        f"the recording needs more than the {bounds.decoder_memory_bytes:,} bytes of memory that decoding one may take; "
        "convert it to WAV or FLAC"
    )
