"""Puts a dataset folder in place: the old one or the new one, never a mixture.

The new folder is built aside, on the same disk. Then a journal is written: the commit point.
After it the folders are exchanged, DVC and git record the result, and the journal goes. A crash
before the journal leaves the old folder; after it, the next call finishes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from segtrail.errors import WorkspaceError
from segtrail.files import (
    exchange,
    fsync_dir,
    read_json,
    root_digest,
    sha256_bytes,
    sha256_file,
    write_json,
)
from segtrail.workspace import Workspace

_LOCK = "lock"
Record = Callable[[str], str | None]  # commits under a message; returns the git commit


@dataclass(frozen=True)
class Journal:
    """A landing under way.

    Attributes:
        dataset: Its name.
        root_sha256: Of the new folder, to know it again after a crash.
        message: Of the git commit.
    """

    dataset: str
    root_sha256: str
    message: str


class Landing:
    """The staging area and the journal of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.folder = workspace.scratch / "ingest"
        self.scratch = self.folder / "scratch"
        self.staged = self.folder / "new"
        self.outgoing = self.folder / "old"
        self.journal = self.folder / "journal.json"
        self._digests: dict[str, str] = {}
        self._written: set[str] = set()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other ingestions out.

        Raises:
            WorkspaceError: Another one is running.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / _LOCK, "w") as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WorkspaceError(
                    f"{self.workspace.root}: another ingestion is running here",
                    "wait for it and try again",
                ) from None
            yield

    def start(self) -> Path:
        """Returns the empty staging folder, with `images` and `masks` in it."""
        shutil.rmtree(self.staged, ignore_errors=True)
        self._digests.clear()
        self._written.clear()
        for name in ("images", "masks"):
            (self.staged / name).mkdir(parents=True)
        return self.staged

    def stage(self, name: str, data: bytes) -> None:
        """Writes a new file of the dataset."""
        self.drop(name)  # it may be linked to a file that is in use
        (self.staged / name).write_bytes(data)
        self._digests[name] = sha256_bytes(data)
        self._written.add(name)

    def drop(self, name: str) -> None:
        """Takes a file out again."""
        if self._digests.pop(name, None):
            (self.staged / name).unlink()
            self._written.discard(name)

    def has(self, name: str) -> bool:
        """Whether a file is staged or kept."""
        return name in self._digests

    def keep(self, dataset: str, name: str, digest: str | None = None) -> None:
        """Takes a file over from the dataset as it is: by a link, or else a copy.

        Args:
            dataset: Where it lies.
            name: Its path there.
            digest: Its SHA-256, if it is known.
        """
        source = self.workspace.dataset(dataset) / name
        if source.is_symlink():  # into DVC's cache
            source = source.resolve()
        try:
            os.link(source, self.staged / name)
        except OSError:
            shutil.copyfile(source, self.staged / name)
            self._written.add(name)
        self._digests[name] = digest or sha256_file(source)

    def read(self, dataset: str, name: str) -> bytes:
        """Returns a file as it will land, or else as it is in the dataset."""
        folder = self.staged if self.has(name) else self.workspace.dataset(dataset)
        return (folder / name).read_bytes()

    def abandon(self) -> None:
        """Throws the staged files away, and what an archive was unpacked to."""
        shutil.rmtree(self.staged, ignore_errors=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._digests.clear()
        self._written.clear()

    def commit(self, dataset: str, message: str, record: Record) -> str | None:
        """Lands what is staged and records it; returns the git commit."""
        for name in sorted(self._written):
            with open(self.staged / name, "rb") as f:
                os.fsync(f.fileno())
        for folder in ("images", "masks", "."):
            fsync_dir(self.staged / folder)
        journal = Journal(dataset, root_digest(self._digests), message)
        write_json(self.journal, asdict(journal))
        return self._finish(record)

    def resume(self, record: Record) -> Journal | None:
        """Finishes a landing that was interrupted; returns what it was, or None.

        Raises:
            WorkspaceError: The landed files were changed since.
        """
        journal = None
        if self.journal.exists():
            journal = Journal(**read_json(self.journal))
            self._finish(record, landed=self._has_landed(journal))
        for path in self.folder.iterdir():  # what else a killed ingestion left
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()
        return journal

    def _finish(self, record: Record, landed: bool = False) -> str | None:
        """Does the steps that are not done yet; each may be repeated."""
        journal = Journal(**read_json(self.journal))
        if not landed:
            self._swap(self.workspace.dataset(journal.dataset))
        commit = record(journal.message)
        self.journal.unlink()
        fsync_dir(self.folder)
        for folder in (self.outgoing, self.staged):
            shutil.rmtree(folder, ignore_errors=True)
        return commit

    def _swap(self, target: Path) -> None:
        """Puts the staged folder in place; the old one is at `staged` or `outgoing` then."""
        target.parent.mkdir(exist_ok=True)
        if not (target.exists() and exchange(self.staged, target)):
            if target.exists():  # no exchange here: for a moment there is no such dataset
                shutil.rmtree(self.outgoing, ignore_errors=True)
                os.rename(target, self.outgoing)
            os.rename(self.staged, target)
        fsync_dir(target.parent)
        fsync_dir(self.folder)

    def _has_landed(self, journal: Journal) -> bool:
        """Returns whether the folders were swapped before a crash.

        Raises:
            WorkspaceError: They were, and what landed was changed since.
        """
        if self.staged.exists() and root_digest(_digests(self.staged)) == journal.root_sha256:
            return False
        target = self.workspace.dataset(journal.dataset)
        if (found := root_digest(_digests(target))) != journal.root_sha256:
            raise WorkspaceError(
                f"{target}: an ingestion was interrupted after these files had landed, and they "
                f"were changed since (expected the root digest {journal.root_sha256[:12]}, found "
                f"{found[:12]})",
                f"undo the changes; or give the delivery up: rm {self.journal} "
                "&& dvc checkout --force data.dvc",
            )
        return True


def _digests(folder: Path) -> dict[str, str]:
    """Like `tree_digests`, but follows links: DVC may have put links into its cache."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in folder.rglob("*")
        if path.is_file()
    }
