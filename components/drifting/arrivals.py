"""New images: what was found of them, and how to look at one again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from components.ingestion.problems import Problems

Pixels = npt.NDArray[np.integer]
T = TypeVar("T")
R = TypeVar("R")

_THREADS = 4  # decoding and OpenCV let go of Python's lock
_AT_ONCE = 64


@dataclass(frozen=True)
class Arrivals:
    """New images.

    Attributes:
        says: Where they are from, in words.
        rows: `image`, `slice`, `group` and the statistics of each that could be read.
        masks: Whether the statistics of masks are among them.
        problems: Which could not be read, and why.
        pixels: Reads an image again, by its name in `rows`.
        about: More about where they are from, as plain JSON values.
    """

    says: str
    rows: list[dict[str, Any]]
    masks: bool
    problems: Problems
    pixels: Callable[[str], Pixels]
    about: Mapping[str, Any] = field(default_factory=dict)


def in_threads(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yields `work(item)` of each item, in order, a few at a time: memory stays bounded."""
    waiting = iter(items)
    with ThreadPoolExecutor(_THREADS) as pool:
        while batch := list(islice(waiting, _AT_ONCE)):
            yield from pool.map(work, batch)
