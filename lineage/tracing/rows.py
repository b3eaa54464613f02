"""The rows of the index of `segtrail trace`."""

from __future__ import annotations

from dataclasses import dataclass

from lineage.data_history import Commit
from segtrail.split_ledger import Row


@dataclass(frozen=True)
class Part:
    """A dataset in one listing.

    Attributes:
        seq: Which listing, by when the index took it in.
        listing: The md5 of all of `data/`.
        dataset: Its name.
        dvc_md5: The dataset's own, as `segtrail data log` shows it.
        images: How many there are.
        splits: The md5 of its split ledger; empty if it has none.
        deliveries: Likewise.
        tombstones: Likewise.
        problem: Why the split ledger could not be read; empty if it could.
    """

    seq: int
    listing: str
    dataset: str
    dvc_md5: str
    images: int
    splits: str
    deliveries: str
    tombstones: str
    problem: str


@dataclass(frozen=True)
class Held:
    """An image's content, by md5, in the listings `since` to before `until`."""

    dataset: str
    image: str
    md5: str
    since: int
    until: int


@dataclass(frozen=True)
class Listed:
    """An image's row in the split ledger, in the listings `since` to before `until`."""

    dataset: str
    row: Row
    since: int
    until: int


@dataclass(frozen=True)
class Step:
    """A commit at which a dataset became another."""

    commit: Commit
    part: Part
