"""What one listing of `data/` says of each dataset, and how two split ledgers differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from lineage import dvc_files
from lineage.data_snapshot import IMAGES, ids, split_by_dataset
from segtrail import split_ledger
from segtrail.errors import LineageError
from segtrail.split_ledger import LEDGER, Row

_QUOTE, _LINE = b'"', b"\n"


@dataclass(frozen=True)
class Contents:
    """A dataset in one listing.

    Attributes:
        dvc_md5: What DVC calls it, as `segtrail data log` shows it.
        images: `{image: md5 of its file}`.
        tables: `{name: md5}` of the files beside the images and masks.
        splits: The bytes of its split ledger; none if it has none, or if they are gone.
        problem: Why they are gone.
    """

    dvc_md5: str
    images: Mapping[str, str]
    tables: Mapping[str, str]
    splits: bytes = b""
    problem: str = ""


def read(cache: Path, listing: str) -> dict[str, Contents]:
    """Returns what a listing says, by dataset.

    Raises:
        LineageError: The listing is not in the cache, or damaged.
    """
    if listing == dvc_files.listing_md5({}):  # a fresh clone has none of an empty `data/`
        return {}
    files = split_by_dataset(dvc_files.read_listing(cache, listing))
    return {name: _contents(cache, each) for name, each in files.items()}


def differing(old: bytes, new: bytes) -> tuple[Collection[Row], Collection[Row]]:
    """Returns the rows that only the first, and only the second, of two split ledgers has.

    Lines that both have are not taken apart: they are many, and the same.

    Raises:
        DataError: The second is not a split ledger as it is written today.
    """
    (old_head, *old_lines), (new_head, *new_lines) = old.split(_LINE), new.split(_LINE)
    both: set[bytes] = set()
    if old_head == new_head and _QUOTE not in old and _QUOTE not in new:  # a line is a row
        both = set(old_lines) & set(new_lines) - {b""}
    return _rows(old_head, old_lines, both), _rows(new_head, new_lines, both)


def _rows(head: bytes, lines: list[bytes], without: set[bytes]) -> Collection[Row]:
    if not head:
        return ()
    kept = [line for line in lines if line not in without] if without else lines
    return split_ledger.parse(_LINE.join([head, *kept]), LEDGER).values()


def _contents(cache: Path, files: Mapping[str, str]) -> Contents:
    tables = {name: md5 for name, md5 in files.items() if "/" not in name}
    splits, problem = b"", ""
    if LEDGER in tables:
        try:
            splits = dvc_files.read_object(cache, tables[LEDGER])
        except LineageError as e:
            problem = e.message
    md5 = dvc_files.listing_md5(files)
    return Contents(md5, ids(files, IMAGES), tables, splits, problem)
