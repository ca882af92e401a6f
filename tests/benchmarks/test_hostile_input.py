"""A few hundred of the hostile files, and hostile uploads to a service: all of them end with an error for their sender, or well.

All cases: python -m benchmarks.hostile_input
"""

import asyncio
import random

from benchmarks.hostile_input.files import hostile_file
from benchmarks.hostile_input.sending import Outcomes, recognition_at, send_all
from serving.errors import InvalidAudio, RecordingTooLong
from support import audio
from support.decoder import children_of, fork_server_of, shared_decoder
from support.recognition import asr_door
from support.waiting import until

# Other ones than those that the benchmark sends.
SEED = 2


async def outcome_of(case):
    file = hostile_file(random.Random(f"{SEED} {case}"))
    try:
        await audio.decoded(file)
    except (InvalidAudio, RecordingTooLong) as error:
        return type(error)
    return None


async def test_hostile_files_harm_nobody():
    decoder = await shared_decoder()
    server = fork_server_of(decoder)
    outcomes = []
    for first in range(0, 200, 4):
        outcomes += await asyncio.gather(*[outcome_of(case) for case in range(first, first + 4)])
    assert {None, InvalidAudio} <= set(outcomes)
    assert fork_server_of(decoder) == server
    await until(lambda: not children_of(decoder))


async def test_hostile_uploads_get_a_status():
    outcomes = Outcomes()
    async with asr_door() as door:
        await send_all([recognition_at(door.server.address)], range(60), outcomes, seed=SEED, at_once=4)
    assert not outcomes.hung
    assert not outcomes.bugs
    assert {"OK", "INVALID_ARGUMENT"} <= set(outcomes.statuses) <= {"OK", "INVALID_ARGUMENT", "OUT_OF_RANGE"}
