import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from serving import logs


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Whatever the test configures is undone."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with structlog.contextvars.bound_contextvars():
        yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def log_lines(own_logging: None) -> Callable[[], list[dict[str, Any]]]:
    """What was logged, in JSON."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def no_telemetry_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Those of whoever runs the tests are left out, and so is pyannote.audio's silencing of OpenTelemetry's loggers."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    names = [name for name in logging.root.manager.loggerDict if name.startswith("opentelemetry")]
    levels = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in levels:
        logger.setLevel(logging.NOTSET)
    yield
    for logger, level in levels.items():
        logger.setLevel(level)
