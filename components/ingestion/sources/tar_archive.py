"""A tar archive, plain or gzipped, as a source."""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from components.ingestion.problems import Problems
from components.ingestion.sources.base import (
    MANY_PROBLEMS,
    RATIO_FROM_BYTES,
    Source,
    Tally,
    is_junk,
    path_parts,
)
from components.ingestion.sources.names import Lookalikes, check_characters, check_stays_inside
from segtrail.errors import DataError
from segtrail.files import sha256_file
from segtrail.settings.dataset import Limits

GZIP_MAGIC = b"\x1f\x8b"
_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_PER_FILE = 4096  # headers, long names and padding
_LONGEST_HEADER = 1 << 20  # of a name or PAX fields
_KEEP_FREE = 256 << 20
_AGAIN = "make or copy the archive again; `tar -t` tests it"
_KINDS = {
    tarfile.SYMTYPE: ("is a symbolic link", "deliver the file itself"),
    tarfile.LNKTYPE: ("is a hard link", "deliver the file itself: tar --hard-dereference"),
}


@dataclass(frozen=True, slots=True)
class _Member:
    at: int
    size: int


class Tar(Source):
    """A tar archive, read in memory; nothing is unpacked under a name out of it.

    A gzipped one has no index, so it is inflated once, to a file without a name.
    """

    def __init__(self, path: Path, limits: Limits, scratch: Path | None) -> None:
        super().__init__(path)
        self._members: dict[str, _Member] = {}
        try:
            self._file = _plain(path, limits, scratch)
        except OSError as e:
            raise DataError(f"{path}: cannot be read: {e.strerror or e}") from None
        try:
            self._index(limits)
        except OSError as e:
            self._file.close()
            raise DataError(f"{path}: cannot be read: {e.strerror or e}") from None
        except BaseException:
            self._file.close()
            raise
        self.names = sorted(self._members)

    def _index(self, limits: Limits) -> None:
        problems = Problems(self.name)
        tally, lookalikes = Tally(limits, problems), Lookalikes(problems)
        for number, (told, info, at) in enumerate(_members(self._file, self.path), 1):
            if number > 2 * limits.files or len(problems) >= MANY_PROBLEMS:
                problems.add("all files", f"more than {limits.files:,}; no more were looked at")
                break
            parts = path_parts(told)
            if info.isdir() and not parts:  # the folder that was packed
                continue
            if not check_stays_inside(told, parts, problems) or is_junk(parts):
                continue
            name = "/".join(parts)
            if not check_characters(name, problems):
                continue
            if info.type in _KINDS:
                problems.add(name, *_KINDS[info.type])
            elif not info.isreg() and not info.isdir():
                problems.add(name, "is neither a file nor a folder", "take it out")
            elif info.isdir():
                continue
            elif name in self._members:
                problems.add(name, "is in the archive twice", "keep one")
            else:
                lookalikes.add(name)
                self._members[name] = _Member(at, info.size)
                if not tally.take(name, info.size):
                    break
        tally.finish()
        problems.raise_if_any()

    def sha256(self) -> str:
        return sha256_file(self.path)

    def _read(self, name: str) -> bytes:
        member = self._members[name]
        try:
            data = os.pread(self._file.fileno(), member.size, member.at)
        except OSError as e:
            raise DataError(f"{name}: cannot be read: {e.strerror}") from None
        if len(data) != member.size:
            raise DataError(f"{name}: was changed while it was read", "deliver it again")
        return data

    def __exit__(self, *_: object) -> None:
        self._file.close()


def is_tar(head: bytes) -> bool:
    """Returns whether a file that starts so is a tar archive: its first checksum is right."""
    try:
        tarfile.TarInfo.frombuf(head[:_BLOCK], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _plain(path: Path, limits: Limits, scratch: Path | None) -> IO[bytes]:
    """Returns the archive, not compressed.

    Raises:
        DataError: It is damaged, or inflates to more than the limits allow.
    """
    file = open(path, "rb")  # noqa: SIM115
    if file.read(len(GZIP_MAGIC)) != GZIP_MAGIC:
        file.seek(0)
        return file
    with file:
        file.seek(0)
        if scratch is not None:
            scratch.mkdir(parents=True, exist_ok=True)
        out = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115
        try:
            _inflate(file, out, path, limits)
        except BaseException:
            out.close()
            raise
    return out


def _inflate(file: IO[bytes], out: IO[bytes], path: Path, limits: Limits) -> None:
    total = (limits.total_gib << 30) + limits.files * _PER_FILE
    size = 0
    with gzip.GzipFile(fileobj=file) as packed:
        while True:
            try:
                chunk = packed.read(_CHUNK)
            except (gzip.BadGzipFile, EOFError, zlib.error) as e:
                raise DataError(f"{path}: not a readable gzip file: {e}", _AGAIN) from None
            if not chunk:
                break
            if not size and not is_tar(chunk):
                raise DataError(
                    f"{path}: gzipped, but not a tar archive", "deliver a zip, a tar or a folder"
                )
            size += len(chunk)
            if size > total:
                raise DataError(f"{path}: inflates to more than {total:,} bytes")
            if size > RATIO_FROM_BYTES and size > limits.ratio * file.tell():
                raise DataError(
                    f"{path}: inflates to more than {limits.ratio} times its size, as a "
                    "decompression bomb does"
                )
            disk = os.fstatvfs(out.fileno())
            if disk.f_bavail * disk.f_frsize < _KEEP_FREE:
                raise DataError(f"{path}: no room on the disk to inflate it", "make room")
            out.write(chunk)
    out.flush()


def _members(file: IO[bytes], path: Path) -> Iterator[tuple[str, tarfile.TarInfo, int]]:
    """Yields each member's name, header and where its content starts; no long name is left out.

    The headers are read one by one: `tarfile` itself reads a name or PAX field of any size.
    """
    end = os.fstat(file.fileno()).st_size
    at, name, size = 0, None, None  # of the PAX fields or the long name before a header
    while True:
        block = os.pread(file.fileno(), _BLOCK, at)
        if block.count(0) == _BLOCK:
            _check_is_over(file, at, path)
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as e:
            what = "the archive ends without its end mark" if at >= end else str(e)
            raise _damaged(path, at, what) from None
        at += _BLOCK
        if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            content = _header_content(file, info, at, end, path)
            if info.type == tarfile.GNUTYPE_LONGNAME:
                name = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
            else:
                name, size = _pax(content, path, at)
        elif info.type in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            _header_content(file, info, at, end, path)
        else:
            if size is not None:
                info.size = size
            told = info.name if name is None else name
            if info.type == tarfile.GNUTYPE_SPARSE:
                raise _damaged(path, at, f"{told!a} is sparse; pack it without --sparse")
            has_content = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
            length = info.size if has_content else 0
            if length < 0 or at + length > end:
                raise _damaged(path, at, f"{told!a} has {length:,} bytes, beyond the end")
            yield told, info, at
            name = size = None
            at += -(-length // _BLOCK) * _BLOCK
            continue
        at += -(-info.size // _BLOCK) * _BLOCK


def _check_is_over(file: IO[bytes], at: int, path: Path) -> None:
    """Refuses an archive that goes on: what a damaged block hides would not be missed."""
    while chunk := os.pread(file.fileno(), _CHUNK, at):
        if chunk.count(0) != len(chunk):
            raise _damaged(path, at, "the archive goes on after its end mark")
        at += len(chunk)


def _header_content(file: IO[bytes], info: tarfile.TarInfo, at: int, end: int, path: Path) -> bytes:
    if not 0 <= info.size <= min(_LONGEST_HEADER, end - at):
        raise _damaged(path, at, f"a header of {info.size:,} bytes")
    return os.pread(file.fileno(), info.size, at)


def _pax(content: bytes, path: Path, at: int) -> tuple[str | None, int | None]:
    """Returns the name and size that PAX fields, `<length> <key>=<value>\\n`, give if any."""
    name: str | None = None
    size: int | None = None
    while content and content[0]:
        length, space, _ = content[:20].partition(b" ")
        if not space or not length.isdigit() or not len(length) + 2 < int(length) <= len(content):
            raise _damaged(path, at, "PAX fields that are not readable")
        key, equals, value = content[len(length) + 1 : int(length) - 1].partition(b"=")
        if not equals or key.startswith(b"GNU.sparse"):
            raise _damaged(path, at, "a sparse file" if equals else "PAX fields not readable")
        if key == b"path":
            name = value.decode("utf-8", "surrogateescape")
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                raise _damaged(path, at, f"a size of {value[:20]!r}")
            size = int(value)
        content = content[int(length) :]
    return name, size


def _damaged(path: Path, at: int, why: str) -> DataError:
    return DataError(f"{path}: not a readable tar archive: at byte {at:,}: {why}", _AGAIN)
