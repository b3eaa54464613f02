"""Breaks what segtrail runs on, case by case, and checks what comes of it.

    python -m scripts.faults [--only NAME ...] [--seed N] [--write docs/reliability.md]

Each case begins with a copy of a workspace of the demo recipe, whose v1 serves and to which new
images came. Something is broken at a random time while a run makes v2 of them: the run must say
what was wrong, or go on by itself; nothing may be half-done; and once the fault is mended the same
command must end with the very model of a run that nothing broke, a ledger that verifies and an
audit that passes. The cases of a full disk mount a small one, which needs root on Linux; else they
are left out, and it says so.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from scripts.faults import page
from scripts.faults.bench import Bench
from scripts.faults.case import Found
from scripts.faults.cases import CASES


def main() -> int:
    """Runs the cases; returns 1 if something does not hold."""
    known = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--seed", type=int, default=1, help="of the times at which things break")
    parser.add_argument(
        "--write", type=Path, help="a page with the table; rows of the cases that run are replaced"
    )
    options = parser.parse_args()
    if options.write:
        page.check(options.write)
    found: list[Found] = []
    with tempfile.TemporaryDirectory(prefix="segtrail-faults-") as folder:
        bench = Bench(Path(folder))
        began = time.monotonic()
        bench.prepare()
        took = sum(bench.seconds.values())
        print(f"workspace made in {time.monotonic() - began:.0f} s; its steps take {took:.0f} s")
        for case in CASES:
            if case.name not in (options.only or known):
                continue
            if case.name.startswith("disk") and os.geteuid() != 0:
                print(f"{case.name}: left out, since mounting a small disk needs root")
                continue
            began = time.monotonic()
            bench.reset()
            try:
                one = case.run(bench, random.Random(f"{options.seed} {case.name}"))
            except Exception as e:
                one = Found("", "", [f"{type(e).__name__}: {e}"])
            finally:
                bench.kill([process for process, _ in bench.processes()])
            found.append(one)
            if options.write:
                page.write_row(options.write, case, one)
            print(f"{case.name} ({time.monotonic() - began:.0f} s): {one.says}", flush=True)
            for problem in one.problems:
                print(f"  WRONG: {problem}", flush=True)
    wrong = sum(bool(one.problems) for one in found)
    print(f"{len(found) - wrong} of {len(found)} cases end as they must")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
