"""Looks for images of one specimen in different splits, as a dataset lies in `data/`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.ingestion.fingerprints import Fingerprint, fingerprint
from components.ingestion.neighbours import KINDS, SAME_CONTENT, SAME_GROUP, find_links
from segtrail import split_ledger
from segtrail.ahead import in_threads
from segtrail.files import write_text
from segtrail.images import decode_image
from segtrail.params import load_dataset
from segtrail.progress import track
from segtrail.split_ledger import Row
from segtrail.workspace import Workspace

_WORKERS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Leak:
    """Two images of one specimen in different splits.

    Attributes:
        first: One image.
        second: The other.
        kind: `same group`, or a kind of `components.ingestion.neighbours`.
        score: How sure, 0 to 1: see `neighbours.Link`.
        first_split: Where the first is.
        second_split: Where the second is.
    """

    first: str
    second: str
    kind: str
    score: float
    first_split: str
    second_split: str


@dataclass(frozen=True)
class Leaks:
    """What was found in a dataset.

    Attributes:
        dataset: Its name.
        images: How many it has.
        groups: How many groups the split ledger makes of them.
        leaks: Pairs in different splits, the surest first.
        within: Pairs that look as if of one specimen and are in one split, by kind.
    """

    dataset: str
    images: int
    groups: int
    leaks: tuple[Leak, ...]
    within: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return asdict(self)


def find_leaks(workspace: Workspace, dataset: str) -> Leaks:
    """Compares all images of a dataset with each other; trusts no stored fingerprint.

    Args:
        workspace: Where `data/` is.
        dataset: A name under `datasets:` in `params.yaml`.

    Raises:
        ConfigError: No such dataset.
        MissingArtifactError: It was never ingested.
        DataError: A file is not there, or not what the split ledger says.
    """
    load_dataset(workspace, dataset)
    folder = workspace.dataset(dataset)
    rows = {row.image: row for row in split_ledger.read_present(folder, dataset)}
    found = dict(track(_fingerprints(folder, list(rows.values())), "looking at the images",
                       total=len(rows)))  # fmt: skip

    def pixels(image: str) -> npt.NDArray[np.integer]:
        return read_pixels(folder, rows[image])

    links = [(k.first, k.second, k.kind, k.score) for k in find_links({}, found, pixels)]
    linked = {frozenset(link[:2]) for link in links}
    links += [p for p in _said(rows.values()) if frozenset(p[:2]) not in linked]
    leaks, within = [], Counter[str]()
    for first, second, kind, score in links:
        one, other = rows[first].split, rows[second].split
        if one == other:
            within[kind] += 1
        else:
            leaks.append(Leak(first, second, kind, score, one, other))
    leaks.sort(key=lambda k: (KINDS.index(k.kind), -k.score, k.first, k.second))
    groups = len({row.group for row in rows.values()})
    return Leaks(dataset, len(rows), groups, tuple(leaks), dict(sorted(within.items())))


def write_page(workspace: Workspace, found: Leaks, path: Path) -> None:
    """Writes what was found as an HTML page with thumbnails.

    Raises:
        DataError: The split ledger is not readable any more.
    """
    from components.leaking.page import html

    folder = workspace.dataset(found.dataset)
    rows = {row.image: row for row in split_ledger.read_present(folder, found.dataset)}
    write_text(path, html(found, lambda image: read_pixels(folder, rows[image])))


def read_pixels(folder: Path, row: Row) -> npt.NDArray[np.integer]:
    """Returns the pixels of an image of the ledger.

    Raises:
        DataError: It is not there, not what the ledger says, or not readable.
    """
    path = folder / "images" / f"{row.image}.png"
    return decode_image(split_ledger.read_recorded(path, row.sha256), str(path))


def _fingerprints(folder: Path, rows: Sequence[Row]) -> Iterator[tuple[str, Fingerprint]]:
    """Yields fingerprints, made in threads; only a few images are in memory at any time."""

    def work(row: Row) -> tuple[str, Fingerprint]:
        return row.image, fingerprint(read_pixels(folder, row))

    yield from in_threads(work, rows, _WORKERS)


def _said(rows: Iterable[Row]) -> list[tuple[str, str, str, float]]:
    """Returns pairs that the ledger itself says are of one specimen, but puts apart.

    Of each group, or content, one pair for each two splits that it is in.
    """
    rows, out = list(rows), []
    for kind, key in ((SAME_CONTENT, "sha256"), (SAME_GROUP, "group")):
        first: dict[str, dict[str, str]] = {}
        for row in rows:
            if value := getattr(row, key):
                first.setdefault(value, {}).setdefault(row.split, row.image)
        for images in first.values():
            apart = sorted(images.values())
            out += [(one, two, kind, 1.0) for n, one in enumerate(apart) for two in apart[n + 1 :]]
    seen: dict[frozenset[str], tuple[str, str, str, float]] = {}
    for pair in out:
        seen.setdefault(frozenset(pair[:2]), pair)
    return list(seen.values())
