from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from serving.config import ServerConfig, command, from_environment, option


@dataclass(frozen=True, kw_only=True)
class OvenConfig(ServerConfig):
    address: str = option("127.0.0.1:50051", "Where the oven listens.")
    trays: tuple[str, ...] = option((), "Trays to put in.")
    cache: Path | None = option(None, "Where warmth is kept.")  # noqa: RUF009 - makes a dataclass field
    fan: bool = option(True, "Whether air moves.")
    degrees: float = option(180.0, "How hot.", min=20, max=300)
    minutes: int | None = option(None, "How long.", min=1)
    grill: str = option("off", "Heat from above.", choices=("off", "low", "high"))
    key: str = option("hush-hush", "Opens the door.", secret=True, env="KEY_OF_OVEN")

    def __post_init__(self) -> None:
        if self.grill == "high" and not self.fan:
            raise ValueError("--grill high needs --fan")


def invoke(*arguments, **environment):
    seen = []

    def run(config):
        seen.append(config)
        return 7

    main = command(OvenConfig, run, name="oven", help="Bakes.", env_prefix="OVEN_")
    result = CliRunner().invoke(main, arguments, env=environment)
    return (seen or [None])[0], result


def test_without_flags_every_field_has_its_default():
    config, result = invoke()

    assert config == OvenConfig()
    assert result.exit_code == 7


def test_a_flag_for_every_kind_of_field():
    config, _ = invoke(
        *("--trays", "a", "--trays", "b,c", "--cache", "/tmp/warm", "--no-fan", "--degrees", "220.5"),
        *("--minutes", "40", "--grill", "low", "--key", "k", "--max-streams", "3"),
    )

    assert config == OvenConfig(
        trays=("a", "b,c"),
        cache=Path("/tmp/warm"),
        fan=False,
        degrees=220.5,
        minutes=40,
        grill="low",
        key="k",
        max_streams=3,
    )


def test_the_environment_sets_every_kind_of_field():
    config, _ = invoke(
        OVEN_TRAYS="a, b,",
        OVEN_CACHE="/tmp/warm",
        OVEN_FAN="no",
        OVEN_DEGREES="90",
        OVEN_MINUTES="2",
        KEY_OF_OVEN="k",
    )

    assert config == OvenConfig(
        trays=("a", "b"), cache=Path("/tmp/warm"), fan=False, degrees=90.0, minutes=2, key="k"
    )


def test_a_flag_wins_over_the_environment():
    config, _ = invoke("--degrees", "100", OVEN_DEGREES="200")

    assert config.degrees == 100


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (("--degrees", "warm"), "--degrees"),
        (("--degrees", "301"), "--degrees"),
        (("--minutes", "0"), "--minutes"),
        (("--minutes", "1.5"), "--minutes"),
        (("--grill", "medium"), "--grill"),
        (("--max-streams", "0"), "--max-streams"),
    ],
)
def test_a_bad_value_is_refused_by_its_flag(arguments, flag):
    config, result = invoke(*arguments)

    assert config is None
    assert result.exit_code == 2
    assert f"Invalid value for '{flag}'" in result.stderr


def test_fields_that_contradict_each_other_are_refused():
    config, result = invoke("--grill", "high", "--no-fan")

    assert config is None
    assert result.exit_code == 2
    assert "--grill high needs --fan" in result.stderr


def test_help_is_the_manual():
    _, result = invoke("--help")
    manual = " ".join(result.stdout.split())

    for name, described in OvenConfig.__dataclass_fields__.items():
        assert "--" + name.replace("_", "-") in manual
        assert described.metadata["serving.config"].help in manual
        assert (f"OVEN_{name.upper()}" if name != "key" else "KEY_OF_OVEN") in manual
    for default in ("127.0.0.1:50051", "180.0", "4194304"):
        assert f"default: {default}" in manual


def test_a_secret_is_shown_nowhere():
    _, result = invoke("--help")

    assert "hush-hush" not in result.stdout
    assert "hush-hush" not in repr(OvenConfig())


def test_configuration_from_the_environment_alone(monkeypatch):
    monkeypatch.setenv("OVEN_MAX_STREAMS", "9")

    assert from_environment(OvenConfig, "OVEN_") == OvenConfig(max_streams=9)


def test_a_bad_variable_is_named(monkeypatch):
    monkeypatch.setenv("OVEN_MAX_STREAMS", "many")

    with pytest.raises(click.UsageError) as refused:
        from_environment(OvenConfig, "OVEN_")
    assert "OVEN_MAX_STREAMS" in refused.value.format_message()


def test_a_type_that_no_flag_can_have_is_a_mistake_of_ours():
    @dataclass(frozen=True)
    class Odd:
        when: complex = option(0j, "Never.")

    with pytest.raises(TypeError, match="complex"):
        command(Odd, lambda _: 0, name="odd", help="", env_prefix="ODD_")
