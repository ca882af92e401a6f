"""A container's share of CPU time counts, not only the CPUs that it may run on."""

import os
from pathlib import Path

import pytest

from serving.cores import cores, cpu_share

USABLE = len(os.sched_getaffinity(0))


def control_group(folder: Path, **files: str) -> Path:
    """`max` is what cpu.max of version 2 holds, `quota` and `period` what version 1 has in cpu/."""
    (folder / "cpu").mkdir()
    for name, text in files.items():
        if name == "max":
            (folder / "cpu.max").write_text(text)
        else:
            (folder / "cpu" / f"cpu.cfs_{name}_us").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"max": "150000 100000\n"}, 1.5),
        ({"max": "5000 100000\n"}, 0.05),
        ({"max": "max 100000\n"}, None),
        ({"quota": "250000\n", "period": "50000\n"}, 5.0),
        ({"quota": "-1\n", "period": "100000\n"}, None),
        ({"max": "max 100000\n", "quota": "1000\n", "period": "1000\n"}, None),
        ({"quota": "100000\n"}, None),
        ({"quota": "100000\n", "period": "0\n"}, None),
        ({"max": "\n"}, None),
        ({}, None),
    ],
)
def test_the_share_is_what_the_control_group_says(
    tmp_path: Path, files: dict[str, str], share: float | None
) -> None:
    assert cpu_share(control_group(tmp_path, **files)) == share


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("1000 100000", 1),
        ("100000 100000", 1),
        ("100001 100000", min(2, USABLE)),
        (f"{USABLE * 100_000 + 1} 100000", USABLE),
        ("max 100000", USABLE),
    ],
)
def test_a_part_of_a_core_counts_whole(tmp_path: Path, quota: str, expected: int) -> None:
    assert cores(control_group(tmp_path, max=quota)) == expected


def test_without_a_control_group_all_usable_cores_count(tmp_path: Path) -> None:
    assert cores(tmp_path / "none") == USABLE
