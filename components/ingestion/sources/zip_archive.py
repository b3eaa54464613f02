"""A zip archive as a source."""

from __future__ import annotations

import mmap
import os
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

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

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others inflate without a bound
_LOCAL = struct.Struct("<4s22xHH")  # its sizes and checksum are the directory's to say
_END = struct.Struct("<10xH10x")  # of the directory: how many entries it has
_LOCAL_SIGNATURE, _ENTRY_SIGNATURE = b"PK\x03\x04", b"PK\x01\x02"
_SMALLEST_ENTRY = 46
_EXTRA = 256  # bytes of a local header's extra field that are read with the content
_ENCRYPTED, _UTF8 = 1, 0x800
# An honest archive has broken members at the worst; these are what zipfile makes of dishonest ones.
_BROKEN = (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, struct.error,
           OverflowError, IndexError, KeyError, RuntimeError)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Member:
    at: int
    packed: int
    size: int
    crc: int
    deflated: bool


class Zip(Source):
    """A zip archive, read in memory; nothing is unpacked under a name out of it."""

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(path)
        self._limits, self._end = limits, path.stat().st_size
        self._members: dict[str, _Member] = {}
        problems = Problems(self.name)
        tally, lookalikes = Tally(limits, problems), Lookalikes(problems)
        taken: list[tuple[int, int]] = []
        for info in _entries(path, limits):
            taken.append((info.header_offset, info.compress_size + len(info.orig_filename) + 30))
            if name := self._take(info, problems):
                lookalikes.add(name)
                tally.take(name, info.file_size)
            if len(problems) >= MANY_PROBLEMS:
                break
        tally.finish()
        if _overlap(taken):
            problems.add(self.name, "its members overlap, as in a decompression bomb")
        problems.raise_if_any()
        self.names = sorted(self._members)
        self._fd = os.open(path, os.O_RDONLY)

    def _take(self, info: zipfile.ZipInfo, problems: Problems) -> str:
        """Takes a file and returns its name; notes it if it may not be there."""
        told = _name(info)
        parts = path_parts(told)
        if not check_stays_inside(told, parts, problems):
            return ""
        if told.endswith("/") or is_junk(parts):
            return ""
        name = "/".join(parts)
        if not check_characters(name, problems):
            return ""
        mode = info.external_attr >> 16
        if stat.S_ISLNK(mode):
            problems.add(name, "is a symbolic link", "deliver the file itself")
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            problems.add(name, "is neither a file nor a folder", "take it out")
        elif info.flag_bits & _ENCRYPTED:
            problems.add(name, "is encrypted", "deliver the archive without a password")
        elif info.compress_type not in _METHODS:
            problems.add(
                name,
                f"is compressed by method {info.compress_type}; expected it stored or deflated",
                "make the archive with `zip -r`",
            )
        elif name in self._members:
            problems.add(name, "is in the archive twice", "keep one")
        else:
            self._check_packing(info, name, problems)
            self._members[name] = _Member(
                info.header_offset, info.compress_size, info.file_size, info.CRC,
                info.compress_type == zipfile.ZIP_DEFLATED,
            )  # fmt: skip
            return name
        return ""

    def _check_packing(self, info: zipfile.ZipInfo, name: str, problems: Problems) -> None:
        ratio = info.file_size / max(1, info.compress_size)
        if info.file_size > RATIO_FROM_BYTES and ratio > self._limits.ratio:
            problems.add(
                name,
                f"unpacks to {ratio:.0f} times its size ({info.file_size:,} bytes); "
                f"at most {self._limits.ratio} times is read",
            )
        if not 0 <= info.header_offset <= self._end - info.compress_size:
            problems.add(name, "lies beyond the end of the archive", "make the archive again")
        stored = info.compress_type == zipfile.ZIP_STORED
        if stored and info.compress_size != info.file_size:
            problems.add(name, "is stored, but its two sizes differ", "make the archive again")
        elif info.compress_size > 2 * info.file_size + RATIO_FROM_BYTES:
            problems.add(
                name, f"takes {info.compress_size:,} bytes for {info.file_size:,} unpacked"
            )

    def sha256(self) -> str:
        return sha256_file(self.path)

    def _read(self, name: str) -> bytes:
        member = self._members[name]
        # The size in the header was checked, not what comes out: one byte more shows a lie.
        data = self._packed(name, member)
        if member.deflated:
            inflate = zlib.decompressobj(-15)
            try:
                data = inflate.decompress(data, member.size + 1)
            except zlib.error as e:
                raise _broken(name, str(e)) from None
        if len(data) != member.size:
            found = "more" if len(data) > member.size else f"{len(data):,}"
            raise _broken(name, f"expected {member.size:,} bytes by its header, found {found}")
        if zlib.crc32(data) != member.crc:
            raise _broken(name, "its checksum is wrong")
        return data

    def _packed(self, name: str, member: _Member) -> bytes:
        """Returns a member's packed bytes; by `pread`, so that threads do not wait for another."""
        guess = _LOCAL.size + 2 * len(name.encode()) + _EXTRA
        try:
            head = os.pread(self._fd, guess + member.packed, member.at)
            if len(head) < _LOCAL.size:
                raise _broken(name, "the archive ends before it")
            signature, name_size, extra_size = _LOCAL.unpack_from(head)
            if signature != _LOCAL_SIGNATURE:
                raise _broken(name, "its local header is not where the directory says")
            if _local_name(head[_LOCAL.size : _LOCAL.size + name_size]) != name:
                raise _broken(name, "its local header has another name")
            start = _LOCAL.size + name_size + extra_size
            packed = head[start : start + member.packed]
            if len(packed) < member.packed:
                packed = os.pread(self._fd, member.packed, member.at + start)
        except OSError as e:
            raise DataError(f"{name}: cannot be read: {e.strerror}") from None
        if len(packed) < member.packed:
            raise _broken(name, "the archive ends within it")
        return packed

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _broken(name: str, why: str) -> DataError:
    return DataError(f"{name}: cannot be unpacked: {why}", "make the archive again")


def _entries(path: Path, limits: Limits) -> list[zipfile.ZipInfo]:
    try:
        _refuse_too_many(path, limits)
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_count(path, len(archive.comment), len(entries))
            return entries
    except OSError as e:
        raise DataError(f"{path}: cannot be read: {e.strerror or e}") from None
    except _BROKEN as e:
        raise DataError(
            f"{path}: not a readable zip archive: {e}",
            "copy or download it again; `unzip -t` tests it",
        ) from None


def _refuse_too_many(path: Path, limits: Limits) -> None:
    """Counts the entries before any memory is taken for them: 700 bytes for each of 46."""
    if path.stat().st_size <= limits.files * _SMALLEST_ENTRY:
        return
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found, at = 0, data.find(_ENTRY_SIGNATURE)
        while at >= 0 and found <= 2 * limits.files:  # folders are entries too
            found, at = found + 1, data.find(_ENTRY_SIGNATURE, at + _SMALLEST_ENTRY)
    if found > 2 * limits.files:
        raise DataError(f"{path}: more than {limits.files:,} files; at most so many are read")


def _check_count(path: Path, comment: int, found: int) -> None:
    """Refuses a directory that ends too early, which zipfile takes for a shorter one."""
    with open(path, "rb") as f:
        f.seek(-_END.size - comment, os.SEEK_END)
        (promised,) = _END.unpack(f.read(_END.size))
    if promised not in (found, found & 0xFFFF, 0xFFFF):
        raise zipfile.BadZipFile(f"its directory has {promised} entries by its end, found {found}")


def _name(info: zipfile.ZipInfo) -> str:
    """Returns a member's name, with what zipfile cuts off at a NUL byte.

    Many programs write UTF-8 without saying so; what is valid UTF-8 is hardly anything else.
    """
    name = info.orig_filename
    if name.isascii() or info.flag_bits & _UTF8:
        return name
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        return name


def _local_name(raw: bytes) -> str:
    try:
        told = raw.decode()
    except UnicodeDecodeError:
        told = raw.decode("cp437")
    return "/".join(path_parts(told))


def _overlap(taken: list[tuple[int, int]]) -> bool:
    """Returns whether members `(start, length)` share bytes; of their length at least so much."""
    taken.sort()
    return any(a + length > b for (a, length), (b, _) in pairwise(taken))
