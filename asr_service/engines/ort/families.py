"""The families that this engine runs, and how."""

from pathlib import Path

from asr_service.engines.checks import check
from asr_service.engines.layout import ModelLayout, detect
from asr_service.engines.ort.frame_families import frame_plan
from asr_service.engines.ort.network import Network
from asr_service.engines.ort.plan import Plan
from asr_service.engines.ort.whisper.plan import WhisperPlan


def network(directory: Path) -> Network:
    """Of the fp32 files in a folder; loads nothing. Raises ModelUnavailable."""
    layout = detect(directory, "fp32")
    check(layout)
    return plan(layout).network()


def plan(layout: ModelLayout) -> Plan:
    """For files that passed their checks. Raises ModelUnavailable for a family that this engine does not run."""
    return WhisperPlan(layout) if layout.family == "whisper" else frame_plan(layout)
