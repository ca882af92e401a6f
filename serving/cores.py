"""How many cores this process may use: fewer than the machine has where a container limits them."""

import math
import os
from pathlib import Path

# A container sees its own control group here; systemd's limits on a service outside of one are not looked for.
_CONTROL_GROUP = Path("/sys/fs/cgroup")


def cores(control_group: Path = _CONTROL_GROUP) -> int:
    """At least 1: the CPUs that the process may run on, or its share of CPU time, rounded up, where that is less."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = cpu_share(control_group)
    return usable if share is None else max(1, min(usable, math.ceil(share)))


def cpu_share(control_group: Path) -> float | None:
    """CPUs' worth of time that a control group grants; None where it says nothing or sets no limit.

    The files are those of Linux: cpu.max holds "QUOTA PERIOD" or "max PERIOD" (Documentation/admin-guide/cgroup-v2.rst);
    version 1 has a file for each, and -1 for no limit (Documentation/scheduler/sched-bwc.rst).
    """
    try:
        if (unified := control_group / "cpu.max").exists():
            quota, period = unified.read_text(encoding="ascii").split()
        else:
            quota, period = (
                (control_group / "cpu" / name).read_text(encoding="ascii")
                for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            )
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number either
        return None
