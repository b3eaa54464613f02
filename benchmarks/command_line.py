"""How long `segtrail --help` takes, against starting Python alone, in the same run.

python benchmarks/command_line.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15


def seconds(command: list[str]) -> float:
    """Returns the wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Runs both in turn and prints medians and their ratio."""
    ours, alone = [sys.executable, "-m", "cli", "--help"], [sys.executable, "-c", "pass"]
    pairs = [(seconds(ours), seconds(alone)) for _ in range(RUNS + 1)][1:]
    help_s, python_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"segtrail --help {help_s:.3f} s, python -c pass {python_s:.3f} s")
    print(f"ratio {statistics.median(a / b for a, b in pairs):.1f} (median of {RUNS} pairs)")


if __name__ == "__main__":
    main()
