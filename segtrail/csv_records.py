"""The CSV tables that lie beside a dataset's images: exact columns, one row a record."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from segtrail.errors import DataError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RESTORE = "restore it: dvc checkout data.dvc"


def parse(content: bytes, name: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the rows of a table by column; a cell that a short row lacks is None.

    Args:
        content: The file.
        name: What messages call it.
        columns: Those that it must have, in order.

    Raises:
        DataError: Other columns, or not CSV.
    """
    try:
        reader = csv.DictReader(io.StringIO(content.decode()))
        found = tuple(reader.fieldnames or ())
        if found != tuple(columns):
            raise DataError(
                f"{name}: expected the columns {', '.join(columns)}; found {', '.join(found)}",
                RESTORE,
            )
        return list(reader)
    except (UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"{name}: not readable as CSV: {e}", RESTORE) from None


def to_csv(rows: Iterable[DataclassInstance], columns: Sequence[str]) -> str:
    """Returns rows as CSV, in the order they come."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return out.getvalue()
