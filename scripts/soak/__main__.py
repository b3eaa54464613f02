"""Simulates a month of operations, a scheduled run a day, and checks what must hold at its end.

    python -m scripts.soak [--days 30] [--small] [--folder FOLDER] [--out soak.html]

Everything is real: `segtrail up` with its Prefect server, worker, MLflow and model server, cron,
events, deliveries in an inbox, kills. New data arrives, one delivery is bad, one model is worse,
production drifts twice, a person approves, a person rolls back, and three things crash. All the
while a client asks the model server. At the end the ledger must verify, the audit of each version
that served must pass, and no request may have failed; the timeline is one HTML page.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from scripts.soak.checks import check
from scripts.soak.days import Month
from scripts.soak.page import write_page
from scripts.soak.world import World
from segtrail import telemetry


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: it is closing
    raise KeyboardInterrupt


def main() -> int:
    """Runs it; returns 1 if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=30, help="scheduled runs; at least 7")
    parser.add_argument("--folder", type=Path, help="where the workspace is made; kept then")
    parser.add_argument("--out", type=Path, default=Path("soak.html"), help="the timeline")
    parser.add_argument(
        "--small", action="store_true", help="a smaller network than the demo's, and fewer steps"
    )
    options = parser.parse_args()
    if options.days < 7:
        parser.error("--days: expected 7 or more, since each thing happens on a day of its own")
    telemetry.switch_off()
    signal.signal(signal.SIGTERM, _end)  # its servers are to end with it
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{(time.monotonic() - began) / 60:6.1f} min  {words}", flush=True)

    with tempfile.TemporaryDirectory(prefix="segtrail-soak-") as made:
        root = (options.folder or Path(made) / "workspace").resolve()
        world = World(root, say, options.small)
        month = Month(world, options.days)
        try:
            world.build()
            month.live()
            month.client.stop()
            found = check(world, month)
            write_page(options.out, world, month, found)
        finally:
            month.client.stop()
            world.close()
    for name, problem in found.items():
        say(f"{name}: {problem or 'holds'}")
    say(f"timeline: {options.out}")
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main())
