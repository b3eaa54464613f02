"""Which images are asked for: all below a folder, or those that a list names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.batching.output import LABELS, MASK
from segtrail.errors import ConfigError, DataError
from segtrail.image_files import BMP, JPEG, PNG
from segtrail.tiff_directory import MAGIC as TIFF

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_LONGEST = 200  # bytes of a file's name: those of its results, while they are written, are longer


@dataclass(frozen=True)
class Sources:
    """What was found.

    Attributes:
        paths: The file of each image, by its name, in the order of the names. A name is a
            relative path, with `/`.
        unnamed: What is wrong with those whose names cannot be written down, by name.
        others: How many files in the folder are not called like an image.
    """

    paths: dict[str, str]
    unnamed: dict[str, str]
    others: int = 0


def find(source: Path, out: Path) -> Sources:
    """Returns the images that `source` means; their content is not looked at.

    Of a folder these are the files below it that end like an image; hidden ones are passed over,
    links to folders are not followed. A list is a text file with a path on each line, relative to
    the list's folder or absolute; what it names is an image, whatever it is called.

    Args:
        source: A folder, or a list.
        out: Where results go; what lies there is no source.

    Raises:
        DataError: No such folder or list, no image in it, two that would have one name, or a
            name that a folder of results would have.
        ConfigError: `source` is an image; or `out` is `source`.
    """
    if source.resolve() == out.resolve():
        raise ConfigError(f"{out}: is both IN and OUT", "name another folder as OUT")
    others, found = 0, {}
    if source.is_dir():
        for path in _files(source, out):
            if path.suffix.lower() in SUFFIXES:
                found[path.relative_to(source).as_posix()] = os.path.abspath(path)
            else:
                others += 1
    else:
        for path in _listed(source):
            name = _name(path, source)
            known = found.get(name)
            if known not in (None, str(path)):
                raise DataError(f"{source}: {known} and {path} would both be called {name}")
            found[name] = str(path)
    if not found:
        kinds = "PNG, JPEG, BMP or TIFF files are looked for" if source.is_dir() else "it is empty"
        more = f"; there is {other_files(others)}" if others else ""
        raise DataError(f"no image in {source}: {kinds}{more}", "name the folder with the images")
    unnamed = {name: says for name in found if (says := _problem(name))}
    paths = {name: found[name] for name in sorted(found) if name not in unnamed}
    _refuse_folders_of_results(paths)
    shown = {os.fsencode(k).decode("utf-8", "backslashreplace"): v for k, v in unnamed.items()}
    return Sources(paths, shown, others)


def other_files(count: int) -> str:
    """Returns so many in words."""
    return "one other file" if count == 1 else f"{count:,} other files"


def _files(folder: Path, out: Path) -> Iterator[Path]:
    def stop(e: OSError) -> None:
        raise DataError(f"{e.filename}: cannot be read: {e.strerror}")

    skip = os.path.realpath(out)
    for at, folders, files in os.walk(folder, onerror=stop):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(at, name)) != skip
        ]
        yield from (Path(at, name) for name in files if not name.startswith("."))


def _listed(path: Path) -> list[Path]:
    try:
        content = path.read_bytes()
    except OSError as e:
        raise DataError(
            f"{path}: cannot be read: {e.strerror}; expected a folder of images, or a text file "
            "with a path on each line"
        ) from None
    if content.startswith((PNG, JPEG, BMP, *TIFF)):
        raise ConfigError(
            f"{path}: is an image; expected a folder of images, or a text file with a path on "
            "each line",
            f"segtrail batch {path.parent} OUT   (or, of a few images: segtrail predict)",
        )
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as e:
        raise DataError(f"{path}: expected a text file in UTF-8: {e}") from None
    folder = os.path.abspath(path.parent)
    return [Path(os.path.abspath(os.path.join(folder, line))) for line in lines if line.strip()]


def _name(path: Path, listed_in: Path) -> str:
    folder = os.path.abspath(listed_in.parent)
    below = path.relative_to(folder) if path.is_relative_to(folder) else path.relative_to("/")
    return below.as_posix()


def _problem(name: str) -> str | None:
    try:
        longest = max(len(part.encode()) for part in name.split("/"))
    except UnicodeEncodeError:
        return "its path is not text in UTF-8: rename it"
    if longest > _LONGEST:
        return f"a name in its path has {longest} bytes; at most {_LONGEST} are taken: rename it"
    return None


def _refuse_folders_of_results(paths: dict[str, str]) -> None:
    folders = {str(up) for name in paths for up in Path(name).parents}
    for folder in folders:
        for end in (MASK, LABELS):
            if folder.endswith(end) and folder.removesuffix(end) in paths:
                raise DataError(
                    f"{folder}: is a folder of images, and would be a file of results of "
                    f"{folder.removesuffix(end)}",
                    "rename the folder",
                )
