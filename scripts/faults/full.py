"""A disk that is full."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from scripts.faults import state
from scripts.faults.bench import Bench
from scripts.faults.case import Case, Found, again, ends_as_fault, words
from scripts.made_workspace import DATASET


def _disk_full(bench: Bench, rng: random.Random, share: float) -> Found:
    room = bench.grows * share * rng.uniform(0.8, 1.2)
    with _small_disk(bench, int(room)) as grow:
        done = bench.retrain().ends()
        problems = ends_as_fault(done)
        if "gc --dry-run" not in done.error or "Traceback" in done.text:
            problems.append(f"it does not say that the disk is full: {done.text[-600:]}")
        problems += state.nothing_half_done(bench)
        grow()
        return again(bench, done, problems)


def _disk_full_at_ingest(bench: Bench, rng: random.Random) -> Found:
    images = bench.delivery(60, seed=3)
    outside = bench.root.with_name("delivery-3")
    shutil.rmtree(outside, ignore_errors=True)
    shutil.move(images, outside)
    with _small_disk(bench, int(rng.uniform(0.2, 0.8) * _bytes(outside))) as grow:
        before = bench.git("rev-parse", "HEAD")
        done = bench.start("ingest", str(outside), "--dataset", DATASET).ends()
        problems = ends_as_fault(done)
        if bench.git("rev-parse", "HEAD") != before or bench.git("status", "--porcelain"):
            problems.append("a refused delivery is half there")
        grow()
        then = bench.segtrail("ingest", str(outside), "--dataset", DATASET, check=False)
        if then.returncode:
            problems.append(then.stdout + then.stderr)
        count = len([*(bench.root / "data" / DATASET / "images").iterdir()])
        if count != 100:
            problems.append(f"{count} images, expected 100")
    shutil.rmtree(outside)
    return Found(words(done), "with room, the same command", problems)


@contextmanager
def _small_disk(bench: Bench, room: int) -> Iterator[Callable[[], None]]:
    """Puts the workspace on a disk with `room` bytes left; yields what makes it large."""
    size = bench.size() + room
    shutil.rmtree(bench.root)
    bench.root.mkdir()
    _mount(bench, f"size={size}", "-t", "tmpfs", "tmpfs")
    try:
        bench.reset()
        yield lambda: _mount(bench, f"remount,size={size + (1 << 30)}")
    finally:
        subprocess.run(["umount", "--lazy", str(bench.root)], check=True)


def _mount(bench: Bench, options: str, *what: str) -> None:
    subprocess.run(["mount", "-o", options, *what, str(bench.root)], check=True)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


CASES = [
    *(
        Case(f"disk-{percent}", f"the disk is full after {percent} % of what a run writes",
             partial(_disk_full, share=percent / 100))
        for percent in (5, 30, 60, 90)
    ),
    Case("disk-ingest", "the disk is full when a delivery is taken in", _disk_full_at_ingest),
]  # fmt: skip
