import asyncio

import pytest

from gateway.discovery import dns_name, follow, listed, lookup


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("dns:///asr.internal:50051", ("asr.internal", 50051)),
        ("dns:asr.internal:50051", ("asr.internal", 50051)),
        # Another resolver than the system's, which only gRPC can ask.
        ("dns://10.0.0.2/asr.internal:50051", None),
        # gRPC would take port 443.
        ("dns:///asr.internal", None),
        ("xds:///asr", None),
        ("ipv4:10.0.0.1:50051", None),
        ("unix:/run/asr.sock", None),
    ],
)
def test_names_are_told_from_what_the_system_cannot_look_up(target, name):
    assert dns_name(target) == name


@pytest.mark.parametrize(
    ("target", "replicas"),
    [
        ("ipv4:10.0.0.1:1,10.0.0.2:2", ("ipv4:10.0.0.1:1", "ipv4:10.0.0.2:2")),
        ("ipv6:[::1]:1,[::2]:2", ("ipv6:[::1]:1", "ipv6:[::2]:2")),
        ("unix:/run/asr.sock", ("unix:/run/asr.sock",)),
        ("dns:///asr:50051", None),
        ("xds:///asr", None),
    ],
)
def test_a_list_of_addresses_is_a_list_of_replicas(target, replicas):
    assert listed(target) == replicas


async def test_a_name_is_looked_up_in_one_family():
    assert await lookup("127.0.0.1", 50051) == {"ipv4:127.0.0.1:50051"}
    assert await lookup("::1", 50051) == {"ipv6:[::1]:50051"}
    assert len(await lookup("localhost", 50051)) == 1


@pytest.mark.parametrize(("name", "error"), [("name.invalid", OSError), ("no..name", UnicodeError)])
async def test_a_name_that_is_not_there_is_an_error(name, error):
    with pytest.raises(error, match=r".+"):
        await lookup(name, 50051)


@pytest.mark.parametrize("error", [OSError(-3, "try again"), UnicodeError("label empty")])
async def test_replicas_are_followed_and_stay_known_while_the_name_is_not(error):
    answers = [{"a"}, error, {"a", "b"}]
    heard = []
    done = asyncio.Event()

    async def look():
        answer = answers.pop(0) if answers else await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def update(targets):
        heard.append(set(targets))
        if not answers:
            done.set()

    following = asyncio.create_task(follow(look, update, seconds=0.01))
    await asyncio.wait_for(done.wait(), 5)
    following.cancel()
    assert heard == [{"a"}, {"a", "b"}]
