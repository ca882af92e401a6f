"""Recordings in a container, by FFmpeg through PyAV."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.format import Flags
from av.stream import Disposition

from serving.decoding.completeness import Completeness
from serving.decoding.limits import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ
from serving.decoding.source import READ_BYTES, Source, prepared
from serving.errors import InvalidAudio
from serving.times import duration
from speech.audio.v1 import audio_pb2

# Self-describing formats that hold their sound in one file. Left out of what FFmpeg knows: playlists and scripts,
# which make it open what else they name, and formats that it takes text and pictures for.
_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,iff,ircam,loas,matroska,webm,mov,mp4,m4a,3gp,"
    "3g2,mj2,mp2,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,qcp,rm,sox,tak,tta,voc,w64,wav,wv"
)
_OPTIONS = {
    "format_whitelist": _FORMATS,
    "protocol_whitelist": "none",
    # WAV and the like: a packet waits for so many bytes, a quarter of a second of what is usual for speech.
    "max_size": str(8 * 1024),
}

_NOT_AUDIO = (
    "the upload is not a recording in a known format; send WAV, FLAC, MP3, Ogg, MP4/M4A or WebM, "
    "or describe raw samples in config.audio_format.pcm"
)
_NO_INDEX = "the MP4 file has no index that can be read: its end was not sent or it was never finished; send the whole file"

# What a packet lasts where the container does not tell: a typical frame.
_PACKET_SECONDS = 0.02


class ContainerReader:
    """An opened container and the stream in it that is decoded."""

    def __init__(self, container: InputContainer, source: Source) -> None:
        self._container = container
        self._stream = _sound(container)
        declared = source.promised or (self._declared() if source.header_is_whole else None)
        self.completeness = Completeness(self._stream.codec_context.name, declared)

    @property
    def origin(self) -> float | None:
        """The stamp of the recording's start, in seconds."""
        start = self._container.start_time
        return None if start is None else start / av.time_base

    @property
    def restarts(self) -> bool:
        """Whether stamps may start anew within the file."""
        return Flags.ts_discont in Flags(self._container.format.flags)

    def frames(self, on_loss: Callable[[], None]) -> Iterator[av.AudioFrame]:
        """In order. `on_loss` is called where a packet could not be decoded. Raises InvalidAudio."""
        for packet in self._packets():
            try:
                decoded = packet.decode()
            except MemoryError:
                raise
            except av.FFmpegError:
                on_loss()
                self.completeness.lose(_seconds(packet))
                continue
            for frame in decoded:
                if frame.samples:
                    _check_format(frame)
                    self.completeness.hear(frame.samples / frame.sample_rate)
                    yield frame

    def note_gap(self, seconds: float) -> None:
        """Silence had to be put in. Raises InvalidAudio once that is more than a flaw."""
        # A bare stream (FLAC in FLAC, MP3 in MP3) has no pauses: frames are missing.
        if seconds and self._container.format.name == self._stream.codec_context.codec.canonical_name:
            self.completeness.lose(seconds)

    def info(self, first: av.AudioFrame) -> audio_pb2.RecordingInfo:
        declared = self.completeness.declared
        return audio_pb2.RecordingInfo(
            container=self._container.format.name,
            codec=self._stream.codec_context.codec.canonical_name,
            sample_rate_hz=first.sample_rate,
            channels=first.layout.nb_channels,
            declared_duration=None if declared is None else duration(declared),
        )

    def _packets(self) -> Iterator["av.Packet[AudioStream]"]:
        while True:
            try:
                yield from self._container.demux(self._stream)
            except IndexError:
                # PyAV stumbles over a packet of a stream that turns up late; begun anew, it passes that stream by.
                continue
            except MemoryError:
                raise
            except av.FFmpegError:
                self.completeness.break_off()
            return

    def _declared(self) -> float | None:
        if self._stream.duration and self._stream.time_base:
            return max(0.0, float(self._stream.duration * self._stream.time_base)) or None
        # The whole file's length, that is its pictures' too.
        if self._container.duration and not self._container.streams.video:
            return max(0.0, self._container.duration / av.time_base) or None
        return None


@contextmanager
def opened(
    read: Callable[[int], bytes], *, max_probe_bytes: int, directory: Path | None
) -> Iterator[ContainerReader]:
    """Find out what the bytes are; arguments and errors are those of `prepared`, and MemoryError."""
    with prepared(read, max_probe_bytes=max_probe_bytes, directory=directory) as source:
        try:
            container = av.open(
                source.file,
                "r",
                options=_OPTIONS | {"probesize": str(source.probe_bytes)},
                buffer_size=READ_BYTES,
                # Titles in other encodings than UTF-8, which nobody reads here.
                metadata_errors="replace",
            )
        except MemoryError:
            raise
        except av.FFmpegError as error:
            raise InvalidAudio(_NO_INDEX if source.iso_media else _NOT_AUDIO) from error
        with container:
            yield ContainerReader(container, source)


def _sound(container: InputContainer) -> AudioStream:
    """The stream marked as default, else the first."""
    streams = container.streams.audio
    if not streams:
        raise InvalidAudio(
            "the recording has pictures but no sound; send one with an audio track"
            if container.streams.video
            else "the recording has no audio track; send one that does"
        )
    stream = next((stream for stream in streams if stream.disposition & Disposition.default), streams[0])
    if stream.codec_context is None:
        raise InvalidAudio(
            "the recording's sound is coded in a way that cannot be decoded; convert it to WAV or FLAC"
        )
    # Threads are for recordings, not for frames.
    stream.codec_context.thread_count = 1
    return stream


def _check_format(frame: av.AudioFrame) -> None:
    channels = frame.layout.nb_channels
    if not (MIN_RATE_HZ <= frame.sample_rate <= MAX_RATE_HZ and 1 <= channels <= MAX_CHANNELS):
        raise InvalidAudio(
            f"the recording says of itself that it has {frame.sample_rate} Hz and {channels} channels, which cannot be; "
            f"send {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} Hz and at most {MAX_CHANNELS} channels"
        )


def _seconds(packet: "av.Packet[AudioStream]") -> float:
    if packet.duration and packet.time_base:
        return float(packet.duration * packet.time_base)
    return _PACKET_SECONDS
