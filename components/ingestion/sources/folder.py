"""A folder as a source."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from components.ingestion.problems import Problems
from components.ingestion.sources.base import (
    MANY_PROBLEMS,
    Source,
    Tally,
    is_junk,
    is_junk_folder,
)
from components.ingestion.sources.names import Lookalikes, check_characters
from segtrail.errors import DataError
from segtrail.files import root_digest, tree_digests
from segtrail.settings.dataset import Limits


class Folder(Source):
    """A folder; the digest is over its files (`segtrail.files.root_digest`)."""

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(path)
        self._largest = limits.file_mib << 20
        problems = Problems(self.name)
        tally, lookalikes = Tally(limits, problems), Lookalikes(problems)
        for relative, size in self._walk(problems):
            lookalikes.add(relative)
            self.names.append(relative)
            if not tally.take(relative, size) or len(problems) >= MANY_PROBLEMS:
                break
        tally.finish()
        problems.raise_if_any()
        self.names.sort()

    def _walk(self, problems: Problems) -> Iterator[tuple[str, int]]:
        """Yields each file with its size; notes what may not be there."""

        def cannot_list(error: OSError) -> None:
            problems.add(str(error.filename), f"cannot be read: {error.strerror}")

        for at, folders, files in os.walk(self.path, onerror=cannot_list):
            folders[:] = sorted(f for f in folders if not is_junk_folder(f))
            for name in sorted([*files, *folders]):
                file = Path(at) / name
                relative = file.relative_to(self.path).as_posix()
                if is_junk((name,)) and name not in folders:
                    continue
                if not check_characters(relative, problems):
                    if name in folders:
                        folders.remove(name)
                    continue
                try:
                    status = file.lstat()
                except OSError as e:
                    problems.add(relative, f"cannot be read: {e.strerror}")
                    continue
                if stat.S_ISLNK(status.st_mode):
                    problems.add(relative, "is a symbolic link", "deliver the file itself")
                elif stat.S_ISREG(status.st_mode):
                    yield relative, status.st_size
                elif not stat.S_ISDIR(status.st_mode):
                    problems.add(relative, "is neither a file nor a folder", "take it out")

    def sha256(self) -> str:
        kept = set(self.names)
        try:
            return root_digest(tree_digests(self.path, skip=lambda name: name not in kept))
        except (OSError, ValueError) as e:
            raise DataError(f"{self.name}: cannot be read: {e}") from None

    def _read(self, name: str) -> bytes:
        try:  # it may have become a link or a pipe since it was looked at
            fd = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(fd, "rb") as f:
                regular = stat.S_ISREG(os.fstat(fd).st_mode)
                data = f.read(self._largest + 1) if regular else None
        except OSError as e:
            raise DataError(f"{name}: cannot be read: {e.strerror}") from None
        if data is None or len(data) > self._largest:
            raise DataError(f"{name}: was changed while it was read", "deliver it again")
        return data
