"""The split ledger `data/<dataset>/splits.csv`: each image's content, group, cluster and split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from segtrail import csv_records
from segtrail.artifacts import SPLITS
from segtrail.csv_records import RESTORE
from segtrail.errors import DataError, MissingArtifactError
from segtrail.files import sha256_bytes

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
    records = csv_records.parse(content, name, COLUMNS)
    rows = [Row(**{key: row[key] or "" for key in COLUMNS}) for row in records]
    for row in rows:
        if row.split not in SPLITS:
            raise DataError(f"{name}: {row.image}: the split {row.split!r} is unknown", RESTORE)
    ledger = {row.image: row for row in rows}
    if len(ledger) < len(rows):
        raise DataError(f"{name}: an image is in it twice", RESTORE)
    return ledger


def to_csv(ledger: Ledger) -> str:
    """Returns the ledger as CSV, by image."""
    return csv_records.to_csv((ledger[image] for image in sorted(ledger)), COLUMNS)


def present(rows: Iterable[Row]) -> list[Row]:
    """Returns the rows of images that are there, by image."""
    return sorted((row for row in rows if not row.removed), key=lambda row: row.image)


def locate(folder: Path, dataset: str) -> Path:
    """Returns the ledger's path in `data/<dataset>`.

    Raises:
        MissingArtifactError: The dataset was never ingested.
    """
    path = folder / LEDGER
    if not path.is_file():
        raise MissingArtifactError(
            f"{path}: not there; dataset {dataset!r} was never ingested here",
            f"segtrail ingest SOURCE --dataset {dataset}   (or: dvc pull)",
        )
    return path


def read_present(folder: Path, dataset: str) -> list[Row]:
    """Returns the rows of the images that are in `data/<dataset>`, by image.

    Raises:
        MissingArtifactError: The dataset was never ingested.
        DataError: Not a split ledger.
    """
    return present(read(locate(folder, dataset)).values())


def read_recorded(path: Path, digest: str) -> bytes:
    """Returns the bytes of an image or a mask.

    Raises:
        DataError: It is not there, or its SHA-256 is not the ledger's `digest`.
    """
    hint = (
        "remove it if it is there, and: dvc checkout data.dvc; where that brings the same back, "
        "DVC's cache is damaged: segtrail audit names the file there; remove that too, and: "
        "dvc pull data.dvc"
    )
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: named in {LEDGER}, but not there", hint) from None
    if (found := sha256_bytes(data)) != digest:
        raise DataError(f"{path}: its SHA-256 is {found[:12]}…, {LEDGER} says {digest[:12]}…", hint)
    return data
