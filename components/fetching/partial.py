"""A file that is not all there yet: `<file>.part`, and which content it is a part of."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from segtrail.errors import DataError, WorkspaceError
from segtrail.files import read_json, sha256_bytes, write_json


class Partial:
    """The first bytes of a file, and the server's mark of the content that they belong to.

    The mark is the strong ETag or else the Last-Modified date (RFC 9110, 8.8): what `If-Range`
    takes. Without one, nothing can say whether the file is still the same, so it starts again.

    Args:
        target: The file that it will be. `<target>.part` holds the bytes,
            `<target>.part.json` the mark.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self.record = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other downloads of the same file out.

        Raises:
            WorkspaceError: Another one is running.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab") as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WorkspaceError(
                    f"{self.path}: another download of this file is running",
                    "wait for it and try again",
                ) from None
            try:
                yield
            finally:
                if self.path.exists() and not self.size:
                    self.path.unlink()
                    self.record.unlink(missing_ok=True)

    def headers(self, url: str) -> dict[str, str]:
        """Returns the request headers that ask for the rest; none to ask for all of it."""
        record = self._read()
        mark = record.get("mark")
        if not self.size or not isinstance(mark, str) or record.get("url_sha256") != _digest(url):
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": mark}

    def is_of(self, headers: Mapping[str, str], total: int | None) -> bool:
        """Whether an answer's headers are of the content that the first bytes belong to."""
        record = self._read()
        known = record.get("total")
        return record.get("mark") == mark_of(headers) and (known is None or known == total)

    def begin(self, url: str, headers: Mapping[str, str], total: int | None) -> None:
        """Starts from nothing, with the answer's mark."""
        self.discard()
        write_json(
            self.record,
            # A digest: the address itself may hold a password or a signed token.
            {"url_sha256": _digest(url), "mark": mark_of(headers), "total": total},
        )

    def append(self, pieces: Iterator[bytes]) -> Iterator[int]:
        """Writes each piece; yields how many bytes it had.

        Raises:
            DataError: The disk does not take it.
        """
        with open(self.path, "ab") as f:
            for piece in pieces:
                try:
                    f.write(piece)
                    f.flush()
                except OSError as e:
                    with contextlib.suppress(OSError):
                        f.close()
                    raise DataError(
                        f"{self.path}: cannot be written after {self.size:,} bytes: {e.strerror}",
                        "make room, or name another folder with --to; the same command goes on "
                        "from here",
                    ) from None
                yield len(piece)

    def discard(self) -> None:
        """Throws the first bytes away."""
        self.record.unlink(missing_ok=True)
        if self.path.exists():
            os.truncate(self.path, 0)

    def finish(self, target: Path) -> None:
        """Moves the bytes to `target`, on the same disk, once they are safely there."""
        with open(self.path, "rb") as f:
            os.fsync(f.fileno())
        os.replace(self.path, target)
        self.record.unlink(missing_ok=True)

    def _read(self) -> dict[str, object]:
        try:
            record = read_json(self.record)
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}


def mark_of(headers: Mapping[str, str]) -> str | None:
    """Returns what `If-Range` may hold: a strong ETag, or else a date; None if neither."""
    etag = headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return headers.get("Last-Modified") or None


def _digest(url: str) -> str:
    return sha256_bytes(url.encode())
