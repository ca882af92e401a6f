import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from serving.errors import ModelUnavailable
from serving.models import ModelStore, Update, fingerprint
from serving.models.manifest import Entry
from serving.models.pull import ConversionFailed
from serving.models.sources import FetchFailed


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def no_network(*_: object) -> None:
    raise FetchFailed("the network was asked")


def test_pull_makes_the_folders_of_the_default_set(store):
    plain, made = store.pull()

    assert (plain / "model.onnx").read_bytes() == b"weights as they are"
    assert (made / "encoder.onnx").read_bytes() == b"WEIGHTS TO CONVERT"
    assert names_in(made) == {"encoder.onnx", "tokens.txt"}
    assert names_in(store.cache_dir) == {"plain", "made"}
    assert store.path("plain") == plain


def test_a_pulled_model_needs_no_network(store, manifest):
    store.pull(["plain"])
    offline = ModelStore(store.cache_dir, manifest=manifest, fetch=no_network)

    assert offline.pull(["plain"]) == [offline.path("plain")]


def test_a_whole_cache_is_not_written_to(store):
    store.pull(["plain"])
    (store.cache_dir / ".lock").unlink()

    store.pull(["plain"])

    assert not (store.cache_dir / ".lock").exists()


def test_a_file_of_two_models_is_fetched_once(store, registry):
    store.pull(["made", "made-too"])

    assert registry.asked == ["made==1.0"]
    assert names_in(store.path("made-too")) == {"encoder.onnx", "tokens.txt"}


def test_sources_are_tried_in_order(store, registry):
    store.pull(["plain"])

    assert registry.asked == ["gone==1.0", "plain==1.0"]


def test_a_wrong_checksum_is_named_and_nothing_is_kept(store, registry):
    registry.held["plain==1.0"] = b"somebody else's weights"

    with pytest.raises(ModelUnavailable) as caught:
        store.pull(["plain"])

    message = caught.value.message
    assert "model plain could not be fetched" in message
    assert "gone==1.0: no such package" in message
    assert "plain==1.0: plain.onnx has SHA-256" in message
    assert "but the manifest expects" in message
    assert names_in(store.cache_dir) == set()


def test_a_failed_conversion_says_why_and_leaves_the_old_folder(store, manifest, registry):
    [before] = store.pull(["made"])
    (before / "tokens.txt").write_text("broken")

    def stumble(recipe: str, source: Path, target: Path) -> None:
        (target / "encoder.onnx").write_bytes(b"half")
        raise ConversionFailed("ran out of patience")

    stumbling = ModelStore(store.cache_dir, manifest=manifest, fetch=registry.fetch, convert=stumble)
    with pytest.raises(ModelUnavailable, match="model made could not be converted: ran out of patience"):
        stumbling.pull(["made"])

    assert (before / "encoder.onnx").read_bytes() == b"WEIGHTS TO CONVERT"


def test_a_recipe_must_leave_what_the_manifest_promises(store, manifest, registry):
    idle = ModelStore(store.cache_dir, manifest=manifest, fetch=registry.fetch, convert=lambda *_: None)

    with pytest.raises(ModelUnavailable, match=r"shout left no encoder\.onnx, tokens\.txt"):
        idle.pull(["made"])


@pytest.mark.parametrize(
    ("content", "seen_at_once"),
    [(b"cut", True), (b"weights as they Are", False)],
    ids=["other size", "same size"],
)
def test_a_broken_folder_is_noticed_and_made_again(store, content, seen_at_once):
    [folder] = store.pull(["plain"])
    (folder / "model.onnx").write_bytes(content)

    if seen_at_once:
        with pytest.raises(
            ModelUnavailable, match="is broken or out of date: run `duoscribe models pull plain`"
        ):
            store.path("plain")
    store.pull(["plain"])

    assert (store.path("plain") / "model.onnx").read_bytes() == b"weights as they are"


@pytest.mark.parametrize(
    "stamp", ["", "{}", '{"entry": "x", "files": []}', '{"entry": 1, "files": {"a": 2}}']
)
def test_an_unreadable_stamp_counts_as_broken(store, stamp):
    [folder] = store.pull(["plain"])
    (folder / ".duoscribe.json").write_text(stamp)

    with pytest.raises(ModelUnavailable, match="is broken or out of date"):
        store.path("plain")
    store.pull(["plain"])
    assert store.path("plain") == folder


def test_a_new_revision_of_a_recipe_asks_for_a_new_pull(store, manifest, registry):
    store.pull(["made"])
    newer = {"made": replace(manifest["made"], revision=2)}
    later = ModelStore(store.cache_dir, manifest=newer, fetch=registry.fetch, convert=lambda r, s, t: None)

    with pytest.raises(ModelUnavailable, match="is broken or out of date"):
        later.path("made")


def test_what_a_killed_process_left_is_cleared_away(store):
    leftover = store.cache_dir / ".partial" / "outputs-x"
    leftover.mkdir(parents=True)
    (leftover / "half").write_bytes(b"half")

    store.pull(["plain"])

    assert not (store.cache_dir / ".partial").exists()


def test_of_two_pullers_one_fetches_and_the_other_waits(store, manifest, registry):
    """The second starts while the first is fetching, and finds everything there when its turn comes."""
    second = ModelStore(store.cache_dir, manifest=manifest, fetch=no_network)
    waiting = threading.Event()
    pulled: list[Path] = []

    def pull_second() -> None:
        pulled.extend(second.pull(["plain"], lambda update: "waiting" in update.activity and waiting.set()))

    other = threading.Thread(target=pull_second)

    def start_second() -> None:
        if not other.ident:
            other.start()
            assert waiting.wait(timeout=10)

    registry.meanwhile = start_second
    first = store.pull(["plain"])
    other.join(timeout=10)

    assert pulled == first


def test_a_reader_keeps_the_old_file_while_it_is_replaced(store):
    [folder] = store.pull(["plain"])
    with (folder / "model.onnx").open("rb") as held:
        (folder / "model.onnx").with_name(".duoscribe.json").unlink()
        store.pull(["plain"])
        assert held.read() == b"weights as they are"


def test_progress_rises_to_one(store, updates):
    store.pull(["made"], updates.append)

    fractions = [update.fraction for update in updates]
    assert fractions == sorted(fractions)
    assert updates[-1] == Update("made", "ready", 1.0)
    assert [update.activity for update in updates[:1]] == ["fetching made.pt (made==1.0)"]


def test_a_missing_model_names_the_command(store):
    with pytest.raises(
        ModelUnavailable, match="model plain has not been pulled: run `duoscribe models pull plain`"
    ):
        store.path("plain")


def test_any_directory_can_stand_for_a_model(store, tmp_path):
    own = tmp_path / "own-model"
    own.mkdir()

    assert store.path(str(own)) == own


def test_what_is_neither_name_nor_directory_is_refused(store):
    with pytest.raises(ModelUnavailable, match="'plane' is neither a directory nor a model's name"):
        store.path("plane")
    with pytest.raises(ModelUnavailable, match="there is no model 'plane'; there are plain, made, made-too"):
        store.pull(["plane"])


def test_a_cache_that_cannot_be_written_is_named(tmp_path, manifest, registry):
    (tmp_path / "file").write_text("in the way")
    store = ModelStore(tmp_path / "file" / "cache", manifest=manifest, fetch=registry.fetch)

    with pytest.raises(
        ModelUnavailable, match=r"models cannot be kept in .*; DUOSCRIBE_CACHE names another folder"
    ):
        store.pull(["plain"])


def test_the_environment_moves_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DUOSCRIBE_CACHE", str(tmp_path))
    assert ModelStore().cache_dir == tmp_path


def test_info_carries_name_licence_and_fingerprint(store):
    [folder] = store.pull(["plain"])

    info = store.info("plain", role="voice-activity")

    assert (info.role, info.name, info.license) == ("voice-activity", "plain", "MIT")
    assert info.fingerprint == fingerprint(folder)


def test_the_fingerprint_is_that_of_the_contents(store, tmp_path):
    [folder] = store.pull(["made"])
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in names_in(folder):
        (copy / name).write_bytes((folder / name).read_bytes())

    assert fingerprint(copy) == fingerprint(folder)
    (copy / "tokens.txt").write_text("others")
    assert fingerprint(copy) != fingerprint(folder)
    assert store.info(str(copy), role="recognition").license == ""


def test_the_stamp_does_not_hide_a_changed_file(store):
    [folder] = store.pull(["plain"])
    before = fingerprint(folder)
    (folder / "model.onnx").write_bytes(b"longer than what was there before")

    assert fingerprint(folder) != before


def test_default_names(store, manifest: Mapping[str, Entry]):
    assert store.default_names() == ("plain", "made")
    assert store.entries() == tuple(manifest.values())
