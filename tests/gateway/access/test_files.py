import os

import pytest

from gateway.access.files import FileError, WatchedFile
from support.calling import replace


def whole_number(text):
    return int(text)


def test_what_a_file_says_is_known_as_soon_as_it_has_changed(tmp_path):
    path = tmp_path / "number"
    path.write_text("1")
    watched = WatchedFile(path, whole_number)
    assert watched.current() == 1
    replace(path, "2")
    assert watched.current() == 2
    path.write_text("300")
    assert watched.current() == 300


def test_a_link_that_is_turned_is_a_change(tmp_path):
    """As Kubernetes replaces a secret."""
    for name, content in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "number").write_text(content)
        os.utime(tmp_path / name / "number", (1, 1))
    (tmp_path / "data").symlink_to("a")
    watched = WatchedFile(tmp_path / "data" / "number", whole_number)
    (tmp_path / "turned").symlink_to("b")
    (tmp_path / "turned").rename(tmp_path / "data")
    assert watched.current() == 2


def test_it_is_parsed_once_for_each_change(tmp_path):
    path, parsed = tmp_path / "number", []
    path.write_text("1")
    watched = WatchedFile(path, parsed.append)
    for _ in range(5):
        watched.current()
    assert parsed == ["1"]


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("one"), lambda path: path.unlink()])
def test_a_change_for_the_worse_leaves_in_force_what_was_there(tmp_path, spoil):
    path = tmp_path / "number"
    path.write_text("1")
    watched = WatchedFile(path, whole_number)
    spoil(path)
    assert watched.current() == 1
    assert watched.current() == 1
    replace(path, "2")
    assert watched.current() == 2


@pytest.mark.parametrize("content", [None, "one", b"\xff\xfe"])
def test_a_file_that_is_no_use_from_the_beginning_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "number"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileError, match=str(path)):
        WatchedFile(path, whole_number)
