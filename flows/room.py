"""Whether there is room on the disk to begin at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from flows.step_fault import StepFault
from segtrail import faults

# for Prefect's history, logs and DVC's own database, which fail with pages of tracebacks
LEAST_MIB = 8


def require(folder: Path) -> None:
    """Refuses to begin on a disk that is as good as full.

    What a run writes, some more, is known when it has run; a step that finds the disk full says
    so by itself.

    Raises:
        StepFault: Less than `LEAST_MIB` MiB are free where `folder` lies.
    """
    free = shutil.disk_usage(folder).free / 2**20
    if free < LEAST_MIB:
        raise StepFault(
            f"{folder}: {free:.1f} MiB are free on its disk, a run needs {LEAST_MIB} to begin",
            faults.FREE_SOME,
        )
