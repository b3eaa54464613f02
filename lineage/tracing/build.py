"""Builds the tables of `lineage.tracing.index`: how each data version differs from the last."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lineage.tracing import contents
from lineage.tracing.contents import Contents
from segtrail.deliveries import DELIVERIES
from segtrail.errors import DataError, LineageError
from segtrail.progress import track
from segtrail.split_ledger import COLUMNS, LEDGER, Row
from segtrail.tombstones import TOMBSTONES

OPEN = 1 << 62  # the end of an interval that goes on
ROW = ", ".join(f'"{name}"' for name in COLUMNS)
TABLES = f"""
CREATE TABLE listing (seq INTEGER PRIMARY KEY, md5 TEXT UNIQUE);
CREATE TABLE part (seq INTEGER, listing TEXT, dataset TEXT, dvc_md5 TEXT, images INTEGER,
    splits TEXT, deliveries TEXT, tombstones TEXT, problem TEXT);
CREATE TABLE held (dataset TEXT, image TEXT, md5 TEXT, since INTEGER, until INTEGER);
CREATE TABLE listed (dataset TEXT, {ROW}, since INTEGER, until INTEGER);
CREATE INDEX held_image ON held (image, dataset);
CREATE INDEX held_md5 ON held (md5);
CREATE INDEX listed_image ON listed (image, dataset);
CREATE INDEX listed_sha256 ON listed (sha256);
CREATE INDEX listed_delivered ON listed (delivered_sha256);
"""


def take_in(db: sqlite3.Connection, cache: Path, todo: Sequence[str]) -> None:
    """Adds listings of `data/` that the cache has; one that is damaged is passed over.

    Args:
        db: In a transaction.
        cache: DVC's.
        todo: Their md5, oldest first.
    """
    last = db.execute("SELECT seq, md5 FROM listing ORDER BY seq DESC LIMIT 1").fetchone()
    seq, before = (last[0], _read(cache, last[1])) if todo and last else (0, {})
    for md5 in track(todo, "reading versions of the data") if len(todo) > 1 else todo:
        if (now := _read(cache, md5)) is None:
            continue
        seq += 1
        if before is None:  # how this one differs is not known: all of it counts as new
            for table in ("held", "listed"):
                db.execute(f"UPDATE {table} SET until = ? WHERE until = {OPEN}", (seq,))
            before = {}
        db.execute("INSERT INTO listing VALUES (?, ?)", (seq, md5))
        for dataset in sorted(before.keys() | now.keys()):
            old, new = before.get(dataset), now.get(dataset)
            _write_images(db, seq, dataset, old.images if old else {}, new.images if new else {})
            new_splits = new.splits if new else b""
            try:
                rows = contents.differing(old.splits if old else b"", new_splits)
            except DataError as e:
                assert new is not None  # nothing has no fault
                now[dataset] = new = _without_splits(new, e.message)
                rows = contents.differing(old.splits if old else b"", b"")
            _write_rows(db, seq, dataset, *rows)
            if new is not None:
                _write_part(db, seq, md5, dataset, new)
        before = now


def _read(cache: Path, listing: str) -> dict[str, Contents] | None:
    try:
        return contents.read(cache, listing)
    except LineageError:
        return None


def _without_splits(contents: Contents, problem: str) -> Contents:
    tables = {name: md5 for name, md5 in contents.tables.items() if name != LEDGER}
    return replace(contents, splits=b"", tables=tables, problem=problem)


def _write_images(
    db: sqlite3.Connection, seq: int, dataset: str, old: Mapping[str, str], new: Mapping[str, str]
) -> None:
    _close(db, "held", seq, dataset, (image for image, _ in old.items() - new.items()))
    db.executemany(
        "INSERT INTO held VALUES (?, ?, ?, ?, ?)",
        ((dataset, image, md5, seq, OPEN) for image, md5 in sorted(new.items() - old.items())),
    )


def _write_rows(
    db: sqlite3.Connection, seq: int, dataset: str, gone: Iterable[Row], came: Iterable[Row]
) -> None:
    _close(db, "listed", seq, dataset, (row.image for row in gone))
    marks = ", ".join("?" * (len(COLUMNS) + 3))
    db.executemany(
        f"INSERT INTO listed VALUES ({marks})",
        ((dataset, *(getattr(row, name) for name in COLUMNS), seq, OPEN) for row in came),
    )


def _close(
    db: sqlite3.Connection, table: str, seq: int, dataset: str, images: Iterable[str]
) -> None:
    db.executemany(
        f"UPDATE {table} SET until = ? WHERE image = ? AND dataset = ? AND until = {OPEN}",
        ((seq, image, dataset) for image in images),
    )


def _write_part(
    db: sqlite3.Connection, seq: int, listing: str, dataset: str, new: Contents
) -> None:
    tables = (new.tables.get(name, "") for name in (LEDGER, DELIVERIES, TOMBSTONES))
    db.execute(
        "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (seq, listing, dataset, new.dvc_md5, len(new.images), *tables, new.problem),
    )
