"""What a person at a terminal sees while a recording is transcribed.

It is drawn on standard error and wiped away in the end, so that the terminal keeps the transcript alone.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gateway.rendering.clock import milliseconds, short_clock
from gateway.rendering.text import segment_line
from gateway.transcript import Transcript
from speech.gateway.v1 import gateway_pb2

_FRAMES_A_SECOND = 8
_BAR_WIDTH = 32
# The title, three bars, an empty line, and the line of the prompt.
_LINES_BESIDE_SEGMENTS = 6

# Text is wrapped by a console, but not for one.
_MEASURE = Console()

_STAGES = (
    ("Upload", gateway_pb2.STAGE_UPLOAD),
    ("Recognition", gateway_pb2.STAGE_ASR),
    ("Diarization", gateway_pb2.STAGE_DIARIZATION),
)


@dataclass(slots=True)
class View:
    """What is known of a recording that is under way: `sent` and `size` are bytes of its file."""

    name: str
    size: int | None
    transcript: Transcript = field(default_factory=Transcript)
    sent: int = 0

    def add_sent(self, count: int) -> None:
        self.sent += count

    def render(self, *, width: int, lines: int) -> RenderableType:
        """Bars for the stages above the newest segments, as many as fit into `lines` of `width` characters."""
        bars = Table.grid(padding=(0, 1))
        for label, stage in _STAGES:
            bars.add_row(label, *self._bar(stage))
        newest = _newest(self.transcript.segments, width, lines)
        return Group(Text(self.name, style="bold"), bars, Text(), *newest)

    def _bar(self, stage: gateway_pb2.Stage.ValueType) -> tuple[RenderableType, Text]:
        done, total = self._progress(stage)
        bar = ProgressBar(total=total or None, completed=done, width=_BAR_WIDTH, pulse=not total)
        return bar, self._note(stage)

    def _progress(self, stage: gateway_pb2.Stage.ValueType) -> tuple[float, float]:
        """How much of how much, in the same unit; 0 of 0 where that is not known yet."""
        if stage == gateway_pb2.STAGE_UPLOAD and self.size:
            return self.sent, self.size
        progress = self.transcript.progress.get(stage)
        total = milliseconds(progress.total) if progress and progress.HasField("total") else self._declared()
        return (milliseconds(progress.processed) if progress else 0), total

    def _declared(self) -> int:
        started = self.transcript.started
        return milliseconds(started.recording.declared_duration) if started else 0

    def _note(self, stage: gateway_pb2.Stage.ValueType) -> Text:
        status = self.transcript.stages.get(stage)
        if status and status.retrying:
            return Text(f"again on another replica: {status.status.message}", style="yellow")
        if status and status.status.code:
            return Text(f"failed: {status.status.message}", style="red")
        if status:
            return Text("done", style="green")
        progress = self.transcript.progress.get(stage)
        return Text(short_clock(milliseconds(progress.processed)) if progress else "", style="dim")


def _segment(segment: gateway_pb2.Segment) -> Text:
    """What may still change is dim; a label that may has a question mark."""
    final = segment.text_final and segment.speaker_final
    return Text(segment_line(segment), style="" if final else "dim")


def _newest(segments: Sequence[gateway_pb2.Segment], width: int, lines: int) -> list[Text]:
    """The last of them that fit, wrapped; the first of these without its beginning where only that makes it fit.

    Hours of speech have thousands, so only those that are shown are laid out.
    """
    shown: list[Text] = []
    for segment in reversed(segments):
        room = lines - len(shown)
        if room <= 0:
            break
        shown[:0] = _segment(segment).wrap(_MEASURE, width)[-room:]
    return shown


@asynccontextmanager
async def shown(view: View, console: Console) -> AsyncIterator[None]:
    """Draw the view some times a second, from the event loop itself: nothing changes while it is drawn."""

    def picture() -> RenderableType:
        return view.render(width=console.width, lines=console.height - _LINES_BESIDE_SEGMENTS)

    async def redraw(live: Live) -> None:
        while True:
            live.update(picture(), refresh=True)
            await asyncio.sleep(1 / _FRAMES_A_SECOND)

    with Live(picture(), console=console, transient=True, auto_refresh=False) as live:
        drawing = asyncio.create_task(redraw(live))
        try:
            yield
        finally:
            drawing.cancel()
            with suppress(asyncio.CancelledError):
                await drawing


def stage_failures(transcript: Transcript) -> Iterator[str]:
    """For a transcript that is partial: which stage failed, and why."""
    for label, stage in _STAGES:
        status = transcript.stages.get(stage)
        if status and status.status.code and not status.retrying:
            yield f"{label.lower()} failed: {status.status.message}"
