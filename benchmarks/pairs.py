"""Two ways of doing the same, each in processes of its own, in interleaved pairs."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Taken = dict[str, float]


class Clock:
    """Starts when it is made; what this process and its children use from then on counts."""

    def __init__(self) -> None:
        self._cpu, self._started = _cpu(), time.perf_counter()

    def tell(self) -> None:
        """Prints what was taken since, for `apart`."""
        seconds, cpu = time.perf_counter() - self._started, _cpu() - self._cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mib": peak}))


def apart(script: str, *arguments: object) -> Taken:
    """Runs a script in a process of its own; returns what its `Clock` told.

    Raises:
        SystemExit: It failed.
    """
    environment = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        capture_output=True, text=True, check=False, env=os.environ | environment,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found: Taken = json.loads(done.stdout.splitlines()[-1])
    return found


def print_ratios(
    name: str,
    pairs: Sequence[tuple[Taken, Taken]],
    images: int,
    ratio: Callable[[float, float], float],
) -> None:
    """Prints medians and peaks.

    Args:
        name: Of what is measured against a plain loop.
        pairs: What both took.
        images: How many both had.
        ratio: Of what is measured and of the loop, in seconds.
    """
    for key, unit in (("seconds", "s"), ("cpu", "CPU s")):
        mine, loop = (
            statistics.median(run[key] for run in runs) for runs in zip(*pairs, strict=True)
        )
        middle = statistics.median(ratio(a[key], b[key]) for a, b in pairs)
        print(
            f"  {name} {mine:6.1f} {unit} ({images / mine:.1f} images a {unit}), "
            f"plain loop {loop:6.1f} {unit} ({images / loop:.1f})   ratio {middle:.2f}"
        )
    peaks = (max(run["peak_mib"] for run in runs) for runs in zip(*pairs, strict=True))
    print("  peak memory {:.0f} MiB, of the loop {:.0f} MiB".format(*peaks))


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)
