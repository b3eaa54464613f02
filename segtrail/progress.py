"""Progress of long work: a bar in a terminal, a log line every few seconds otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")


def say(text: str) -> None:
    """Prints one line at once, so that logs of long stages can be followed."""
    print(text, flush=True)


def track(
    items: Iterable[T], what: str, total: int | None = None, every_s: float = 10.0
) -> Iterator[T]:
    """Yields `items` and shows how far it is.

    Args:
        items: What to go through.
        what: A few words, such as "reading images".
        total: How many items; taken from `len(items)` when it has one.
        every_s: Seconds between log lines when the output is not a terminal.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as rich_track

        yield from rich_track(
            items, what, total=total, console=Console(stderr=True), transient=True
        )
        return
    last, started = time.monotonic(), time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - last >= every_s:
            last = time.monotonic()
            of = f" of {total}" if total else ""
            say(f"{what}: {done}{of}, {last - started:.0f} s")
