"""Every figure is explained to who runs the service."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from asr_service.metrics import AsrMetrics

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_manual_lists_each_metric_under_the_name_that_is_scraped() -> None:
    registry = CollectorRegistry()
    AsrMetrics(registry)
    scraped = {metric.name + ("_total" if metric.type == "counter" else "") for metric in registry.collect()}
    rows = re.findall(r"^\| `(duoscribe_asr_\w+)` \| (\w+) \|", OPERATIONS.read_text(), re.MULTILINE)
    assert {name for name, _ in rows} == scraped


def test_names_end_in_their_unit_or_say_what_they_count() -> None:
    registry = CollectorRegistry()
    AsrMetrics(registry)
    for metric in registry.collect():
        assert re.search(r"_(seconds|utterances|ratio|factor|recordings|batches)$", metric.name)
        assert metric.documentation.endswith(".")
