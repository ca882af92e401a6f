"""docs/flags.md is what the services' flags say."""

import re
from pathlib import Path

import click
import pytest

from tools.flags import SERVICES, page

PAGE = (Path(__file__).parents[2] / "docs" / "flags.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date():
    assert page() == PAGE, "run: python -m tools.flags > docs/flags.md"


@pytest.mark.parametrize("service", SERVICES)
def test_it_has_every_flag_once(service):
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    texts = [text for text in sections if text.startswith((service, "Every service"))]
    listed = re.findall(r"^\| `(--[\w-]+)`", "\n".join(texts), re.MULTILINE)
    options = [option for option in SERVICES[service].params if isinstance(option, click.Option)]
    assert sorted(listed) == sorted(option.opts[0] for option in options)
