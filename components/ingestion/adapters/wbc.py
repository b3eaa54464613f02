"""The layout of the white blood cells of Zheng et al.

`Dataset 1/NNN.bmp` and `Dataset 2/NNN.bmp`, each with a mask `NNN.png` of three grey levels, and
the cells' classes in `Class Labels of Dataset N.csv`; also with folders around it all, as in
GitHub's archive of the publisher's repository, https://github.com/zxaoyou/segmentation_WBC.

X. Zheng, Y. Wang, G. Wang, J. Liu: Fast and robust segmentation of white blood cell images by
self-supervised learning, Micron 107, 2018, 55-71. The publisher asks to cite it, and to
acknowledge Jiangxi Tecom Science Corporation for Dataset 1 and the CellaVision blog for
Dataset 2; the repository's LICENSE is the GNU General Public License 3. It warns that some of
the class labels are by the authors and were not checked by experts.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from components.ingestion.adapter import Adapter, Item, Mask, register
from components.ingestion.archive import Source
from components.ingestion.problems import Problems
from components.ingestion.reading import read_text, read_values
from components.ingestion.values import count_values, describe
from segtrail.errors import DataError
from segtrail.settings.dataset import MaskKind

LEVELS = (0, 128, 255)  # background, cytoplasm, nucleus; and 0, 1, 2 in the mask that lands
CELLS = {"1": "neutrophil", "2": "lymphocyte", "3": "monocyte", "4": "eosinophil", "5": "basophil"}

# Five of the publisher's masks have a thin line of other values (2 to 50, at most 0.2 % of the
# pixels) drawn along the border of cytoplasm and background. Such pixels go to the nearest
# level. The distance stays below half the way between two levels, where it would be a guess.
STRAY_DISTANCE = 50
STRAY_FRACTION = 0.005

_FILE = re.compile(r"(?:.*/)?Dataset (\d{1,3})/(\d{1,6})\.(bmp|png)", re.IGNORECASE)
_TABLE = re.compile(r"(?:.*/)?Class Labels of Dataset (\d{1,3})\.csv", re.IGNORECASE)
_PREVIEW = re.compile(r"(?:.*/)?Dataset \d+\.png", re.IGNORECASE)


@register
class Wbc(Adapter):
    """One white cell an image; ids are `d<subset>-<number>`, slices the cells' classes.

    Every cell has a nucleus, so a mask without one is refused.
    """

    name: ClassVar[str] = "wbc"
    layout: ClassVar[str] = (
        "Dataset N/NNN.bmp, Dataset N/NNN.png: 0, 128 cytoplasm, 255 nucleus; "
        "Class Labels of Dataset N.csv"
    )
    licence: ClassVar[str] = "GPL-3.0, citing Zheng et al. 2018, doi:10.1016/j.micron.2018.01.010"
    masks: ClassVar[MaskKind | None] = "classes"
    classes: ClassVar[tuple[str, ...]] = ("cytoplasm", "nucleus")

    def find(self, source: Source, problems: Problems) -> list[Item]:
        """See `Adapter.find`. Rows of the tables without an image are left alone."""
        found: dict[tuple[int, int], _Found] = {}
        tables: dict[int, dict[int, str]] = {}
        for name in sorted(source.names):
            if match := _FILE.fullmatch(name):
                key = int(match[1]), int(match[2])
                at = found.setdefault(key, _Found(f"d{key[0]}-{key[1]:03d}"))
                at.place(name, match[3].lower(), problems)
            elif match := _TABLE.fullmatch(name):
                tables.setdefault(int(match[1]), {}).update(_read_table(source, name, problems))
            elif name.lower().endswith((".bmp", ".png")) and not _PREVIEW.fullmatch(name):
                problems.add(
                    name,
                    "not in its place: expected Dataset N/NNN.bmp or Dataset N/NNN.png",
                    "move it, or take it out",
                )
        for subset in sorted({subset for subset, _ in found} - set(tables)):
            problems.add(
                f"Class Labels of Dataset {subset}.csv",
                "not there: expected the classes of the cells of this subset",
                "add the publisher's table",
            )
        if not found and not problems:
            problems.add(
                "the whole source", "no images: expected Dataset N/NNN.bmp and NNN.png, found none"
            )
        items = []
        for (subset, number), at in sorted(found.items()):
            if item := at.item(tables.get(subset), number, problems):
                items.append(item)
        return items

    def read_mask(
        self, source: Source, item: Item, size: tuple[int, int], problems: Problems
    ) -> Mask | None:
        """See `Adapter.read_mask`."""
        (name,) = item.masks
        values = read_values(source, name, size, self.dataset.limits)
        return _classes(values, name)


@dataclass
class _Found:
    id: str
    files: dict[str, str] = field(default_factory=dict)

    def place(self, name: str, kind: str, problems: Problems) -> None:
        if (first := self.files.setdefault(kind, name)) != name:
            problems.add(
                name, f"the same subset and number as {first}", "keep one of the two", self.id
            )

    def item(self, table: dict[int, str] | None, number: int, problems: Problems) -> Item | None:
        image, mask = self.files.get("bmp"), self.files.get("png")
        if image is None or mask is None:
            there = "image" if image else "mask"
            problems.add(
                image or mask or self.id,
                f"expected an image .bmp and its mask .png, found the {there} alone",
                "add the other, or take it out",
                self.id,
            )
            return None
        if table is not None and number not in table:
            problems.add(
                image,
                f"no class: expected a row {number} in the table of class labels",
                "add the row, or take the image out",
                self.id,
            )
            return None
        return Item(self.id, image, (mask,), slice=(table or {}).get(number, ""))


def _read_table(source: Source, name: str, problems: Problems) -> dict[int, str]:
    """Returns each image's class, by number; notes rows that cannot be understood."""
    out: dict[int, str] = {}
    try:
        rows = list(csv.reader(io.StringIO(read_text(source, name), newline="")))
    except (DataError, csv.Error) as e:
        what = e.message if isinstance(e, DataError) else str(e)
        problems.add(name, f"cannot be read as CSV: {what.removeprefix(f'{name}: ')}")
        return out
    for line, row in enumerate(rows[1:], 2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        number = cells[0] if re.fullmatch(r"[0-9]{1,6}", cells[0]) else None
        if len(cells) < 2 or number is None or cells[1] not in CELLS:
            expected = ", ".join(f"{k} {v}" for k, v in CELLS.items())
            problems.add(
                name,
                f"line {line}: expected an image's number and its class ({expected}), found "
                f"{','.join(cells)[:40]!a}",
                "mend the row",
            )
        elif out.setdefault(int(number), CELLS[cells[1]]) != CELLS[cells[1]]:
            problems.add(name, f"line {line}: image {number} has two classes", "keep one row")
    return out


def _classes(values: npt.NDArray[np.integer], name: str) -> Mask:
    """Returns class indices from grey levels, with a note if some had to be guessed.

    Raises:
        DataError: Too many pixels are between the levels, or there is no nucleus.
    """
    counts = count_values(values)
    strays = {value: n for value, n in counts.items() if value not in LEVELS}
    far = [v for v in strays if min(abs(v - level) for level in LEVELS) > STRAY_DISTANCE]
    share = sum(strays.values()) / values.size
    if far or share > STRAY_FRACTION:
        raise DataError(
            f"{name}: expected the grey levels 0, 128 and 255, found also {describe(strays)}; at "
            f"most {STRAY_FRACTION:.1%} of the pixels may be up to {STRAY_DISTANCE} beside a level",
            "draw the mask in three levels, without smoothing",
        )
    if not counts.get(LEVELS[2]):
        raise DataError(
            f"{name}: no nucleus: expected pixels of 255, found none",
            "draw the nucleus, or take the image out",
        )
    said = f"{name}: beside the grey levels, set to the nearest: {describe(strays)}"
    distances = np.abs(np.arange(256)[:, None] - np.array(LEVELS))
    classes = distances.argmin(1).astype(np.uint16)[values]
    return Mask(classes, note=said if strays else "")
