"""How far a download is: a bar in a terminal, a log line every few seconds otherwise."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from segtrail.progress import say

MIB = 1 << 20
Advance = Callable[[int], None]


@contextlib.contextmanager
def meter(what: str, done: int, total: int | None, every_s: float = 10.0) -> Iterator[Advance]:
    """Yields a function that is told of each piece that came, in bytes.

    Args:
        what: A few words, such as "fetching cells.zip".
        done: Bytes that are there already.
        total: All bytes, if known.
        every_s: Seconds between log lines when the output is not a terminal.
    """
    if not sys.stderr.isatty():
        yield _logger(what, done, total, every_s)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(what, total=total, completed=done)
        yield lambda count: bar.advance(task, count)


def _logger(what: str, done: int, total: int | None, every_s: float) -> Advance:
    last = time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last >= every_s:
            last = time.monotonic()
            of = f" of {total / MIB:.0f}" if total else ""
            say(f"{what}: {done / MIB:.0f}{of} MiB")

    return advance
