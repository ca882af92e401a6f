"""`make demo`: two people on the telephone, transcribed by the three services; segments are printed as they complete."""

import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.answers import found_turns
from benchmarks.corpus import sample
from benchmarks.der import diarization_error_rate
from gateway.client import Transcript, TranscriptionClient, configuration, read_file
from gateway.embedded import embedded_services
from gateway.rendering.text import segment_line
from speech.gateway.v1 import gateway_pb2

MOST_ERRORS = 0.08


def main() -> int:
    """Exit code 1 if the two speakers were not found, or not well enough."""
    recording = sample()
    print(
        f"A telephone call of {recording.seconds:.0f} s. Starting speech recognition, diarization and the gateway …"
    )
    with tempfile.TemporaryDirectory() as folder:
        transcript = asyncio.run(transcribed(recording.write_wav(Path(folder) / "sample.wav")))
    error_rate = diarization_error_rate(recording, found_turns(transcript))
    print(f"\n{len(transcript.speakers)} speakers: {', '.join(transcript.speakers)}")
    print(f"Diarization error rate: {error_rate:.1%}")
    return int(len(transcript.speakers) != 2 or error_rate > MOST_ERRORS)


async def transcribed(path: Path) -> Transcript:
    transcript = Transcript()
    async with (
        embedded_services(sink=lambda _: None, grace_seconds=5, flags=("--log-level", "warning")) as services,
        TranscriptionClient(services.addresses["gateway"]) as client,
    ):
        print("All three serve; uploading.\n")
        async for event in client.transcribe(read_file(path), configuration(name=path.name)):
            transcript.apply(event)
            if event.HasField("segment"):
                show(event.segment)
    return transcript


def show(segment: gateway_pb2.Segment) -> None:
    """The text is final when it comes; who said it is guessed and corrected until the segment comes for the last time."""
    if segment.speaker_final:
        state = ""
    elif segment.speaker:
        state = "  (who said it may change)"
    else:
        state = "  (who said it is not known yet)"
    print(segment_line(segment) + state, flush=True)


if __name__ == "__main__":
    sys.exit(main())
