"""MLflow's SQLite store, read as the file that it is.

Without MLflow, whose import takes longer than all else of an audit, and without a way to write,
where MLflow would bring an older store up to date. The tables are those of MLflow 3; where they
are others, `sqlite3.OperationalError` sends the caller to MLflow itself.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from lineage.mlflow_facts import Recorded, Run, Version, iso, metric_row
from segtrail.errors import LineageError, UnreachableError

_SCHEME = "sqlite:///"


def path_of(uri: str) -> Path | None:
    """Returns the file that a tracking URI names; None: it is another kind of store.

    Raises:
        LineageError: The file does not exist.
    """
    if not uri.startswith(_SCHEME):
        return None
    path = Path(uri.removeprefix(_SCHEME))
    if not path.exists():
        raise UnreachableError(f"{path}: MLflow's store is not there")
    return path


def run(path: Path, run_id: str) -> Run:
    """See `lineage.mlflow_record.run`."""
    sql = "SELECT status, start_time, end_time, lifecycle_stage FROM runs WHERE run_uuid = ?"
    found = _one(path, sql, run_id)
    if found is None:
        raise LineageError(f"MLflow run {run_id}: {path.name} has no such run")
    status, started, finished, stage = found
    return Run(run_id, status, iso(started), iso(finished), stage == "deleted")


def recorded(path: Path, run_id: str) -> Recorded:
    """See `lineage.mlflow_record.recorded`."""
    found = _one(path, "SELECT artifact_uri FROM runs WHERE run_uuid = ?", run_id)
    if found is None:
        raise LineageError(f"MLflow run {run_id}: {path.name} has no such run")
    with _reading(path) as db:
        params = db.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run_id,))
        tags = db.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run_id,))
        rows = db.execute(
            "SELECT key, step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ?", (run_id,)
        )
        metrics: dict[str, list[str]] = {}
        for key, step, at, value, is_nan in rows:
            metrics.setdefault(key, []).append(metric_row(step, at, math.nan if is_nan else value))
        return Recorded(
            dict(params), {k: sorted(rows) for k, rows in metrics.items()}, dict(tags), found[0]
        )


def version(path: Path, name: str, number: int, digest_tag: str) -> Version:
    """See `lineage.mlflow_record.version`."""
    of = (name, number)
    found = _one(
        path,
        "SELECT run_id, source, storage_location FROM model_versions "
        "WHERE name = ? AND version = ? AND current_stage != 'Deleted_Internal'",
        *of,
    )
    if found is None:
        raise LineageError(f"MLflow model {name} version {number}: {path.name} has no such version")
    tag = _one(
        path,
        "SELECT value FROM model_version_tags WHERE name = ? AND version = ? AND key = ?",
        *of,
        digest_tag,
    )
    run_id, source, location = found
    return Version(number, tag[0] if tag else None, run_id or None, location or source)


def aliased(path: Path, name: str, alias: str) -> int | None:
    """See `lineage.mlflow_record.aliased`."""
    sql = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
    found = _one(path, sql, name, alias)
    return int(found[0]) if found else None


def model_tag(path: Path, name: str, key: str) -> str | None:
    """See `lineage.mlflow_record.model_tag`."""
    sql = "SELECT value FROM registered_model_tags WHERE name = ? AND key = ?"
    found = _one(path, sql, name, key)
    return str(found[0]) if found else None


def _one(path: Path, sql: str, *values: Any) -> tuple[Any, ...] | None:
    with _reading(path) as db:
        found: tuple[Any, ...] | None = db.execute(sql, values).fetchone()
        return found


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            tables = "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
            if not db.execute(tables).fetchone()[0]:  # MLflow would make one of it
                raise LineageError(f"{path}: is no store of MLflow's")
            yield db
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as e:
        raise LineageError(f"{path}: cannot be read as MLflow's store: {e}") from None
