import pytest
from click.testing import CliRunner, Result

from serving.models import ModelStore
from serving.models.commands import Bars, Lines, models
from serving.models.pull import Update


def run(store: ModelStore, *arguments: str) -> Result:
    return CliRunner().invoke(models, arguments, obj=store)


def test_list_gives_one_line_a_model(store):
    store.pull(["plain"])

    rows = [line.split("\t") for line in run(store, "list").stdout.splitlines()]

    assert rows[0] == ["plain", "voice-activity", "MIT", "0 MB", "yes", "copied"]
    assert [row[4] for row in rows] == ["yes", "no", "no"]


def test_pull_takes_the_default_set(store):
    result = run(store, "pull")

    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == "made: ready"
    assert result.stdout == ""
    assert store.path("plain")
    assert store.path("made")


def test_pull_takes_what_is_named(store):
    run(store, "pull", "made-too")
    assert [store.has(entry) for entry in store.entries()] == [False, False, True]

    run(store, "pull", "made-too", "--all-default")
    assert [store.has(entry) for entry in store.entries()] == [True, True, True]


def test_pull_can_be_repeated(store, registry):
    run(store, "pull", "plain")
    asked = list(registry.asked)
    result = run(store, "pull", "plain")

    assert result.stderr == "plain: ready\n"
    assert registry.asked == asked


def test_a_failure_is_one_line_and_an_exit_code(store, registry):
    registry.held.clear()

    result = run(store, "pull", "plain")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(
        "Error: model plain could not be fetched: gone==1.0: no such package"
    )


def test_path_is_all_that_standard_output_gets(store):
    [folder] = store.pull(["plain"])

    assert run(store, "path", "plain").stdout == f"{folder}\n"


def test_path_of_a_missing_model_says_what_to_run(store):
    result = run(store, "path", "plain")

    assert result.exit_code == 1
    assert "run `duoscribe models pull plain`" in result.stderr


def test_lines_are_not_repeated(capsys: pytest.CaptureFixture[str]):
    lines = Lines()
    for fraction in (0.0, 0.5, 1.0):
        lines(Update("plain", "fetching", fraction))
    lines(Update("plain", "ready", 1.0))

    assert capsys.readouterr().err == "plain: fetching\nplain: ready\n"


def test_bars_show_every_model(capsys: pytest.CaptureFixture[str]):
    with Bars() as bars:
        bars(Update("plain", "fetching", 0.5))
        bars(Update("made", "ready", 1.0))

    shown = capsys.readouterr().err
    assert "plain" in shown
    assert "made" in shown
