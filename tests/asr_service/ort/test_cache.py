"""The folder of engines: complete or absent, built once, and clear about what is wrong."""

import multiprocessing
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from asr_service.engines.ort.cache import EngineCache, Entry
from asr_service.engines.ort.gate import Figures
from asr_service.engines.ort.record import FILE, Identity, Record, read_record
from serving.errors import ModelUnavailable
from support.disk import files_no_larger_than

IDENTITY = Identity(
    weights="f00d",
    encoder="encoder.onnx",
    profile="1:8:32x0.5:10:30",
    options={"trt_fp16_enable": "1"},
    refining="1",
    gpu="NVIDIA H200",
    compute_capability="9.0",
    driver="570.86",
    onnxruntime="1.26.0",
    tensorrt="10.9.0",
)
COMMAND = "duoscribe engines build parakeet"
ENGINE = b"an engine" * 100


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def record(identity: Identity = IDENTITY) -> Record:
    return Record(
        identity,
        model="parakeet",
        precision="fp16",
        built="2025-11-21T12:00:00+00:00",
        seconds=180.5,
        engine_bytes=len(ENGINE),
        figures=Figures(0.002, 1.0),
        tokens=((1, 2), (3,)),
        graph="finished.onnx",
        finding="",
    )


def fill(folder: Path) -> Record:
    (folder / "encoder.engine").write_bytes(ENGINE)
    return record()


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(ModelUnavailable) as raised:
        action()
    return raised.value.message


def test_what_is_made_is_found(cache: EngineCache) -> None:
    made = cache.make(IDENTITY, fill)
    found = cache.find(IDENTITY, command=COMMAND)
    assert found == made
    assert found.record == record()
    assert found.folder.name == IDENTITY.key
    assert found.problem(thorough=True) == ""
    assert found.size > len(ENGINE)
    assert cache.entries() == [found]


def test_what_is_there_and_whole_is_not_made_again(cache: EngineCache) -> None:
    cache.make(IDENTITY, fill)
    cache.make(IDENTITY, lambda _: pytest.fail("made again"))


def test_what_is_there_and_whole_needs_no_cache_that_can_be_written(cache: EngineCache) -> None:
    made = cache.make(IDENTITY, fill)
    shutil.rmtree(cache.root / ".locks")
    (cache.root / ".locks").touch()
    assert cache.make(IDENTITY, lambda _: pytest.fail("made again")) == made


def test_a_missing_engine_is_told_with_what_builds_it(cache: EngineCache) -> None:
    told = refusal(lambda: cache.find(IDENTITY, command=COMMAND))
    assert "no TensorRT engine of encoder.onnx for batches 1:8:32x0.5:10:30 on this machine:" in told
    assert f"run `{COMMAND}`, or start the service with --build-engines" in told


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"gpu": "NVIDIA A10", "compute_capability": "8.6"}, "gpu NVIDIA A10 instead of NVIDIA H200"),
        ({"driver": "580.65"}, "driver 580.65 instead of 570.86"),
        ({"tensorrt": "10.13.0"}, "tensorrt 10.13.0 instead of 10.9.0"),
        ({"options": {"trt_fp16_enable": "0"}}, "trt_fp16_enable 0 instead of 1"),
        ({"options": {}}, "trt_fp16_enable unset instead of 1"),
    ],
)
def test_an_engine_from_elsewhere_is_not_taken_and_the_difference_is_told(
    cache: EngineCache, changed: dict[str, object], told: str
) -> None:
    cache.make(IDENTITY, fill)
    here = replace(IDENTITY, **changed)  # type: ignore[arg-type]
    assert f"now {told}" in refusal(lambda: cache.find(here, command=COMMAND))


def test_the_most_similar_engine_is_the_one_that_is_compared(cache: EngineCache) -> None:
    for driver, gpu in (("1", "NVIDIA A10"), ("2", "NVIDIA H200")):
        other = replace(IDENTITY, driver=driver, gpu=gpu)
        cache.make(other, lambda folder, other=other: replace(fill(folder), identity=other))
    told = refusal(lambda: cache.find(IDENTITY, command=COMMAND))
    assert "now driver 570.86 instead of 2)" in told


def test_engines_of_other_weights_are_no_comparison(cache: EngineCache) -> None:
    cache.make(IDENTITY, fill)
    told = refusal(lambda: cache.find(replace(IDENTITY, weights="beef"), command=COMMAND))
    assert "instead of" not in told


def truncated(entry: Entry) -> None:
    (entry.folder / "encoder.engine").write_bytes(ENGINE[:-1])


def removed(entry: Entry) -> None:
    (entry.folder / "encoder.engine").unlink()


def without_record(entry: Entry) -> None:
    (entry.folder / FILE).write_text("{}")


def without_stamp(entry: Entry) -> None:
    (entry.folder / ".duoscribe.json").unlink()


@pytest.mark.parametrize("damage", [truncated, removed, without_record, without_stamp])
def test_a_damaged_engine_is_told_with_what_repairs_it_and_repaired(
    cache: EngineCache, damage: Callable[[Entry], None]
) -> None:
    damage(cache.make(IDENTITY, fill))
    told = refusal(lambda: cache.find(IDENTITY, command=COMMAND))
    assert "is damaged" in told
    assert f"run `{COMMAND}` to build it again" in told
    cache.make(IDENTITY, fill)
    assert cache.find(IDENTITY, command=COMMAND).problem(thorough=True) == ""


def test_a_changed_byte_is_found_by_content_and_repaired_by_a_build(cache: EngineCache) -> None:
    entry = cache.make(IDENTITY, fill)
    (entry.folder / "encoder.engine").write_bytes(b"X" + ENGINE[1:])
    assert entry.problem() == ""
    assert "not those that were built" in entry.problem(thorough=True)
    assert cache.make(IDENTITY, fill).problem(thorough=True) == ""


def test_a_folder_under_another_name_is_not_taken_for_what_it_is_not(cache: EngineCache) -> None:
    entry = cache.make(IDENTITY, fill)
    elsewhere = replace(IDENTITY, gpu="NVIDIA A10")
    shutil.copytree(entry.folder, cache.root / elsewhere.key)
    assert "built for something else" in refusal(lambda: cache.find(elsewhere, command=COMMAND))


def test_a_failure_leaves_nothing(cache: EngineCache) -> None:
    def fail(folder: Path) -> Record:
        (folder / "encoder.engine").write_bytes(ENGINE)
        raise ModelUnavailable("TensorRT does not want to")

    assert refusal(lambda: cache.make(IDENTITY, fail)) == "TensorRT does not want to"
    assert cache.entries() == []
    assert not list((cache.root / ".partial").iterdir())


def test_what_a_killed_process_left_is_swept_away(cache: EngineCache) -> None:
    left = cache.root / ".partial" / IDENTITY.key
    left.mkdir(parents=True)
    (left / "half.engine").touch()
    entry = cache.make(IDENTITY, fill)
    assert not (entry.folder / "half.engine").exists()


def test_two_threads_build_it_once(cache: EngineCache) -> None:
    builds, waited = [], []

    def slowly(folder: Path) -> Record:
        builds.append(folder)
        time.sleep(0.2)
        return fill(folder)

    def make() -> None:
        cache.make(IDENTITY, slowly, on_wait=lambda: waited.append(True))

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    assert len(waited) == 2


def _build_in_process(root: Path, log: Path) -> None:
    def slowly(folder: Path) -> Record:
        with log.open("a") as file:
            file.write("built\n")
        time.sleep(0.2)
        return fill(folder)

    EngineCache(root).make(IDENTITY, slowly)


def test_two_processes_build_it_once(cache: EngineCache, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    processes = [context.Process(target=_build_in_process, args=(cache.root, log)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert log.read_text() == "built\n"


def test_timings_of_kernels_serve_the_next_build_on_the_same_gpu(cache: EngineCache) -> None:
    found: list[bytes] = []

    def timing(identity: Identity) -> Callable[[Path], Record]:
        def fill_timed(folder: Path) -> Record:
            path = folder / "sm90.timing"
            found.append(path.read_bytes() if path.exists() else b"")
            path.write_bytes(found[-1] + b"t")
            return replace(fill(folder), identity=identity)

        return fill_timed

    for identity in (
        IDENTITY,
        replace(IDENTITY, profile="1x30"),
        replace(IDENTITY, gpu="NVIDIA A10"),
        replace(IDENTITY, profile="2x30"),
    ):
        entry = cache.make(identity, timing(identity))
        assert not (entry.folder / "sm90.timing").exists()
    assert found == [b"", b"t", b"", b"tt"]


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = refusal(lambda: EngineCache(tmp_path / "file" / "engines").make(IDENTITY, fill))
    assert "engines cannot be kept in" in told
    assert "make it writable for this user, or let DUOSCRIBE_CACHE name another folder" in told


def test_a_disk_that_fills_up_is_told(cache: EngineCache) -> None:
    with files_no_larger_than(len(ENGINE) // 2):
        told = refusal(lambda: cache.make(IDENTITY, fill))
    assert "make room there, or let DUOSCRIBE_CACHE name another folder" in told
    assert cache.entries() == []


def test_a_disk_without_room_is_told_before_anything_is_built(cache: EngineCache) -> None:
    told = refusal(lambda: cache.make(IDENTITY, lambda _: pytest.fail("built"), room=1 << 60))
    assert "GB are left, and building may take" in told
    assert "make room there" in told


def test_an_engine_is_removed_but_not_while_it_is_built(cache: EngineCache) -> None:
    entry = cache.make(IDENTITY, fill)
    (entry.folder / "encoder.engine").unlink()

    def removing(folder: Path) -> Record:
        assert "is being built" in refusal(lambda: cache.remove(entry))
        return fill(folder)

    cache.make(IDENTITY, removing)
    cache.remove(entry)
    assert cache.entries() == []


def test_an_empty_cache_holds_nothing(tmp_path: Path) -> None:
    assert EngineCache(tmp_path / "nowhere").entries() == []


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record().write(tmp_path)
    assert read_record(tmp_path) == record()
    (tmp_path / FILE).write_text('{"identity": {"weights": "only"}}')
    assert read_record(tmp_path) is None


def test_the_key_depends_on_every_field() -> None:
    keys = {IDENTITY.key}
    for name in (name for name in vars(IDENTITY) if name != "options"):
        keys.add(replace(IDENTITY, **{name: "other"}).key)  # type: ignore[arg-type]
    keys.add(replace(IDENTITY, options={}).key)
    assert len(keys) == len(vars(IDENTITY)) + 1
