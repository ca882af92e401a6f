"""Batches are timed one after another: what is run, what becomes a row, what is not measured again."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from serving.errors import ModelUnavailable
from support import toy_recipe
from support.benching import FakeClock, FakeGauge, FakeRuntime
from workbench.benching.row import Log, Row, Setting
from workbench.benching.timing import Budget, Times, measure
from workbench.benching.walk import Bench
from workbench.recipe import Case
from workbench.runtimes import parse_kind

TOY = toy_recipe.recipe("tiny")
SETTING = Setting(
    recipe="toy", size="tiny", backend="cpu", precision="fp32", unit="frames", processor="2 threads, none"
)
CASES = [Case(rows, length) for length in (8, 20) for rows in (1, 2, 4)]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "new" / "bench.csv")


def bench(runtime: FakeRuntime, cases: Sequence[Case] = CASES, setting: Setting = SETTING) -> Bench:
    return Bench(TOY, setting, cases, lambda: runtime, FakeGauge, Budget(0))


def told(_: Row) -> None: ...


def outcomes(log: Log) -> list[tuple[int, float, str]]:
    return [(row.rows, row.length, row.outcome) for row in log.rows()]


def test_a_budget_bounds_the_runs_after_the_first_and_a_quarter_warms_up() -> None:
    clock = FakeClock(step=0.25)
    times = measure(FakeRuntime(clock=clock), TOY.example(), Budget(seconds=4), clock)
    assert times.first == 0.25
    assert times.all == [0.25] * 12
    assert clock.now == 4.25


def test_two_runs_are_made_however_long_they_take() -> None:
    clock = FakeClock(step=60)
    times = measure(FakeRuntime(clock=clock), TOY.example(), Budget(seconds=1), clock)
    assert (times.first, times.all) == (60, [60])


def test_runs_are_bounded_in_number() -> None:
    clock = FakeClock(step=0.25)
    times = measure(FakeRuntime(clock=clock), TOY.example(), Budget(60, most_runs=7), clock)
    assert len(times.all) == 7


def test_each_run_is_timed_until_the_device_has_computed_it() -> None:
    runtime = FakeRuntime()
    measure(runtime, TOY.example(), Budget(0))
    assert runtime.calls == ["place", "synchronise", "run", "synchronise", "run", "synchronise"]


def test_percentiles_lie_between_the_runs() -> None:
    times = Times(9.0, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert [times.percentile(share) for share in (50, 90, 99)] == pytest.approx([3.0, 4.6, 4.96])
    assert times.mean == 3.0


def test_every_batch_becomes_a_row(log: Log) -> None:
    assert bench(FakeRuntime()).walk(log, told)
    rows = log.rows()
    assert [row.case for row in rows] == CASES
    assert {row.setting for row in rows} == {SETTING}
    for row in rows:
        assert row.is_measured
        assert row.runs == 1
        assert row.mean_ms is not None
        assert row.requests_per_s == pytest.approx(row.rows / row.mean_ms * 1e3, rel=1e-4)
        assert row.audio_s_per_s == pytest.approx(row.requests_per_s * row.length / 100, rel=1e-4)
    assert [row.memory_mib for row in rows] == [1, 2, 3, 4, 5, 6]


def test_where_memory_ends_larger_batches_of_that_length_are_not_tried(log: Log) -> None:
    runtime = FakeRuntime(too_large=lambda case: case.rows * case.length >= 40)
    assert bench(runtime).walk(log, told)
    assert outcomes(log)[3:] == [(1, 20, "measured"), (2, 20, "out of memory"), (4, 20, "out of memory")]
    assert Case(4, 20) not in runtime.cases


def test_a_runtime_whose_memory_ended_is_loaded_anew_for_another_length(log: Log) -> None:
    opened: list[FakeRuntime] = []

    def open_() -> FakeRuntime:
        opened.append(FakeRuntime(too_large=lambda case: case == Case(2, 8)))
        return opened[-1]

    replace(bench(FakeRuntime()), open=open_).walk(log, told)
    assert [runtime.cases for runtime in opened] == [CASES[:2], CASES[3:]]


def test_that_memory_ended_is_remembered(log: Log) -> None:
    too_large = FakeRuntime(too_large=lambda case: case.rows == 2)
    bench(too_large, [Case(2, 8)]).walk(log, told)
    again = FakeRuntime()
    for cases in ([Case(2, 8), Case(4, 8)], [Case(3, 8)]):
        bench(again, cases).walk(log, told)
    assert outcomes(log) == [(rows, 8, "out of memory") for rows in (2, 4, 3)]
    assert again.cases == []


def test_a_batch_that_fails_is_told_and_tried_again_the_next_time(log: Log) -> None:
    bench(FakeRuntime(broken=[Case(2, 8)]), CASES[:3]).walk(log, told)
    assert outcomes(log) == [(1, 8, "measured"), (2, 8, "the kernel failed"), (4, 8, "measured")]
    again = FakeRuntime()
    bench(again, CASES[:3]).walk(log, told)
    assert again.cases == [Case(2, 8)]


def test_a_walk_ends_in_time_and_goes_on_where_it_was(log: Log) -> None:
    first = replace(bench(FakeRuntime()), until=time.monotonic() - 1)
    assert not first.walk(log, told)
    assert bench(FakeRuntime(), CASES[:2]).walk(log, told)
    later = FakeRuntime()
    assert bench(later).walk(log, told)
    assert later.cases == CASES[2:]
    assert [row.case for row in log.rows()] == CASES


def test_nothing_is_loaded_where_nothing_is_left(log: Log) -> None:
    bench(FakeRuntime()).walk(log, told)

    def fail() -> FakeRuntime:
        raise AssertionError("nothing is left to measure")

    assert replace(bench(FakeRuntime()), open=fail).walk(log, told)


def test_another_machine_is_measured_anew(log: Log) -> None:
    bench(FakeRuntime()).walk(log, told)
    elsewhere = FakeRuntime()
    bench(elsewhere, setting=replace(SETTING, processor="NVIDIA H200")).walk(log, told)
    assert elsewhere.cases == CASES


def test_an_engine_is_not_asked_for_what_it_was_not_built_for(log: Log) -> None:
    runtime = FakeRuntime()
    cases = [Case(1, 8), Case(4, 41), Case(5, 40)]
    bench(runtime, cases, replace(SETTING, backend="tensorrt")).walk(log, told)
    assert [outcome for *_, outcome in outcomes(log)] == ["measured", *["outside the profile"] * 2]
    assert runtime.cases == [Case(1, 8)]


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("name,age\nAda,36\n")
    with pytest.raises(ModelUnavailable, match=r"other\.csv is no CSV file of `duoscribe engines bench`"):
        Log(path).rows()


@pytest.mark.parametrize(
    ("text", "meant"),
    [("pytorch", "pytorch-fp16"), ("cuda", "cuda-tf32"), (" tensorrt-bf16", "tensorrt-bf16")],
)
def test_runtimes_have_names(text: str, meant: str) -> None:
    assert str(parse_kind(text)) == meant


@pytest.mark.parametrize("text", ["", "tpu", "cpu-fp16", "cuda-bf16", "tensorrt-tf32"])
def test_other_runtimes_are_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no runtime: there are pytorch-fp16, .*tensorrt-bf16"):
        parse_kind(text)
