"""A Dockerfile's steps run without a container engine, and what an image must not hold is found."""

from pathlib import Path

import pytest

from tools.dockerfile import read
from tools.images_dry import DryRun, ImageError, check_entry_point, check_packages

DOCKERFILE = """
ARG PYTHON=python:3.11
FROM ${PYTHON} AS parts
WORKDIR /opt/duoscribe/source
COPY LICENSE README.md ./
RUN mkdir /opt/duoscribe/wheels && cp LICENSE /opt/duoscribe/wheels

FROM ${PYTHON} AS env
ARG INDEX=https://index.example
ENV PLACE=/opt/duoscribe/env
COPY --from=parts /opt/duoscribe/wheels /opt/duoscribe/wheels
RUN mkdir "$PLACE"

FROM env AS service-env
RUN ls /opt/duoscribe/wheels > /opt/duoscribe/env/wheels \\
    && echo "$INDEX" > "$PLACE/index"

FROM ${PYTHON} AS service
COPY --from=service-env /opt/duoscribe/env /opt/duoscribe/env
ENTRYPOINT ["python", "-m", "service"]
"""


@pytest.mark.parametrize(
    ("arguments", "index"), [({}, "https://index.example"), ({"INDEX": "file:///here"}, "file:///here")]
)
def test_an_environment_is_made_by_its_own_stage_and_those_before_it(
    arguments: dict[str, str], index: str, tmp_path: Path
) -> None:
    environment = DryRun(read(DOCKERFILE), tmp_path, arguments).environment("service")
    assert environment.is_relative_to(tmp_path)
    assert {path.name: path.read_text() for path in environment.iterdir()} == {
        "wheels": "LICENSE\n",
        "index": f"{index}\n",
    }


def test_stages_that_are_run_are_told_from_those_that_build() -> None:
    assert read(DOCKERFILE).targets == ["service"]


def test_a_stage_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="has no name"):
        read("FROM python:3.11")


@pytest.mark.parametrize("heavy", ["torch", "onnxruntime"])
def test_a_gateway_with_torch_or_an_engine_is_wrong(heavy: str) -> None:
    check_packages("gateway", {"grpcio": "1.85.1"})
    with pytest.raises(ImageError, match=f"gateway must not hold {heavy}"):
        check_packages("gateway", {"grpcio": "1.85.1", heavy: "1"})
    check_packages("diarization", {heavy: "1"})


def test_what_no_constraint_fixes_is_wrong() -> None:
    with pytest.raises(ImageError, match="left-pad in the environment"):
        check_packages("asr", {"left-pad": "1.0"})


def test_an_entry_point_that_does_not_start_is_wrong(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho no module >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(ImageError, match="service does not start:\nno module"):
        check_entry_point("service", read(DOCKERFILE), tmp_path)
