"""`duoscribe transcribe`."""

import click

from gateway.commands.arguments import RawAudio, RawAudioType, Speakers, SpeakersType
from gateway.commands.outputs import STDIN, OutputProblem, infer_format, plan_outputs
from gateway.commands.reaching import Reaching, reaching_options
from gateway.rendering.formats import OutputFormat


@click.command(no_args_is_help=True)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--server",
    metavar="ADDRESS",
    envvar="DUOSCRIBE_SERVER",
    show_envvar=True,
    help="A gateway to send the recordings to: HOST:PORT or unix:PATH. Without it, the services run here meanwhile.",
)
@reaching_options
@click.option(
    "--speakers",
    type=SpeakersType(),
    help="How many people speak, if you know: 2, 2-4, 2- (two or more) or --speakers=-4 (four or fewer).",
)
@click.option(
    "--language",
    default="",
    metavar="TAG",
    help="Language spoken, as in en or pt-BR; the model decides without it.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice([each.value for each in OutputFormat]),
    help="What to write; without it, what OUTPUT's suffix says, else text.",
)
@click.option(
    "--final-only",
    is_flag=True,
    help="Show only segments that will not change any more, as soon as they are so.",
)
@click.option(
    "--accept-partial",
    is_flag=True,
    help="If recognition or diarization fails for good, write what the other one found.",
)
@click.option(
    "--speaker-embeddings",
    is_flag=True,
    help="Write each speaker's voice as a vector into JSON, to recognise the same person in other recordings.",
)
@click.option(
    "--raw",
    type=RawAudioType(),
    help="The input is raw interleaved samples: s16le or f32le, Hz (16000), channels (1), as in s16le:48000:2.",
)
@click.option(
    "--asr-engine",
    type=click.Choice(["sherpa", "ort"]),
    help="What recognises speech where the services run here: sherpa-onnx, or ONNX Runtime in batches and on GPUs. "
    "DUOSCRIBE_ASR_ENGINE chooses without it, else sherpa.",
)
@click.option(
    "-o",
    "--output",
    metavar="OUTPUT",
    help="A file; a folder (for several recordings, made if missing); or a name with {name} for the recording's own.",
)
def transcribe(  # noqa: PLR0917 - click passes by name
    files: tuple[str, ...],
    server: str | None,
    speakers: Speakers | None,
    language: str,
    format_name: str | None,
    final_only: bool,
    accept_partial: bool,
    speaker_embeddings: bool,
    raw: RawAudio | None,
    asr_engine: str | None,
    output: str | None,
    reaching: Reaching,
) -> None:
    """Turn recordings into text that says who spoke.

    FILE is anything that FFmpeg reads (WAV, MP3, M4A, FLAC, Ogg, WebM, the sound of a video…), or - for standard input,
    which is sent as it comes. On a terminal, progress and provisional segments are shown while the work goes on, with
    their speakers as far as they can be told apart (SPEAKER_00? may still change); standard output gets the finished
    transcript only.

    Without --server the three services run on this machine until the command ends, over private sockets; models that
    are missing are pulled first.

    \b
    duoscribe transcribe meeting.mp3
    duoscribe transcribe --speakers 2 --format srt -o call.srt call.m4a
    duoscribe transcribe --format json -o transcripts/ *.wav
    duoscribe transcribe -o 'transcripts/{name}.rttm' --format rttm a.flac b.flac
    duoscribe transcribe --server localhost:50050 --final-only - < call.ogg
    duoscribe transcribe --server duoscribe.example:443 --tls --token-file token call.wav
    arecord -t raw -f S16_LE -r 16000 | duoscribe transcribe --raw s16le:16000 --final-only -

    \b
    Text and RTTM of several recordings may share standard output; JSON is then one document a line.
    Exit codes: 0 all transcribed, 1 at least one was not, 2 usage, 130 interrupted.
    """  # noqa: D301 - click keeps lines as they are below a backspace
    from gateway.commands.transcribing import transcribe_files  # noqa: PLC0415 - help answers without gRPC
    from gateway.commands.wish import Wish  # noqa: PLC0415 - help answers without gRPC

    output_format = OutputFormat(format_name) if format_name else infer_format(output)
    if files.count(STDIN) > 1:
        raise click.UsageError("standard input can be read once only")
    if server is not None and asr_engine is not None:
        raise click.UsageError(
            f"the gateway at {server} has chosen its engine; --asr-engine is for services that run here, without --server"
        )
    if speaker_embeddings and output_format is not OutputFormat.JSON:
        raise click.UsageError("only JSON has room for --speaker-embeddings; add --format json")
    wish = Wish(output_format, speakers, raw, language, final_only, accept_partial, speaker_embeddings)
    try:
        outputs = plan_outputs(files, output, output_format)
    except OutputProblem as error:
        raise click.UsageError(str(error)) from error
    click.get_current_context().exit(transcribe_files(files, outputs, wish, server, reaching, asr_engine))
