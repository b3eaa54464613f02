"""What a source is: the files of one delivery, by name."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

from components.ingestion.problems import Problems
from segtrail.errors import DataError
from segtrail.settings.dataset import Limits

MANY_PROBLEMS = 1000  # no more are looked for
RATIO_FROM_BYTES = 1 << 20  # small files may be as compressible as they like
_JUNK_FOLDERS = {"__MACOSX", ".git"}
_JUNK_FILES = {".DS_Store", "Thumbs.db", "desktop.ini", "Icon\r"}
_APPLE_DOUBLE = "._"  # how macOS names a file's attributes beside it


class Source(AbstractContextManager["Source"], ABC):
    """The files of one delivery. Its methods may be called from several threads.

    Attributes:
        path: The archive or folder.
        names: The files' relative posix paths, sorted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []

    @property
    def name(self) -> str:
        """What people call the delivery."""
        # absolute: the name of `.` is empty
        return Path(os.path.abspath(self.path)).name

    @abstractmethod
    def sha256(self) -> str:
        """Returns the digest that names this delivery."""

    def read(self, name: str) -> bytes:
        """Returns a file's content.

        Raises:
            DataError: There is no such file, it cannot be read, or its checksum is wrong.
        """
        if name not in self._known:
            raise DataError(f"{name}: not in the delivery {self.name}")
        return self._read(name)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    @abstractmethod
    def _read(self, name: str) -> bytes:
        """Returns the content of one of `names`; see `read`."""

    def __exit__(self, *_: object) -> None:
        return None


def is_junk(parts: tuple[str, ...]) -> bool:
    """Returns whether a file is one that operating systems leave behind."""
    return (
        parts[-1] in _JUNK_FILES
        or parts[-1].startswith(_APPLE_DOUBLE)
        or is_junk_folder(*parts[:-1])
    )


def is_junk_folder(*parts: str) -> bool:
    """Returns whether one of the folders is no part of a delivery."""
    return not _JUNK_FOLDERS.isdisjoint(parts)


def path_parts(name: str) -> tuple[str, ...]:
    """Returns a posix path's parts, without empty ones and `.`."""
    return tuple(part for part in name.split("/") if part not in ("", "."))


class Tally:
    """Counts files and bytes against the limits of a delivery, and notes what is above them."""

    def __init__(self, limits: Limits, problems: Problems) -> None:
        self._limits, self._problems = limits, problems
        self._files = self._bytes = 0

    def take(self, name: str, size: int) -> bool:
        """Counts one file; returns whether there may be another."""
        self._files += 1
        self._bytes += size
        at_most = self._limits.file_mib << 20
        if size > at_most:
            self._problems.add(name, f"{size:,} bytes; at most {at_most:,} are read")
        return self._files <= self._limits.files

    def finish(self) -> None:
        """Notes whether there are too many files or bytes."""
        files, total = self._limits.files, self._limits.total_gib << 30
        if self._files > files:
            self._problems.add(
                "all files", f"more than {files:,} of them; at most {files:,} are read"
            )
        if self._bytes > total:
            self._problems.add("all files", f"{self._bytes:,} bytes; at most {total:,} are read")
