"""An index of the data versions for `segtrail trace`: which images, since when and until when.

Versions differ by few images, so intervals are kept: since which listing of `data/`, and until
which, an image had a content, or a row in the split ledger. The index is derived from what never
changes, git's commits and DVC's listings by their md5; it grows with them, and may be deleted at
any time. Nothing is answered by it alone: see `lineage.tracing.evidence`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from lineage import data_history, data_version, dvc_files
from lineage.data_history import Commit
from lineage.tracing import build, locks
from lineage.tracing.build import ROW
from lineage.tracing.locks import Training
from lineage.tracing.rows import Held, Listed, Part, Step
from segtrail import deliveries
from segtrail.errors import DataError, LineageError
from segtrail.split_ledger import Row
from segtrail.workspace import Workspace

FILE = "trace.db"
_FORMAT = 1  # of the tables
_WAIT_S = 600.0  # for another process that builds the index
_TABLES = f"""
CREATE TABLE remembered (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE pointer (revision TEXT PRIMARY KEY, md5 TEXT);
{build.TABLES}
{locks.TABLES}
"""


class Index:
    """The tables, and what git says now.

    Args:
        db: In which the tables are, or will be.
        root: The repository's.

    Attributes:
        cache: DVC's cache.
        commits: Those that changed `data.dvc`, on any branch, newest first, each with the md5 of
            its `data/`; empty if it has none.
        trainings: Those that git knows of, the latest first.
    """

    def __init__(self, db: sqlite3.Connection, root: Path) -> None:
        self._db, self._root = db, root
        self.cache = Path()
        self.commits: list[tuple[Commit, str]] = []
        self.trainings: list[Training] = []

    def update(self) -> None:
        """Takes in what git and DVC's cache have and the tables lack.

        Raises:
            WorkspaceError: Not a git repository.
            LineageError: Not a DVC repository.
            sqlite3.DatabaseError: The tables are damaged, or of another segtrail.
        """
        with _transaction(self._db):
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found != _FORMAT:
                if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise sqlite3.DatabaseError(f"format {found}")
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {_FORMAT}")
            self.commits = [
                (commit, self._pointer(commit.revision))
                for commit in data_history.commits(self._root, None)
            ]
            self._find_cache()
            if not all(map(self._is_there, self._not_taken_in())):
                self._find_cache(anew=True)
            self._forget_if_more_is_there()
            build.take_in(self._db, self.cache, self._not_taken_in())
            self.trainings = locks.update(self._db, self._root)

    def parts(self, dataset: str | None = None) -> list[Part]:
        """Returns what one dataset was, or each, in every listing that could be read."""
        rows = self._db.execute(
            "SELECT * FROM part WHERE dataset = ? OR ? IS NULL ORDER BY seq", (dataset, dataset)
        )
        return [Part(*row) for row in rows]

    def steps(self, dataset: str) -> list[Step]:
        """Returns the commits at which a dataset became another, oldest first."""
        parts, found = {part.listing: part for part in self.parts(dataset)}, list[Step]()
        for commit, md5 in reversed(self.commits):
            part = parts.get(md5)
            if part and not (found and found[-1].part.dvc_md5 == part.dvc_md5):
                found.append(Step(commit, part))
        return found

    def at(self, revision: str) -> dict[str, Part]:
        """Returns what each dataset is at a commit; nothing if that cannot be read."""
        try:
            md5 = data_version.data_md5_at(self._root, revision)
        except LineageError:
            return {}
        return {part.dataset: part for part in self.parts() if part.listing == md5}

    def unread(self) -> list[Commit]:
        """Returns the commits whose data version is not in DVC's cache, newest first."""
        done = {md5 for (md5,) in self._db.execute("SELECT md5 FROM listing")}
        return [commit for commit, md5 in self.commits if md5 and md5 not in done]

    def deliveries(self, part: Part) -> list[deliveries.Row]:
        """Returns the deliveries up to a part, oldest first; none if they cannot be read."""
        try:
            content = dvc_files.read_object(self.cache, part.deliveries)
            return deliveries.parse(content, f"{part.dataset}/{deliveries.DELIVERIES}")
        except (DataError, LineageError):
            return []

    def held(self, where: str, *values: str) -> list[Held]:
        """Returns contents of images by an SQL condition."""
        rows = self._db.execute(f"SELECT * FROM held WHERE {where} ORDER BY since", values)
        return [Held(*row) for row in rows]

    def listed(self, where: str, *values: str) -> list[Listed]:
        """Returns rows of split ledgers by an SQL condition."""
        select = f"SELECT dataset, since, until, {ROW} FROM listed WHERE {where} ORDER BY since"
        return [
            Listed(dataset, Row(*row), since, until)
            for dataset, since, until, *row in self._db.execute(select, values)
        ]

    def _pointer(self, revision: str) -> str:
        row = self._db.execute("SELECT md5 FROM pointer WHERE revision = ?", (revision,)).fetchone()
        if row:
            return str(row[0])
        try:
            md5 = data_version.data_md5_at(self._root, revision)
        except LineageError:  # taken away, or in the middle of a merge
            md5 = ""
        self._db.execute("INSERT INTO pointer VALUES (?, ?)", (revision, md5))
        return md5

    def _find_cache(self, anew: bool = False) -> None:
        """Asks DVC where its cache is only if need be: that takes DVC half a second."""
        row = self._db.execute("SELECT value FROM remembered WHERE name = 'cache'").fetchone()
        if row and not anew and Path(row[0]).is_dir():
            self.cache = Path(row[0])
            return
        self.cache = dvc_files.cache_folder(self._root)
        self._db.execute(
            "INSERT OR REPLACE INTO remembered VALUES ('cache', ?)", (str(self.cache),)
        )

    def _forget_if_more_is_there(self) -> None:
        """Begins anew when a split ledger is there that was not: `dvc fetch` has brought it."""
        lost = self._db.execute("SELECT DISTINCT splits FROM part WHERE problem <> ''").fetchall()
        if any(md5 and self._is_there(md5) for (md5,) in lost):
            for table in ("listing", "part", "held", "listed"):
                self._db.execute(f"DELETE FROM {table}")

    def _not_taken_in(self) -> list[str]:
        """Returns the md5 of the listings that the tables lack, oldest first."""
        done = {md5 for (md5,) in self._db.execute("SELECT md5 FROM listing")}
        md5s = dict.fromkeys(md5 for _, md5 in reversed(self.commits) if md5)
        return [md5 for md5 in md5s if md5 not in done]

    def _is_there(self, md5: str) -> bool:
        return dvc_files.object_path(self.cache, md5).exists()


def open_index(workspace: Workspace) -> Index:
    """Returns the index of a workspace, up to date.

    It lies in the scratch folder; where nothing can be written, in memory. One that is damaged,
    or of another segtrail, is made anew.

    Raises:
        WorkspaceError: Not a git repository.
        LineageError: Not a DVC repository.
    """
    path = workspace.scratch / FILE
    for place in (path, path, None):
        try:
            if place:
                place.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(place or ":memory:", timeout=_WAIT_S, isolation_level=None)
            index = Index(db, workspace.root)
            index.update()
        except (sqlite3.DatabaseError, OSError):
            if place is None:
                raise
            with contextlib.suppress(OSError):
                place.unlink()
        else:
            return index
    raise AssertionError("a database in memory can be written")


def remove(workspace: Workspace) -> None:
    """Removes the index, which is made anew when it is asked for."""
    (workspace.scratch / FILE).unlink(missing_ok=True)


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Writes all that the block does, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
