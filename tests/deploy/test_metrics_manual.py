"""The operator's page explains every metric of every service, and none that nobody tells."""

import re
from pathlib import Path

import pytest

from support.told import Family, told

OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
TOLD = told()
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| (.+) \|$", re.MULTILINE)
SECTIONS = {
    "gateway": ("of every service", "of the gateway"),
    "asr": ("of every service", "of recognition", "of GPUs"),
    "diarization": ("of every service", "of diarization", "of GPUs"),
}


def explained(section: str) -> dict[str, Family]:
    _, found, text = OPERATIONS.partition(f"\n### Metrics {section}\n")
    assert found
    rows = ROW.findall(text.partition("\n##")[0])
    return {name: Family(kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows}


@pytest.mark.parametrize("service", SECTIONS)
def test_the_page_has_the_services_metrics_with_their_kinds_and_labels(service):
    page = {name: family for section in SECTIONS[service] for name, family in explained(section).items()}
    assert page == TOLD[service]


@pytest.mark.parametrize("service", SECTIONS)
def test_names_end_in_their_unit_or_say_what_they_count(service):
    for name in TOLD[service]:
        if name.startswith("duoscribe_"):
            assert re.search(
                r"_(seconds|bytes|utterances|items|ratio|factor|recordings|streams|batches|calls|requests|replays|workers|decoders)(_total)?$",
                name,
            ), name
