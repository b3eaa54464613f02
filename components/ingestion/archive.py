"""Reads the files of a delivery, a zip archive or a folder, that nobody vouches for."""

from __future__ import annotations

import copy
import os
import stat
import zipfile
import zlib
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

from components.ingestion.problems import Problems
from segtrail.errors import DataError
from segtrail.files import root_digest, sha256_file, tree_digests

MAX_FILES = 1_000_000
MAX_FILE_BYTES = 256 << 20
MAX_TOTAL_BYTES = 64 << 30
MAX_RATIO = 100  # unpacked : packed; the images of the Data Science Bowl reach 10
RATIO_FROM_BYTES = 1 << 20  # small files may be as compressible as they like

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others inflate without a bound
_JUNK_FOLDERS = {"__MACOSX", ".git"}
_JUNK_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}


class Source(AbstractContextManager["Source"], ABC):
    """The files of one delivery, by relative posix path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []

    @property
    def name(self) -> str:
        # absolute: the name of `.` is empty
        return Path(os.path.abspath(self.path)).name

    @abstractmethod
    def sha256(self) -> str:
        """Returns the digest that names this delivery."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Returns a file's content.

        Raises:
            DataError: It cannot be read, or its checksum is wrong.
        """

    def __exit__(self, *_: object) -> None:
        return None


class Folder(Source):
    """A folder; the digest is over its files (`segtrail.files.root_digest`)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        problems, total = Problems(self.name), 0
        for at, folders, files in os.walk(path):
            folders[:] = sorted(f for f in folders if f not in _JUNK_FOLDERS)
            for name in sorted([*files, *folders]):
                file = Path(at) / name
                relative = file.relative_to(path).as_posix()
                if not _is_utf8(relative):
                    problems.add(relative, "its name is not UTF-8", "rename it")
                    if name in folders:
                        folders.remove(name)
                    continue
                status = file.lstat()
                if stat.S_ISLNK(status.st_mode):
                    problems.add(relative, "is a symbolic link", "deliver the file itself")
                elif stat.S_ISREG(status.st_mode) and name not in _JUNK_FILES:
                    total += status.st_size
                    _check_size(relative, status.st_size, problems)
                    self.names.append(relative)
                elif not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                    problems.add(relative, "is neither a file nor a folder", "take it out")
        _check_totals(len(self.names), total, problems)
        problems.raise_if_any()

    def sha256(self) -> str:
        kept = set(self.names)
        return root_digest(tree_digests(self.path, skip=lambda name: name not in kept))

    def read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as e:
            raise DataError(f"{name}: cannot be read: {e.strerror}") from None


class Zip(Source):
    """A zip archive, read in memory; nothing is unpacked under a name out of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as e:
            raise DataError(
                f"{path}: not a readable zip archive: {e}",
                "copy or download it again; `unzip -t` tests it",
            ) from None
        except OSError as e:
            raise DataError(f"{path}: cannot be read: {e.strerror or e}") from None
        self._members: dict[str, zipfile.ZipInfo] = {}
        problems = Problems(self.name)
        for info in self._zip.infolist():
            self._take(info, problems)
        _check_totals(
            len(self._members), sum(i.file_size for i in self._members.values()), problems
        )
        if sum(i.compress_size for i in self._zip.infolist()) > path.stat().st_size:
            problems.add(self.name, "its members overlap, as in a decompression bomb")
        self.names = sorted(self._members)
        try:
            problems.raise_if_any()
        except DataError:
            self._zip.close()
            raise

    def _take(self, info: zipfile.ZipInfo, problems: Problems) -> None:
        # orig_filename: zipfile cuts names at a NUL byte
        name, parts = info.filename, PurePosixPath(info.filename).parts
        mode = info.external_attr >> 16
        if (
            not parts
            or name.startswith("/")
            or "\\" in info.orig_filename
            or any(ord(c) < 32 for c in info.orig_filename)
            or ".." in parts
            or ":" in parts[0]
        ):
            problems.add(
                repr(info.orig_filename),
                "unsafe name: expected a relative path without `..`, backslash or drive",
            )
        elif stat.S_ISLNK(mode):
            problems.add(name, "is a symbolic link", "deliver the file itself")
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            problems.add(name, "is neither a file nor a folder", "take it out")
        elif info.flag_bits & 1:
            problems.add(name, "is encrypted", "deliver the archive without a password")
        elif info.compress_type not in _METHODS:
            problems.add(
                name,
                f"is compressed by method {info.compress_type}; expected it stored or deflated",
                "make the archive with `zip -r`",
            )
        elif info.is_dir() or parts[-1] in _JUNK_FILES or _JUNK_FOLDERS & set(parts):
            return
        elif name in self._members:
            problems.add(name, "is in the archive twice", "keep one")
        else:
            _check_size(name, info.file_size, problems)
            ratio = info.file_size / max(1, info.compress_size)
            if info.file_size > RATIO_FROM_BYTES and ratio > MAX_RATIO:
                problems.add(
                    name,
                    f"unpacks to {ratio:.0f} times its size ({info.file_size:,} bytes); "
                    f"at most {MAX_RATIO} times is read",
                )
            self._members[name] = info

    def sha256(self) -> str:
        return sha256_file(self.path)

    def read(self, name: str) -> bytes:
        info = self._members[name]
        # The size in the header was checked, not what comes out: one byte more shows a lie.
        bounded = copy.copy(info)
        bounded.file_size += 1
        try:
            with self._zip.open(bounded) as f:
                data = f.read(bounded.file_size)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as e:
            raise DataError(f"{name}: cannot be unpacked: {e}", "make the archive again") from None
        if len(data) != info.file_size:
            raise DataError(
                f"{name}: cannot be unpacked: expected {info.file_size:,} bytes by its header, "
                f"found {'more' if len(data) > info.file_size else f'{len(data):,}'}",
                "make the archive again",
            )
        return data

    def __exit__(self, *_: object) -> None:
        self._zip.close()


def open_source(path: Path) -> Source:
    """Opens a delivery and checks the names and sizes of its files.

    Raises:
        DataError: Not there; neither a folder nor a zip; or files in it are unsafe: names
            that lead outside, links, sizes or ratios as of a decompression bomb, encrypted.
    """
    if not _is_utf8(path.name):
        raise DataError(f"{path.name!a}: its name is not UTF-8", "rename it")
    if path.is_dir():
        return Folder(path)
    if path.is_file():
        return Zip(path)
    raise DataError(
        f"{path}: no such file or folder; expected a zip archive or a folder of images and "
        "masks, or the word `synthetic`"
    )


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # Python's stand-ins for bytes that are no text
        return False
    return True


def _check_size(name: str, size: int, problems: Problems) -> None:
    if size > MAX_FILE_BYTES:
        problems.add(name, f"{size:,} bytes; at most {MAX_FILE_BYTES:,} are read")


def _check_totals(files: int, size: int, problems: Problems) -> None:
    if files > MAX_FILES:
        problems.add("all files", f"{files:,} of them; at most {MAX_FILES:,} are read")
    if size > MAX_TOTAL_BYTES:
        problems.add("all files", f"{size:,} bytes; at most {MAX_TOTAL_BYTES:,} are read")
