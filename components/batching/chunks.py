"""The images in chunks: what a worker takes at once, and what a killed run loses at most.

The list is a file, of which the pipeline holds but numbers: a runner would send a million paths
to each of its workers.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from segtrail.files import atomic_path

CHUNK, CHUNK_BYTES = 32, 32 << 20  # images, or bytes of their files if these come first
T = TypeVar("T")


class Digests(NamedTuple):
    """Hex SHA-256 of an image that was segmented, and of the files that this gave."""

    image: str
    mask: str
    labels: str | None


class Image(NamedTuple):
    """An image to segment: its name, its file, and its digests, if it was done before."""

    name: str
    path: str
    done: Digests | None


class Place(NamedTuple):
    """Where a chunk is in the list: its number, the byte at which its line begins, its images."""

    number: int
    offset: int
    images: int


def write(paths: Mapping[str, str], done: Mapping[str, Digests], to: Path) -> list[Place]:
    """Writes the list and returns where its chunks are."""
    places = []
    with atomic_path(to) as aside, aside.open("wb") as file:
        for number, names in enumerate(_chunks(paths)):
            places.append(Place(number, file.tell(), len(names)))
            chunk = [Image(name, paths[name], done.get(name)) for name in names]
            file.write(json.dumps(chunk).encode() + b"\n")
    return places


def read(path: Path, place: Place) -> list[Image]:
    """Returns the images of a chunk."""
    with path.open("rb") as file:
        file.seek(place.offset)
        rows = json.loads(file.readline())
    return [Image(name, at, Digests(*done) if done else None) for name, at, done in rows]


def _chunks(paths: Mapping[str, str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for name, path in paths.items():
        chunk.append(name)
        with contextlib.suppress(OSError, ValueError):  # the worker will say so
            size += os.stat(path).st_size
        if len(chunk) == CHUNK or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yields items in lists of at most `size`."""
    waiting = iter(items)
    while group := list(islice(waiting, size)):
        yield group
