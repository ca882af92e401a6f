"""What was measured, put together from several files: which rows stand side by side, and what tables and plots say."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from asr_service.engines.commands import engines
from support.benching import row
from workbench.benching import plots, table
from workbench.benching.row import OUT_OF_MEMORY, Log, Row
from workbench.benching.series import Comparison, compare
from workbench.recipe import Case

TORCH = [row(1, 2, 4.0, torch="2.11.0"), row(8, 2, 8.0, torch="2.11.0"), row(8, 7, 20.0, torch="2.11.0")]
TENSORRT = [
    replace(each, backend="tensorrt", torch="", onnxruntime="1.17.1", tensorrt="8.6.1", mean_ms=mean)
    for each, mean in zip(TORCH, (2.0, 10.0, 10.0), strict=True)
]


def only(rows: Iterable[Row]) -> Comparison:
    (comparison,) = compare(rows)
    return comparison


def labels(*rows: Row) -> list[str]:
    return [series.label for series in only(rows).series]


def test_runtimes_of_several_files_stand_side_by_side() -> None:
    comparison = only([*TORCH, *TENSORRT])
    assert [series.label for series in comparison.series] == ["pytorch-fp16", "tensorrt-fp16"]
    assert comparison.cases == [Case(1, 2), Case(8, 2), Case(8, 7)]


def test_recipes_and_their_sizes_are_apart() -> None:
    rows = [row(1, 2, 1.0), row(1, 2, 1.0, size="tiny"), row(1, 2, 1.0, recipe="jasper")]
    assert [comparison.title for comparison in compare(rows)] == ["toy", "toy, tiny", "jasper"]


def test_the_later_row_of_a_batch_holds() -> None:
    (series,) = only([row(1, 2, 1.0), row(1, 2, 3.0)]).series
    assert [each.mean_ms for each in series.rows.values()] == [3.0]


def test_series_of_one_runtime_are_told_apart_by_what_differs() -> None:
    one, other = (
        row(1, 2, 1.0, backend="cuda", onnxruntime="1.31.1"),
        row(1, 2, 1.0, backend="cuda", onnxruntime="1.17.1"),
    )
    assert labels(one, other, *TORCH) == [
        "cuda-fp16 (ONNX Runtime 1.31.1)",
        "cuda-fp16 (ONNX Runtime 1.17.1)",
        "pytorch-fp16",
    ]
    assert labels(one, replace(one, processor="NVIDIA L4")) == [
        "cuda-fp16 (NVIDIA H200)",
        "cuda-fp16 (NVIDIA L4)",
    ]


def test_a_summary_has_throughput_and_how_many_times_the_bases_it_is() -> None:
    comparison = only([*TORCH, *TENSORRT])
    assert table.summary(comparison, comparison.series[0]).splitlines() == [
        "| length, s | rows | pytorch-fp16, requests/s | tensorrt-fp16, requests/s | tensorrt-fp16 / pytorch-fp16 |",
        "| --- | --- | --- | --- | --- |",
        "| 2 | 1 | 250 | 250 | 2.00 |",
        "| 2 | 8 | 1,000 | 1,000 | 0.80 |",
        "| 7 | 8 | 400 | 400 | 2.00 |",
    ]


def test_a_summary_says_where_there_is_no_figure_and_why() -> None:
    comparison = only([*TORCH, row(8, 2, backend="cuda", outcome=OUT_OF_MEMORY)])
    assert (
        table.summary(comparison, comparison.series[0]).splitlines()[3]
        == "| 2 | 8 | 1,000 | out of memory |  |"
    )
    assert table.summary(comparison, comparison.series[0]).splitlines()[2] == "| 2 | 1 | 250 |  |  |"


def test_percentiles_have_a_row_for_each_batch_on_each_runtime() -> None:
    rows = [TORCH[0], row(1, 2, backend="cuda", outcome=OUT_OF_MEMORY)]
    _, _, torch, cuda = table.percentiles(only(rows)).splitlines()
    assert torch == "| 2 | 1 | pytorch-fp16 | 8 | 4 | 4 | 7.2 | 7.6 | 7.92 | 250 | 500 | 512 |"
    assert cuda == "| 2 | 1 | cuda-fp16 | out of memory |  |  |  |  |  |  |  |  |"


def test_a_legend_says_what_ran_where_and_when() -> None:
    comparison = only([TENSORRT[0], replace(TENSORRT[1], date="2026-11-23")])
    assert table.legend(comparison) == (
        "- tensorrt-fp16: NVIDIA H200, ONNX Runtime 1.17.1, TensorRT 8.6.1; 2026-11-21 to 2026-11-23"
    )


@pytest.mark.parametrize(
    ("wanted", "base"),
    [(["cpu-fp32", "tensorrt-fp16"], "tensorrt-fp16"), (["cpu-fp32"], "pytorch-fp16"), ([], "pytorch-fp16")],
)
def test_the_base_is_the_first_that_there_is(wanted: list[str], base: str) -> None:
    assert only([*TORCH, *TENSORRT]).base(wanted).label == base


def test_plots_are_the_same_bytes_for_the_same_rows(tmp_path: Path) -> None:
    comparison = only([*TORCH, *TENSORRT])
    for draw in (plots.throughput, plots.latency):
        drawn = []
        for name in ("one.svg", "other.svg"):
            draw(comparison, tmp_path / name)
            drawn.append((tmp_path / name).read_bytes())
        assert drawn[0] == drawn[1]
        assert not re.search(rb"20\d\d-\d\d-\d\d|dc:date|dc:creator", drawn[0])


def texts(path: Path) -> list[str]:
    return re.findall(r"<text [^>]*>([^<]*)</text>", path.read_text())


def test_throughput_has_a_panel_a_length_and_names_every_runtime(tmp_path: Path) -> None:
    plots.throughput(only([*TORCH, *TENSORRT]), tmp_path / "plot.svg")
    assert {"toy: throughput", "2 s", "7 s", "pytorch-fp16", "tensorrt-fp16", "rows in the batch"} <= {
        *texts(tmp_path / "plot.svg")
    }


def test_latency_has_a_panel_a_number_of_rows(tmp_path: Path) -> None:
    plots.latency(only([*TORCH, *TENSORRT]), tmp_path / "plot.svg")
    assert {"1 row", "8 rows", "length, s", "milliseconds a batch"} <= {*texts(tmp_path / "plot.svg")}


def test_latency_of_one_length_is_over_rows(tmp_path: Path) -> None:
    plots.latency(only(TORCH[:2]), tmp_path / "plot.svg")
    assert {"2 s", "rows in the batch"} <= {*texts(tmp_path / "plot.svg")}


def test_of_many_lengths_some_are_drawn_the_shortest_and_the_longest_too(tmp_path: Path) -> None:
    plots.throughput(only([row(1, length, 1.0) for length in range(1, 12)]), tmp_path / "plot.svg")
    assert [text for text in texts(tmp_path / "plot.svg") if text.endswith(" s")] == [
        "1 s",
        "4 s",
        "8 s",
        "11 s",
    ]


def test_the_command_prints_markdown_and_writes_plots(tmp_path: Path) -> None:
    for name, rows in (("torch.csv", TORCH), ("tensorrt.csv", TENSORRT)):
        for each in rows:
            Log(tmp_path / name).add(each)
    files = [str(tmp_path / name) for name in ("torch.csv", "tensorrt.csv")]
    options = ["--plots", str(tmp_path / "plots"), "--percentiles", "--base", "tensorrt-fp16"]
    result = CliRunner().invoke(engines, ["report", *files, *options])
    assert result.exit_code == 0, result.output
    comparison = only([*TORCH, *TENSORRT])
    assert result.stdout == "\n\n".join(
        [
            "### toy",
            table.legend(comparison),
            table.summary(comparison, comparison.series[1]),
            f"{table.percentiles(comparison)}\n\n",
        ]
    )
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "toy-latency.svg",
        "toy-throughput.svg",
    ]


def test_the_command_refuses_what_bench_did_not_write(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("name\nAda\n")
    result = CliRunner().invoke(engines, ["report", str(tmp_path / "other.csv")])
    assert result.exit_code == 1
    assert "other.csv is no CSV file of `duoscribe engines bench`" in result.stderr
