"""`data/<dataset>/tombstones.csv`: what was erased, so that its absence can be told from loss.

An image whose consent was withdrawn leaves one row for each content that it, or its mask, ever
had. The bytes are gone; their digests, the reason and who did it stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from segtrail import csv_records
from segtrail.errors import DataError

TOMBSTONES = "tombstones.csv"


@dataclass(frozen=True)
class Row:
    """One erased content of one image.

    Attributes:
        image: Its id.
        sha256: Of the image file; empty if its bytes were nowhere to be read any more.
        mask_sha256: Of the mask file, likewise.
        md5: Of the image file: what DVC called it.
        mask_md5: Of the mask file.
        delivery: Number of the erasure among the dataset's deliveries. Its commit has the time.
        reason: Why; one line.
        by: Who erased it.
    """

    image: str
    sha256: str
    mask_sha256: str
    md5: str
    mask_md5: str
    delivery: int
    reason: str
    by: str


COLUMNS = tuple(f.name for f in fields(Row))


def read(path: Path) -> list[Row]:
    """Reads tombstones, oldest first; none if there is no such file.

    Raises:
        DataError: Not a list of tombstones.
    """
    return parse(path.read_bytes(), str(path)) if path.exists() else []


def parse(content: bytes, name: str) -> list[Row]:
    """Reads the content of a list of tombstones; `name` is what messages call it.

    Raises:
        DataError: Not a list of tombstones.
    """
    try:
        return [
            Row(
                image=row["image"],
                sha256=row["sha256"],
                mask_sha256=row["mask_sha256"],
                md5=row["md5"],
                mask_md5=row["mask_md5"],
                delivery=int(row["delivery"]),
                reason=row["reason"],
                by=row["by"],
            )
            for row in csv_records.parse(content, name, COLUMNS)
        ]
    except (TypeError, ValueError) as e:
        raise DataError(f"{name}: not readable as CSV: {e}", csv_records.RESTORE) from None


def to_csv(rows: Iterable[Row]) -> str:
    """Returns the tombstones as CSV."""
    return csv_records.to_csv(rows, COLUMNS)


@dataclass(frozen=True)
class Erased:
    """One erased file, found by its md5.

    Attributes:
        sha256: Of its content; empty if that was never known.
        row: Its tombstone.
    """

    sha256: str
    row: Row


def by_md5(rows: Iterable[Row]) -> Mapping[str, Erased]:
    """Returns what was erased, images and masks, by DVC's name of the content."""
    found: dict[str, Erased] = {}
    for row in rows:
        for md5, sha256 in ((row.md5, row.sha256), (row.mask_md5, row.mask_sha256)):
            if md5:
                found.setdefault(md5, Erased(sha256, row))
    return found
