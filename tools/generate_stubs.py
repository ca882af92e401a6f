"""Compile protos/ into importable Python stubs with type information.

The install runs this by itself (hatch_build.py). By hand: `python tools/generate_stubs.py [OUTPUT]`.
"""

import os
import sys
from importlib.metadata import distribution
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent.parent / "protos"


def generate(output: Path) -> None:
    """Write *_pb2.py, *_pb2_grpc.py and their .pyi files under `output`."""
    output.mkdir(parents=True, exist_ok=True)
    _compile(
        PROTOS,
        f"--python_out={output}",
        f"--grpc_python_out={output}",
        f"--mypy_out=quiet:{output}",
        f"--mypy_grpc_out=quiet:{output}",
    )


def descriptor_set(output: Path, protos: Path = PROTOS) -> None:
    """Write the contract with its comments as one FileDescriptorSet: what buf lints and compares."""
    _compile(protos, f"--descriptor_set_out={output}", "--include_imports", "--include_source_info")


def _compile(protos: Path, *flags: str) -> None:
    # protoc finds its plugins on PATH, and an interpreter called by its path has not put its own scripts there.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    sources = sorted(str(path) for path in protos.rglob("*.proto"))
    includes = [f"-I{directory}" for directory in (protos, *_imported_protos())]
    if protoc.main(["protoc", *includes, *flags, *sources]) != 0:
        raise RuntimeError("protoc could not compile the contract; its messages stand above")


def _imported_protos() -> list[Path]:
    """Where google.protobuf and google.rpc are found."""
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    google_rpc = Path(str(distribution("googleapis-common-protos").locate_file("")))
    return [well_known, google_rpc]


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else PROTOS)
