"""`duoscribe engines`: TensorRT's engines, and the workbench where they come from."""

import click

from serving.lazy_commands import LazyGroup, Place

_CACHED = "asr_service.engines.cached"
_WORKBENCH = "workbench.commands"
_PLACES = {
    "recipes": Place(_WORKBENCH, "recipes", "List the models that the workbench knows."),
    "export": Place(_WORKBENCH, "export", "Write a recipe's ONNX file, and check it against PyTorch."),
    "build": Place(_CACHED, "build", "Build a model's or a recipe's TensorRT engines on this machine's GPU."),
    "compare": Place(
        "workbench.compare", "compare", "Compare a recipe's outputs with PyTorch's and the CPU's."
    ),
    "bench": Place("workbench.benching.commands", "bench", "Time a recipe's batches on every runtime."),
    "report": Place(
        "workbench.benching.reporting", "report", "Show what bench wrote: tables in Markdown, plots in SVG."
    ),
    "list": Place(_CACHED, "list_engines", "List engines: of what, for which batches, built on what."),
    "check": Place(_CACHED, "check", "Read every engine whole, and say which are damaged."),
    "clean": Place(_CACHED, "clean", "Remove engines."),
}


@click.group(
    cls=LazyGroup,
    places=_PLACES,
    context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]},
)
def engines() -> None:
    """TensorRT engines: build them ahead of time, list, check and remove them. And the workbench: any model's way from
    PyTorch or an ONNX file to an engine that can be trusted, described by a recipe (docs/workbench.md).

    A service on TensorRT loads engines and builds none: each fits one model, one GPU and driver, and one version of each
    library. They are kept in ~/.cache/duoscribe/engines, or under the folder that DUOSCRIBE_CACHE names.
    """
