"""Atomic writes and content digests of files and folders."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PUBLIC, PRIVATE = 0o644, 0o600  # who may read a file: everybody, or this user alone
_CHUNK = 1 << 20
_AT_FDCWD, _EXCHANGE = -100, 2  # of linux/fcntl.h and linux/fs.h


def sha256_bytes(data: bytes) -> str:
    """Returns the hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Returns the hex SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def tree_digests(root: Path, skip: Callable[[str], bool] | None = None) -> dict[str, str]:
    """Returns `{relative posix path: hex SHA-256}` of all files below `root`, sorted by path.

    Args:
        root: A folder. A symbolic link inside it is refused: its target may change unseen.
        skip: Says of a relative path whether to leave it out.
    """
    out: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if skip and skip(name):
            continue
        if path.is_symlink():
            raise ValueError(f"{path}: symbolic links are not hashed")
        if path.is_file():
            out[name] = sha256_file(path)
    return dict(sorted(out.items()))


def root_digest(digests: dict[str, str]) -> str:
    """Returns one SHA-256 over `{path: digest}`: of the lines `<digest>  <path>\\n`, by path.

    The same number as `find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum`
    gives for the same files (paths without the leading `./`).
    """
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return sha256_bytes(lines.encode())


def fsync_dir(path: Path) -> None:
    """Makes renames inside `path` durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def exchange(first: Path, second: Path) -> bool:
    """Swaps two paths of one file system in one step; both are there at any time.

    Returns:
        Whether that was done: Linux's renameat2 (since 3.15) is not on every system.
    """
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _EXCHANGE)
    return bool(done == 0)


@contextlib.contextmanager
def atomic_path(path: Path, mode: int = PUBLIC) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it to `path` when the block succeeds.

    Its lock is held meanwhile, so that one which a killed process left can be told from it.

    Args:
        path: Of the file.
        mode: Of the file, once it is there; before, it is `PRIVATE`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    _lock(fd)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as f:
            os.fsync(f.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
        fsync_dir(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def write_bytes(path: Path, data: bytes, mode: int = PUBLIC) -> None:
    """Writes `data` to `path` atomically."""
    with atomic_path(path, mode) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str, mode: int = PUBLIC) -> None:
    """Writes `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode(), mode)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` to `path` atomically: see `json_bytes`."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Returns indented JSON with sorted keys: equal values are equal bytes."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path` that replaces `path` when the block succeeds.

    Its lock is held meanwhile: see `atomic_path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    os.chmod(temporary, 0o755)
    fd = os.open(temporary, os.O_RDONLY)
    _lock(fd)
    try:
        yield temporary
        if path.exists() and not exchange(temporary, path):
            shutil.rmtree(path)
        if not path.exists():
            os.replace(temporary, path)
        fsync_dir(path.parent)
        shutil.rmtree(temporary, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        os.close(fd)


def _lock(fd: int) -> None:
    with contextlib.suppress(OSError):  # a file system without locks: then age alone tells
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
