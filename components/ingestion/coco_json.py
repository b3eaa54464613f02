"""Reads COCO's annotation files, that nobody vouches for.

Only what segmentation needs is looked at: `images`, `categories`, and of `annotations` the image,
the category, `iscrowd` and `segmentation`, which `components.ingestion.coco_masks` checks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from components.ingestion.problems import Problems
from segtrail.errors import DataError

# Python's objects take up to 20 times a JSON file's size. 64 MiB hold about 100,000 outlines.
MAX_BYTES = 64 << 20
_SHOWN = 20


@dataclass(frozen=True)
class Region:
    """One annotation.

    Attributes:
        name: What messages call it, by its id in the file.
        category: The name of its category.
        segmentation: Polygons or run lengths, as they are in the file: not checked.
        crowd: Whether it is a region of many objects not told apart.
    """

    name: str
    category: str
    segmentation: Any
    crowd: bool


@dataclass(frozen=True)
class Picture:
    """One image.

    Attributes:
        file_name: As the file says, of any tool's habit.
        size: Height and width as the file says; None if it does not.
        regions: Its annotations, in the order of the file.
    """

    file_name: str
    size: tuple[int, int] | None
    regions: tuple[Region, ...]


def parse(content: bytes, name: str, problems: Problems) -> list[Picture]:
    """Returns the images of an annotation file, with their annotations.

    Entries that cannot be understood are noted, at most 20; as it cannot be said which image
    such an entry is about, they concern the whole delivery.
    """
    try:
        document = _document(content, name)
        categories = dict(_each(document, "categories", _category, name, problems))
        numbered = list(_each(document, "images", _picture, name, problems))
        regions: dict[int, list[Region]] = {number: [] for number, _ in numbered}
        if len(regions) < len(numbered):
            problems.add(name, "images: two entries have the same id", "export it again")

        def region(entry: dict[str, Any], at: str) -> tuple[int, Region]:
            return _region(entry, at, categories, regions)

        for image, found in _each(document, "annotations", region, name, problems):
            regions[image].append(found)
    except DataError as e:
        problems.add(name, e.message.removeprefix(f"{name}: "), e.hint or "")
        return []
    return [
        Picture(picture.file_name, picture.size, tuple(regions[number]))
        for number, picture in numbered
    ]


def _document(content: bytes, name: str) -> dict[str, Any]:
    if len(content) > MAX_BYTES:
        raise DataError(
            f"{name}: {len(content):,} bytes; at most {MAX_BYTES:,} are read",
            "export the images in several parts, and deliver each",
        )

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a number of JSON")

    try:
        document = json.loads(content.decode("utf-8-sig"), parse_constant=refuse)
    except RecursionError:
        raise DataError(f"{name}: not COCO: nested too deeply") from None
    except ValueError as e:  # also of text that is not UTF-8
        raise DataError(f"{name}: not JSON: {e}", "export the annotations again") from None
    if not isinstance(document, dict):
        raise DataError(f"{name}: not COCO: expected an object, found {_kind(document)}")
    return document


def _each(
    document: dict[str, Any],
    key: str,
    read: Callable[[dict[str, Any], str], tuple[int, Any]],
    name: str,
    problems: Problems,
) -> Iterator[tuple[int, Any]]:
    entries = document.get(key)
    if not isinstance(entries, list):
        raise DataError(
            f"{name}: not COCO: expected a list {key!r}, found {_kind(entries)}",
            "export the annotations as COCO, with masks or polygons",
        )
    bad = 0
    for number, entry in enumerate(entries):
        at = f"{key}[{number}]"
        try:
            if not isinstance(entry, dict):
                raise DataError(f"{at}: expected an object, found {_kind(entry)}")
            yield read(entry, at)
        except DataError as e:
            problems.add(name, e.message, e.hint or "")
            bad += 1
            if bad == _SHOWN:
                raise DataError(
                    f"{name}: {key}: not read further after {bad} bad entries"
                ) from None


def _category(entry: dict[str, Any], at: str) -> tuple[int, str]:
    return _integer(entry, "id", at), _text(entry, "name", at)


def _picture(entry: dict[str, Any], at: str) -> tuple[int, Picture]:
    size = None
    if entry.get("height") is not None and entry.get("width") is not None:
        size = _integer(entry, "height", at), _integer(entry, "width", at)
    return _integer(entry, "id", at), Picture(_text(entry, "file_name", at), size, ())


def _region(
    entry: dict[str, Any],
    at: str,
    categories: dict[int, str],
    images: dict[int, list[Region]],
) -> tuple[int, Region]:
    image, category = _integer(entry, "image_id", at), _integer(entry, "category_id", at)
    if image not in images:
        raise DataError(f"{at}: image_id {image} is the id of no image")
    if category not in categories:
        raise DataError(f"{at}: category_id {category} is the id of no category")
    crowd = entry.get("iscrowd") or 0
    if crowd not in (0, 1):
        raise DataError(f"{at}: expected iscrowd 0 or 1, found {_kind(crowd)}")
    said = entry.get("id")
    name = f"annotation {said}" if isinstance(said, int) and abs(said) < 1 << 63 else at
    return image, Region(name, categories[category], entry.get("segmentation"), bool(crowd))


def _integer(entry: dict[str, Any], key: str, at: str) -> int:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise DataError(f"{at}: expected {key} to be a whole number, found {_kind(value)}")
    return value


def _text(entry: dict[str, Any], key: str, at: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 4096:
        raise DataError(f"{at}: expected {key} to be a text, found {_kind(value)}")
    return value


def _kind(value: object) -> str:
    """Returns what a value of JSON is, in words: it may be too large to show."""
    if value is None:
        return "none"
    if isinstance(value, str | list | dict):
        kind = {str: "a text", list: "a list", dict: "an object"}[type(value)]
        return f"{kind} of length {len(value):,}"
    return str(value)[:40]
