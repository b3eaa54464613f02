"""The split ledger `data/<dataset>/splits.csv`: each image's content, group, cluster and split."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from segtrail.artifacts import SPLITS
from segtrail.errors import DataError

LEDGER = "splits.csv"


@dataclass(frozen=True)
class Row:
    """One image that is, or was, in a dataset.

    Attributes:
        image: Its id: `images/<id>.png` and `masks/<id>.png`.
        sha256: Of the image file.
        mask_sha256: Of the mask file.
        delivered_sha256: Of the image file as it was delivered; the same as `sha256` unless it
            came as something else than PNG. Pages of one TIFF share it.
        delivery: Number of the delivery that brought this content.
        slice: The kind of image: what the publisher says, or else the modality by raster
            statistics. `datasets.<name>.slices` in `params.yaml` says what people call it.
        group: Images of one group are never in different splits.
        cluster: The stratum, by raster statistics: each split gets its share of it.
        split: `train`, `validation` or `test`; empty until it is dealt, then for good.
        removed: Number of the delivery that took the image away; empty while it is there. The
            row stays, so that the image gets its old split if it comes back.
    """

    image: str
    sha256: str
    mask_sha256: str
    delivered_sha256: str = ""
    delivery: str = ""
    slice: str = ""
    group: str = ""
    cluster: str = ""
    split: str = ""
    removed: str = ""


Ledger = dict[str, Row]
COLUMNS = tuple(f.name for f in fields(Row))


def read(path: Path) -> Ledger:
    """Reads a ledger, removed images included; one that is not there is empty.

    Raises:
        DataError: Not a split ledger.
    """
    if not path.exists():
        return {}
    return parse(path.read_bytes(), str(path))


def parse(content: bytes, name: str) -> Ledger:
    """Reads a ledger's content, by image; `name` is what messages call it.

    Raises:
        DataError: Not a split ledger.
    """
    hint = "restore it: dvc checkout data.dvc"
    try:
        reader = csv.DictReader(io.StringIO(content.decode()))
        found = tuple(reader.fieldnames or ())
        if found != COLUMNS:
            raise DataError(
                f"{name}: expected the columns {', '.join(COLUMNS)}; found {', '.join(found)}",
                hint,
            )
        rows = [Row(**{key: row[key] or "" for key in COLUMNS}) for row in reader]
    except (UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"{name}: not readable as CSV: {e}", hint) from None
    for row in rows:
        if row.split not in SPLITS:
            raise DataError(f"{name}: {row.image}: the split {row.split!r} is unknown", hint)
    ledger = {row.image: row for row in rows}
    if len(ledger) < len(rows):
        raise DataError(f"{name}: an image is in it twice", hint)
    return ledger


def to_csv(ledger: Ledger) -> str:
    """Returns the ledger as CSV, by image."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(ledger[image]) for image in sorted(ledger))
    return out.getvalue()


def present(rows: Iterable[Row]) -> list[Row]:
    """Returns the rows of images that are there, by image."""
    return sorted((row for row in rows if not row.removed), key=lambda row: row.image)
