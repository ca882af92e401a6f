"""`duoscribe triton`: recognition models for people who run NVIDIA's Triton themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from asr_service.engines.ort.profiles import SYNTAX, Profile, defaults, parse
from asr_service.engines.ort.settings import PRECISIONS
from asr_service.triton.options import Options
from serving.commands import failing_in_one_line
from serving.models.store import ModelStore

_NEEDED = ("onnx", "onnxruntime", "tritonclient")
# Enough of a fingerprint to tell models apart.
_DIGITS = 12


@dataclass
class Shop:
    """What the commands work with."""

    store: ModelStore = field(default_factory=ModelStore)


# What a caller put into click's context, or this machine's own.
pass_shop = click.make_pass_decorator(Shop, ensure=True)


@click.group(context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]})
def triton() -> None:
    """Recognition models for NVIDIA's Triton Inference Server.

    Only for people who run Triton itself: its clients can call this project's own service as they are.
    """


def _profile(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Profile | None:
    try:
        profile = None if text is None else parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if profile and profile.rows.min > 1:
        raise click.BadParameter("Triton sends single utterances as well: let the least rows be 1")
    return profile


def _name(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    if name is not None and (name != Path(name).name or name.startswith(".")):
        raise click.BadParameter("it is the name of a folder, not of a way to one")
    return name


@triton.command()
@click.argument("model")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--name", callback=_name, help="What clients call it; without it, as MODEL is called.")
@click.option("--language", help="The language of a multilingual Whisper model, as en.")
@click.option(
    "--profile",
    metavar="PROFILE",
    callback=_profile,
    help=f"Batches that the encoder takes, of which no part gets larger ones: {SYNTAX} Without it, what suits the family.",
)
@click.option(
    "--device",
    type=click.Choice(["gpu", "cpu"]),
    default="gpu",
    show_default=True,
    help="Where Triton is to compute: with TensorRT and CUDA, or without.",
)
@click.option(
    "--engine-precision",
    "--precision",
    "precision",
    type=click.Choice(PRECISIONS),
    default="fp16",
    show_default=True,
    help="What TensorRT's engine computes with.",
)
@click.option(
    "--instances",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Copies of each part that work side by side on each device.",
)
@click.option(
    "--engines",
    metavar="PATH",
    default=Options.engines,
    show_default=True,
    help="A folder where Triton runs; the model's engine is kept in one of its own in it.",
)
@pass_shop
def export(
    shop: Shop, /, model: str, folder: Path, name: str | None, language: str | None, **chosen: Any
) -> None:
    """Write MODEL into FOLDER, a model repository that Triton runs as it is.

    MODEL is a name that `duoscribe models list` shows, or a folder; its fp32 files are taken. Transducers, TDT, CTC and
    Whisper can be exported.
    """
    if missing := [package for package in _NEEDED if not find_spec(package)]:
        raise click.ClickException(
            f"the package {missing[0]} is missing: pip install 'duoscribe[asr,cpu,kserve]'"
        )
    with failing_in_one_line():
        for path in _export(shop.store, model, folder, name or Path(model).resolve().name, language, chosen):
            click.echo(path)


def _export(
    store: ModelStore, name: str, folder: Path, called: str, language: str | None, chosen: dict[str, Any]
) -> list[Path]:
    # onnx, ONNX Runtime and gRPC, wanted late: help answers without them.
    from asr_service.triton.assembling import Assembly  # noqa: PLC0415
    from asr_service.triton.families import exportable  # noqa: PLC0415
    from asr_service.triton.repository import write_repository  # noqa: PLC0415

    model = exportable(store.path(name), language)
    info = store.info(name, role="recognition")
    profile = chosen.pop("profile") or defaults(model.layout.family)[-1]
    options = Options(profile, **chosen)
    engines = f"{options.engines.rstrip('/')}/{called}-{info.fingerprint[:_DIGITS]}"
    about = {"model": Path(name).name, "license": info.license, "fingerprint": info.fingerprint}
    return write_repository(Assembly(model, options, engines, about), called, folder)
