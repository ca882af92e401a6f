"""What a form asks for: every field is honoured, or refused by its name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.http.form import Field
from serving.errors import InvalidRequest


class ResponseFormat(StrEnum):
    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VERBOSE_JSON = "verbose_json"
    VTT = "vtt"
    DIARIZED_JSON = "diarized_json"

    @property
    def has_speakers(self) -> bool:
        return self in (ResponseFormat.SRT, ResponseFormat.VTT, ResponseFormat.DIARIZED_JSON)


_STREAMED = (ResponseFormat.JSON, ResponseFormat.TEXT, ResponseFormat.DIARIZED_JSON)
_GRANULARITIES = ("segment", "word")
_FLAGS = {"true": True, "false": False}

# Fields that cannot be honoured, and what to do without.
_REFUSED = {
    "include": "probabilities of tokens are not told",
    "keywords": "recognition takes no hints",
    "known_speaker_names": "speakers are told apart, not recognised",
    "known_speaker_references": "speakers are told apart, not recognised",
    "languages": "name one in language, or none",
    "prompt": "recognition takes no hints",
}
# How a recording is cut is the server's to set, which goes by voice activity.
_STRATEGIES = {"chunking_strategy": "auto", "chunking_strategy[type]": "server_vad"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """`language` is empty where the form says none."""

    response_format: ResponseFormat
    stream: bool
    language: str
    granularities: tuple[str, ...]

    @classmethod
    def of(cls, fields: Iterable[Field], models: Sequence[str]) -> "Wanted":
        """`models` are the names that the one model here goes by. Raises InvalidRequest, which names the field."""
        form = _Form(fields)
        _check_model(form.only("model"), models)
        _check_refused(form)
        wanted = cls(
            response_format=ResponseFormat(form.one_of("response_format", tuple(ResponseFormat), "json")),
            stream=_FLAGS[form.one_of("stream", tuple(_FLAGS), "false")],
            language=form.only("language"),
            granularities=form.some_of("timestamp_granularities", _GRANULARITIES),
        )
        form.check_known()
        _check_together(wanted)
        return wanted


class _Form:
    """Fields by name, and which of them have been asked for. What is empty counts as not given."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self._values: dict[str, list[str]] = {}
        self._asked: set[str] = set()
        for field in fields:
            values = self._values.setdefault(field.name.removesuffix("[]"), [])
            values += [field.value] if field.value.strip() else []

    def all(self, name: str) -> list[str]:
        self._asked.add(name)
        return self._values.get(name, [])

    def only(self, name: str) -> str:
        """Empty where it is not given. Raises InvalidRequest."""
        values = self.all(name)
        if len(values) > 1:
            raise InvalidRequest(f"{name} is given more than once", field=name)
        return values[0].strip() if values else ""

    def one_of(self, name: str, choices: Sequence[str], default: str) -> str:
        """Raises InvalidRequest."""
        return _checked(name, self.only(name).lower() or default, choices)

    def some_of(self, name: str, choices: Sequence[str]) -> tuple[str, ...]:
        """Raises InvalidRequest."""
        return tuple(_checked(name, value, choices) for value in self.all(name))

    def check_known(self) -> None:
        """Raises InvalidRequest for a field that nobody has asked for."""
        for name in self._values.keys() - self._asked:
            raise InvalidRequest(f"{name} is no field of a transcription; leave it out", field=name)


def _checked(name: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise InvalidRequest(f"{name} must be one of {', '.join(choices)}", field=name)
    return value


def _check_model(model: str, models: Sequence[str]) -> None:
    if not model:
        raise InvalidRequest("the form needs a model", field="model")
    if model not in models:
        raise InvalidRequest(
            f"there is no such model here; its model goes by {', '.join(models)}", field="model"
        )


def _check_refused(form: _Form) -> None:
    for name, reason in _REFUSED.items():
        if form.all(name):
            raise InvalidRequest(f"{name} cannot be honoured, {reason}; leave it out", field=name)
    for name, only in _STRATEGIES.items():
        form.one_of(name, (only,), only)
    if not _is_zero(form.only("temperature") or "0"):
        raise InvalidRequest("temperature can only be 0: the likeliest words are taken", field="temperature")


def _check_together(wanted: Wanted) -> None:
    if wanted.stream and wanted.response_format not in _STREAMED:
        raise InvalidRequest(
            f"stream goes with response_format {', '.join(_STREAMED)} only", field="response_format"
        )
    if wanted.granularities and wanted.response_format is not ResponseFormat.VERBOSE_JSON:
        raise InvalidRequest(
            "timestamp_granularities goes with response_format verbose_json only",
            field="timestamp_granularities",
        )


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False
