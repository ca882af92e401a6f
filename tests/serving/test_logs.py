import json
import logging

import pytest

from serving import logs

pytestmark = pytest.mark.usefixtures("own_logging")


def lines(captured):
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_line_is_one_json_object_with_the_request_id(capsys):
    logs.configure("info", "json")
    logs.bind_request_id("call-7")
    logs.get_logger("kitchen").info("served", plates=3)

    (line,) = lines(capsys.readouterr())
    assert (line["event"], line["plates"], line["request_id"]) == ("served", 3, "call-7")
    assert (line["level"], line["logger"]) == ("info", "kitchen")
    assert line["timestamp"].endswith("Z")


def test_libraries_log_the_same_way(capsys):
    logs.configure("warning", "json")
    logging.getLogger("some.library").warning("%s burnt", "toast")
    logging.getLogger("some.library").info("not worth it")

    (line,) = lines(capsys.readouterr())
    assert (line["event"], line["logger"], line["level"]) == ("toast burnt", "some.library", "warning")


@pytest.mark.parametrize("look", ["json", "console"])
def test_a_traceback_is_logged_without_local_variables(capsys, look):
    logs.configure("info", look)

    def transcribe():
        transcript = "what was said in confidence"
        raise KeyError(len(transcript))

    try:
        transcribe()
    except KeyError as error:
        logs.get_logger("kitchen").error("failed", exc_info=error)

    written = capsys.readouterr().err
    assert "KeyError: 27" in written
    assert "in confidence" not in written


def test_standard_output_stays_clean_and_auto_means_json_without_a_terminal(capsys):
    logs.configure("debug", "auto")
    logs.get_logger("kitchen").debug("served")

    captured = capsys.readouterr()
    assert captured.out == ""
    assert lines(captured)[0]["event"] == "served"


def test_lines_below_the_level_are_not_written(capsys):
    logs.configure("warning", "json")
    logs.get_logger("kitchen").info("served")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "fit"), [("a", True), ("é-" * 64, True), ("", False), ("a" * 129, False), ("a\nb", False)]
)
def test_which_request_ids_may_stand_in_logs(text, fit):
    assert logs.is_request_id(text) is fit
