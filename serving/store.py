"""The model store, `<store>/<recipe>/<version>/`: every verified version that ever served.

A model server that polls `<store>/<recipe>` sees a version whole or not at all: it is made in
`<store>/.incoming-…`, checked, and renamed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from segtrail.errors import LineageError
from segtrail.files import fsync_dir
from segtrail.saved_model import PROOF_FOLDER, digest

_INCOMING = ".incoming-"


def place(
    source_dir: Path, store_root: Path, recipe: str, version: int, extra: Mapping[str, bytes]
) -> Path:
    """Puts a SavedModel into the store, durable, read-only and all at once.

    When the same model is there already, nothing is done: its proof stays the first one.

    Args:
        source_dir: The SavedModel.
        store_root: The store; made if it is not there.
        recipe: The model's name.
        version: 1 or more: MLflow's and TF Serving's number.
        extra: Files to add, by path, all below `assets.extra/segtrail/`, where they do not
            count in the model's digest.

    Returns:
        The version's folder.

    Raises:
        LineageError: Another model has this version; the copy differs from the source; the
            source is not a SavedModel, or has symbolic links.
    """
    _check(version, extra)
    expected = _digest(source_dir)
    final = store_root / recipe / str(version)
    if final.exists():
        return _same(final, expected, source_dir)
    store_root.mkdir(parents=True, exist_ok=True)
    with _incoming(store_root) as temporary:
        copy = temporary / "model"
        _copy(source_dir, copy)
        for name, data in extra.items():
            _write(copy / name, data)
        if (found := _digest(copy)) != expected:
            raise LineageError(
                f"{source_dir}: changed while it was copied: digest {expected[:12]} before, "
                f"{found[:12]} in the copy"
            )
        _make_durable(copy)
        final.parent.mkdir(exist_ok=True)
        fsync_dir(store_root)
        try:
            os.rename(copy, final)
        except OSError:
            if final.exists():  # another process was faster
                return _same(final, expected, source_dir)
            raise
        fsync_dir(final.parent)
    return final


def versions(store_root: Path, recipe: str) -> list[int]:
    """Returns the versions of a model that are in the store, ascending."""
    folder = store_root / recipe
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if path.is_dir())
    return sorted(int(name) for name in names if _is_version(name))


def withdraw(store_root: Path, recipe: str, version: int) -> None:
    """Removes a version that never served; cut off half-way, `sweep` does the rest."""
    folder = store_root / recipe / str(version)
    if folder.exists():
        folder.rename(store_root / f"{_INCOMING}{recipe}-{version}")
        sweep(store_root)


def sweep(store_root: Path) -> list[Path]:
    """Removes what a crash in the middle of `place` left; returns what it removed.

    A copy that is still going on, in another process, is left alone.
    """
    removed = []
    for path in sorted(store_root.glob(f"{_INCOMING}*")):
        with _lock(path) as free:
            if free:
                shutil.rmtree(path)
                removed.append(path)
    return removed


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdigit() and name == str(int(name)) and int(name) > 0


def _check(version: int, extra: Mapping[str, bytes]) -> None:
    if version < 1:
        raise ValueError(f"expected a version of 1 or more; received {version}")
    for name in extra:
        parts = PurePosixPath(name).parts
        if not name.startswith(f"{PROOF_FOLDER}/") or ".." in parts:
            raise ValueError(f"expected extra files below {PROOF_FOLDER}/; received {name!r}")


def _digest(model: Path) -> str:
    if not (model / "saved_model.pb").is_file():
        raise LineageError(f"{model}: not a SavedModel: it has no saved_model.pb")
    try:
        return digest(model)
    except ValueError as e:
        raise LineageError(str(e), "store a SavedModel without symbolic links") from None


def _same(final: Path, expected: str, source: Path) -> Path:
    found = _digest(final)
    if found != expected:
        raise LineageError(
            f"{final}: holds another model (digest {found[:12]}) than {source} "
            f"(digest {expected[:12]}); a version is never replaced",
            f"segtrail audit {final.parent.name}",
        )
    return final


@contextlib.contextmanager
def _incoming(store_root: Path) -> Iterator[Path]:
    """Yields a locked temporary folder in the store, and removes it."""
    while True:
        temporary = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=store_root))
        with _lock(temporary) as locked:
            if not locked:  # a sweep took it before we could
                continue
            try:
                yield temporary
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            return


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Yields whether the folder's lock could be had; a process that dies lets go of it."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        yield False
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(fd)


def _copy(source: Path, target: Path) -> None:
    """Copies folders and contents; never links, since a linked file could change later."""
    target.mkdir()
    for path in sorted(source.rglob("*")):
        to = target / path.relative_to(source)
        if path.is_dir():
            to.mkdir()
        else:
            shutil.copyfile(path, to)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _make_durable(root: Path) -> None:
    """Makes every file read-only, and flushes files and folders to the disk."""
    for path in (*root.rglob("*"), root):
        if path.is_dir():
            path.chmod(0o755)
            fsync_dir(path)
            continue
        with open(path, "rb") as f:
            os.fsync(f.fileno())
        path.chmod(0o444)
