"""What callers call a language, and what the model does."""

from asr_service.engines.base import EngineInfo
from serving.errors import InvalidConfig


def known_language(tag: str, info: EngineInfo, *, field: str) -> str | None:
    """The model's name for a BCP-47 tag: itself, or its primary subtag ("en" for "en-GB"); None lets the model decide.

    A model that does not say what it knows is believed to know it. Raises InvalidConfig, which names `field`.
    """
    if not tag or not info.languages:
        return None
    known = {language.lower(): language for language in info.languages}
    wanted = tag.lower().replace("_", "-")
    for candidate in (wanted, wanted.partition("-")[0]):
        if candidate in known:
            return known[candidate]
    shown = ", ".join(info.languages[:12]) + (", …" if len(info.languages) > 12 else "")
    raise InvalidConfig(
        f"the model does not know the language {tag[:32]!r}, only {shown}; leave the field empty to let it decide",
        field=field,
    )
