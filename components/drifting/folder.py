"""Reads a folder of images that production saw: no masks, no ids, and nobody vouches for them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.drifting.arrivals import Arrivals, Pixels, in_threads
from components.drifting.baseline import Baseline
from components.drifting.relations import group_by_look
from components.ingestion.clusters import modality
from components.ingestion.fingerprints import Fingerprint, fingerprint
from components.ingestion.problems import Problems
from segtrail import png
from segtrail.errors import DataError
from segtrail.files import sha256_bytes
from segtrail.image_files import BMP, JPEG, PNG
from segtrail.image_statistics import image_statistics
from segtrail.images import decode_image, page_count
from segtrail.progress import track
from segtrail.settings.dataset import Limits
from segtrail.tiff_directory import MAGIC as TIFF

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_STARTS = (PNG, JPEG, BMP, *TIFF)


@dataclass(frozen=True)
class _Page:
    name: str
    path: Path
    number: int


def read_folder(folder: Path, limits: Limits, slices_known: bool, baseline: Baseline) -> Arrivals:
    """Reads all images below a folder; what cannot be read is noted and left out.

    Hidden files are passed over; links are not followed. Every page of a TIFF is an image.

    Args:
        folder: Where the images are, in any sub-folders.
        limits: How large a file and an image may be, and how many files are read.
        slices_known: Whether the slice of an image follows from its modality.
        baseline: Says which images the champion learnt from.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    shown = shown_path(folder)
    if not folder.is_dir():
        raise DataError(f"{shown}: expected a folder of images; there is none")
    problems = Problems(shown)
    pages = {page.name: page for page in _pages(folder, limits, problems)}
    learnt_from: set[str] = set()
    no_images: set[str] = set()

    def look(page: _Page) -> tuple[dict[str, Any], Fingerprint] | None:
        content = b""
        try:
            content = page.path.read_bytes()
            pixels = _decode(page, content, limits)
        except (DataError, OSError) as e:
            problems.add(page.name, _what(e, page.name))
            named = page.path.suffix.lower() in _SUFFIXES
            if not named and not content.startswith(_STARTS):
                no_images.add(page.name)
            return None
        if _is_known(content, pixels, baseline):
            learnt_from.add(page.name)
        statistics = image_statistics(pixels)
        kind = modality(pixels, statistics) if slices_known else ""
        return {"image": page.name, "slice": kind} | statistics, fingerprint(pixels)

    rows, prints = [], {}
    for found in track(in_threads(look, pages.values()), "reading images", total=len(pages)):
        if found is not None:
            row, mark = found
            rows.append(row)
            prints[row["image"]] = mark

    if not rows and len(problems) == len(no_images):
        other = f"; it has {min(no_images)!a}" if no_images else ""
        raise DataError(
            f"no image in {shown}: PNG, JPEG, BMP or TIFF files are looked for{other}",
            "name the folder with the images",
        )

    def pixels_of(name: str) -> Pixels:
        return _decode(pages[name], pages[name].path.read_bytes(), limits)

    groups = group_by_look(prints, pixels_of)
    for row in rows:
        row["group"] = groups[row["image"]]
    return Arrivals(
        f"{len(rows)} images of {shown}", rows, False, problems, pixels_of,
        {"folder": shown, "training_images": len(learnt_from)},
    )  # fmt: skip


def shown_path(path: Path) -> str:
    """Returns a path for people: without `..`, and relative to where they are, if below it."""
    full = path.resolve()
    here = Path.cwd().resolve()
    return str(full.relative_to(here) if full.is_relative_to(here) else full)


def _is_known(content: bytes, pixels: Pixels, baseline: Baseline) -> bool:
    """Whether a file, or this page of it, landed as one of the training images."""
    digest = sha256_bytes(content)
    if digest in baseline.learnt_from:
        return True
    return digest in baseline.delivered and sha256_bytes(png.encode(pixels)) in baseline.learnt_from


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


def _decode(page: _Page, content: bytes, limits: Limits) -> Pixels:
    return decode_image(content, page.name, limits.megapixels * 1_000_000, page.number)


def _shown(path: Path) -> str:
    """Returns a path as text that can be written as UTF-8, whatever bytes it has."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _what(error: DataError | OSError, name: str) -> str:
    if isinstance(error, DataError):
        return error.message.removeprefix(f"{name}: ")
    return f"cannot be read: {error.strerror or error}"
