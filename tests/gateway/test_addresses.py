import pytest

from gateway.addresses import target
from gateway.config import ENV_PREFIX, GatewayConfig
from gateway.merge import SECOND, MergeOptions
from serving.config import from_environment


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["10.0.0.1:50051"], "ipv4:10.0.0.1:50051"),
        (["10.0.0.1:50051", "10.0.0.2:50051"], "ipv4:10.0.0.1:50051,10.0.0.2:50051"),
        (["10.0.0.1:1, 10.0.0.2:2", "10.0.0.3:3"], "ipv4:10.0.0.1:1,10.0.0.2:2,10.0.0.3:3"),
        (["[::1]:50051", "[::2]:50051"], "ipv6:[::1]:50051,[::2]:50051"),
        (["localhost:1", "localhost:2"], "ipv4:127.0.0.1:1,127.0.0.1:2"),
        (["asr.mesh.local:50051"], "dns:///asr.mesh.local:50051"),
        (["dns:///asr:50051"], "dns:///asr:50051"),
        (["unix:/run/asr.sock"], "unix:/run/asr.sock"),
        (["xds:///asr"], "xds:///asr"),
    ],
)
def test_addresses_become_one_target(addresses, expected):
    assert target(addresses) == expected


@pytest.mark.parametrize(
    "addresses",
    [
        [],
        [" , "],
        ["asr"],
        ["asr:"],
        [":50051"],
        ["asr:0"],
        ["asr:70000"],
        ["asr:http"],
        ["asr-1:50051", "asr-2:50051"],
        ["10.0.0.1:1", "asr-2:1"],
        ["10.0.0.1:1", "[::1]:1"],
        ["unix:/a", "unix:/b"],
    ],
)
def test_what_is_no_target_is_refused(addresses):
    with pytest.raises(ValueError, match=r"address"):
        target(addresses)
    with pytest.raises(ValueError, match=r"address"):
        GatewayConfig(diarization=tuple(addresses))


def test_the_environment_holds_lists_separated_by_commas(monkeypatch):
    monkeypatch.setenv("DUOSCRIBE_GATEWAY_ASR", "10.0.0.1:1,10.0.0.2:2")
    assert from_environment(GatewayConfig, ENV_PREFIX).asr == ("10.0.0.1:1", "10.0.0.2:2")


def test_merging_can_be_configured():
    assert GatewayConfig().merging == MergeOptions()
    config = GatewayConfig(
        nearest_turn_seconds=1,
        change_within_sentence=2,
        change_after_sentence=0.5,
        change_without_sentences=1.5,
        max_pause_seconds=3,
        sentence_after_seconds=4,
    )
    assert config.merging == MergeOptions(
        nearest_turn=SECOND,
        change_within_sentence=2000,
        change_after_sentence=500,
        change_without_sentences=1500,
        max_pause=3 * SECOND,
        sentence_after=4 * SECOND,
    )
