"""`data/<dataset>/deliveries.csv`: who brought what to a dataset, one row a delivery."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, fields
from pathlib import Path

from segtrail import csv_records
from segtrail.errors import DataError

DELIVERIES = "deliveries.csv"


@dataclass(frozen=True)
class Row:
    """One delivery.

    Attributes:
        delivery: 1, 2, 3 …
        source: The file or folder name, without where it lay.
        source_sha256: Of the archive, or the root digest of the folder's files; empty for a
            removal or an erasure, which has no source.
        by: Who delivered it.
        licence: Under which the images may be used.
        added: New images.
        replaced: Images that were there, with other content now.
        removed: Images taken away.
    """

    delivery: int
    source: str
    source_sha256: str
    by: str
    licence: str
    added: int
    replaced: int
    removed: int = 0


_COLUMNS = [f.name for f in fields(Row)]


def read(path: Path) -> list[Row]:
    """Reads the deliveries, oldest first; none if there is no such file.

    Raises:
        DataError: Not a list of deliveries.
    """
    return parse(path.read_bytes(), str(path)) if path.exists() else []


def parse(content: bytes, name: str) -> list[Row]:
    """Reads the content of a list of deliveries; `name` is what messages call it.

    Raises:
        DataError: Not a list of deliveries.
    """
    try:
        return [
            Row(
                delivery=int(row["delivery"]),
                source=row["source"],
                source_sha256=row["source_sha256"],
                by=row["by"],
                licence=row["licence"],
                added=int(row["added"]),
                replaced=int(row["replaced"]),
                removed=int(row["removed"]),
            )
            for row in csv.DictReader(io.StringIO(content.decode()))
        ]
    except (KeyError, TypeError, ValueError, csv.Error) as e:
        raise DataError(
            f"{name}: expected the columns {', '.join(_COLUMNS)}: {e!r}",
            csv_records.RESTORE,
        ) from None


def to_csv(rows: list[Row]) -> str:
    """Returns the deliveries as CSV."""
    return csv_records.to_csv(rows, _COLUMNS)
