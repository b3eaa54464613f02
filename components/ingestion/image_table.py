"""The table `images.csv` of a delivery: what its owner says about its images."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from components.ingestion.archive import Source
from components.ingestion.problems import Problems
from components.ingestion.reading import read_text
from segtrail.errors import DataError
from segtrail.settings.base import ALL

TABLE = "images.csv"
_COLUMNS = ("image", "slice", "group")
_SLICE = re.compile(r"[a-z0-9][a-z0-9-]*")  # as names in params.yaml, whose gate rules use it


@dataclass(frozen=True)
class ImageRow:
    """What the table says of an image; empty where it says nothing."""

    slice: str = ""
    group: str = ""


@dataclass
class ImageTable:
    """The rows by image.

    Attributes:
        name: Of the file; empty if there is none.
        rows: By id.
    """

    name: str = ""
    rows: dict[str, ImageRow] = field(default_factory=dict)

    def of(self, image: str, problems: Problems, file: str) -> ImageRow:
        """Returns an image's row; notes that there is none, if there is a table."""
        if self.name and image not in self.rows:
            problems.add(file, f"expected a row in {self.name}, found none", "add the row", image)
        return self.rows.get(image, ImageRow())

    def note_unused(self, images: Collection[str], problems: Problems) -> None:
        """Notes rows without an image: a slip of the pen there would go unseen."""
        for image in sorted(set(self.rows).difference(images)):
            problems.add(
                self.name,
                f"a row for {image!a}, of which there is no image",
                "mend the name, or take the row out",
                image,
            )


def read_table(source: Source, names: Sequence[str], problems: Problems) -> ImageTable:
    """Reads the table of a delivery, if there is one; notes what is wrong with it."""
    if not names:
        return ImageTable()
    name = names[0]
    if len(names) > 1:
        problems.add(names[1], f"a second {TABLE}, beside {name}", "keep one")
    table = ImageTable(name)
    try:
        reader = csv.DictReader(io.StringIO(read_text(source, name), newline=""), strict=True)
        found = tuple(column.strip() for column in reader.fieldnames or ())
        if "image" not in found or set(found) - set(_COLUMNS) or len(set(found)) < len(found):
            problems.add(
                name,
                f"expected the columns image, slice and group (image, and what you have of the "
                f"others), found {', '.join(found)[:80]}",
                "mend the first line",
            )
            return ImageTable()
        reader.fieldnames = found
        for row in reader:
            _take(table, row, reader.line_num, problems)
    except (DataError, csv.Error) as e:
        what = e.message if isinstance(e, DataError) else str(e)
        problems.add(name, f"cannot be read as CSV: {what.removeprefix(f'{name}: ')}")
        return ImageTable()
    return table


def _take(table: ImageTable, row: dict[str, str], line: int, problems: Problems) -> None:
    if None in row or None in row.values():
        problems.add(table.name, f"line {line}: more or fewer cells than columns", "mend the row")
        return
    cells = {key: value.strip() for key, value in row.items()}
    image, slice_ = _id(cells["image"]), cells.get("slice", "")
    if image in table.rows:
        problems.add(table.name, f"line {line}: a second row for {image!a}", "keep one")
    elif slice_ and not _SLICE.fullmatch(slice_):
        problems.add(
            table.name,
            f"line {line}: expected a slice of lower-case letters, digits and -, found {slice_!a}",
            "rename it",
            image,
        )
        table.rows[image] = ImageRow()
    elif slice_ == ALL:
        problems.add(
            table.name,
            f"line {line}: the slice {ALL} stands for every image, in gate rules and reports",
            "name it otherwise",
            image,
        )
        table.rows[image] = ImageRow()
    else:
        table.rows[image] = ImageRow(slice_, cells.get("group", ""))


def _id(path: str) -> str:
    """Returns the id of a path below `images/`, with or without that folder and the ending."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if parts and parts[0].casefold() == "images":
        parts = parts[1:]
    joined = "-".join(parts)
    stem, dot, ending = joined.rpartition(".")
    known = ("png", "jpg", "jpeg", "bmp", "tif", "tiff")
    return stem if dot and ending.lower() in known else joined
