"""Work that threads do a few items ahead of whoever takes the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(pool: Executor, work: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """Yields `work(item)` of each item, in the order of the items.

    Args:
        pool: Does the work.
        work: Called with each item.
        items: Taken as they are needed.
        ahead: How many results may wait to be taken; what is not begun when nobody takes them
            any more is not done.
    """
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def in_threads(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Like `in_order`, by so many threads of its own that are two items each ahead."""
    with ThreadPoolExecutor(threads) as pool:
        yield from in_order(pool, work, items, 2 * threads)
