"""What a service tells Prometheus, for those who measure it."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

ANY_PORT = "127.0.0.1:0"
"""For flags: the service announces the port that it found."""


def scraped(address: str) -> list[Sample]:
    """All series as they stand now, from the metrics at HOST:PORT."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return [sample for family in families for sample in family.samples]
