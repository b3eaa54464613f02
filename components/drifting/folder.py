"""Reads a folder of images that production saw: no masks, no ids, and nobody vouches for them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.drifting.arrivals import Arrivals, Pixels, in_threads
from components.drifting.relations import group_by_look
from components.ingestion.clusters import modality
from components.ingestion.fingerprints import Fingerprint, fingerprint
from components.ingestion.problems import Problems
from segtrail.errors import ConfigError, DataError
from segtrail.image_statistics import image_statistics
from segtrail.images import decode_image, page_count
from segtrail.progress import track
from segtrail.recipe import Limits


@dataclass(frozen=True)
class _Page:
    name: str
    path: Path
    number: int


def read_folder(folder: Path, limits: Limits, slices_known: bool) -> Arrivals:
    """Reads all images below a folder; what cannot be read is noted and left out.

    Hidden files are passed over; links are not followed. Every page of a TIFF is an image.

    Args:
        folder: Where the images are, in any sub-folders.
        limits: How large a file and an image may be, and how many files are read.
        slices_known: Whether the slice of an image follows from its modality.

    Raises:
        ConfigError: There is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: expected a folder of images; there is none")
    problems = Problems(str(folder))
    pages = {page.name: page for page in _pages(folder, limits, problems)}

    def look(page: _Page) -> tuple[dict[str, Any], Fingerprint] | None:
        try:
            pixels = _decode(page, limits)
        except (DataError, OSError) as e:
            problems.add(page.name, _what(e, page.name))
            return None
        statistics = image_statistics(pixels)
        kind = modality(pixels, statistics) if slices_known else ""
        return {"image": page.name, "slice": kind} | statistics, fingerprint(pixels)

    rows, prints = [], {}
    for found in track(in_threads(look, pages.values()), "reading images", total=len(pages)):
        if found is not None:
            row, mark = found
            rows.append(row)
            prints[row["image"]] = mark

    def pixels_of(name: str) -> Pixels:
        return _decode(pages[name], limits)

    groups = group_by_look(prints, pixels_of)
    for row in rows:
        row["group"] = groups[row["image"]]
    return Arrivals(
        f"{len(rows)} images of {folder}", rows, False, problems, pixels_of,
        {"folder": str(folder)},
    )  # fmt: skip


def _pages(folder: Path, limits: Limits, problems: Problems) -> Iterator[_Page]:
    total = 0
    for path in _files(folder, problems):
        name = _shown(path.relative_to(folder))
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{name}: expected a file; found a link or a device")
            if status.st_size > limits.file_mib << 20:
                raise DataError(f"{name}: larger than {limits.file_mib} MiB")
            count = page_count(path.read_bytes(), name)
        except (DataError, OSError) as e:
            problems.add(name, _what(e, name))
            continue
        total += count
        if total > limits.files:
            problems.add(name, f"more than {limits.files:,} images; this and the rest are left out")
            return
        for page in range(count):
            yield _Page(f"{name} page {page + 1}" if count > 1 else name, path, page)


def _files(folder: Path, problems: Problems) -> Iterator[Path]:
    def note(e: OSError) -> None:
        problems.add(str(e.filename), f"cannot be read: {e.strerror}")

    for at, folders, files in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(at, name)


def _decode(page: _Page, limits: Limits) -> Pixels:
    return decode_image(
        page.path.read_bytes(), page.name, limits.megapixels * 1_000_000, page.number
    )


def _shown(path: Path) -> str:
    """Returns a path as text that can be written as UTF-8, whatever bytes it has."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _what(error: DataError | OSError, name: str) -> str:
    if isinstance(error, DataError):
        return error.message.removeprefix(f"{name}: ")
    return f"cannot be read: {error.strerror or error}"
