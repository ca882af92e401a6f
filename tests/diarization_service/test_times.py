"""What a worker tells of a recording's stages."""

import time

from diarization_service.times import StageTimes, Times


def test_a_stage_lasts_from_its_first_batch_to_its_last_and_adds_them_up():
    times, before = Times(), time.monotonic()
    times.taken("embedding", [0.5, 1.5])
    times.computed("embedding", 0.25)
    times.taken("embedding", [0.25])
    times.computed("embedding", 0.75)

    (stage,) = times.stages.values()
    assert before <= stage.began <= stage.ended <= time.monotonic()
    assert (stage.items, stage.batches) == (3, 2)
    assert (stage.wait_seconds, stage.longest_wait_seconds, stage.compute_seconds) == (2.25, 1.5, 1.0)


def test_what_is_told_arrives_as_it_was():
    stages = {
        "clustering": StageTimes(began=1e6 + 1e-6, ended=1e6 + 1, items=1, batches=1, compute_seconds=0.5)
    }
    assert Times.from_bytes(Times(stages).to_message().SerializeToString()).stages == stages
    assert Times.from_bytes(Times().to_message().SerializeToString()).stages == {}
