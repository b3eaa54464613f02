"""The layout of Drishti-GS1: optic disc and cup in retinal photographs.

`.../Images/.../drishtiGS_NNN.png` and, for each, the soft maps of four experts,
`drishtiGS_NNN_ODsegSoftmap.png` and `drishtiGS_NNN_cupsegSoftmap.png`, in any folder. The value
of a pixel says how many experts marked it: 0, 64, 128, 191, 255 for none to all. Images below
`Test/` without soft maps are left alone.

101 photographs, taken at the Aravind eye hospital, Madurai. Research use, citing J. Sivaswamy,
S. R. Krishnadas, G. D. Joshi, M. Jain, A. U. S. Tabish: Drishti-GS: retinal image dataset for
optic nerve head (ONH) segmentation, ISBI 2014, 53-56. The publisher does not say which of the
photographs, if any, are of one person, so no groups can be given.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from components.ingestion.adapter import Adapter, Item, Mask, register
from components.ingestion.archive import Source
from components.ingestion.problems import Problems
from components.ingestion.reading import read_values
from components.ingestion.values import require_values
from segtrail.errors import DataError
from segtrail.settings.dataset import MaskKind

LEVELS = (0, 64, 128, 191, 255)
AGREED = 191  # three of four experts: the publisher's and the usual ground truth
DISC, CUP = 1, 2  # bits

_IMAGE = re.compile(r"(?:.*/)?Images/(?:.*/)?(drishtiGS_\d{1,6})\.png", re.IGNORECASE)
_SOFT_MAP = re.compile(
    r"(?:.*/)?(drishtiGS_\d{1,6})_(ODsegSoftmap|cupsegSoftmap)\.png", re.IGNORECASE
)
_TEST = re.compile(r"(?:.*/)?Test/.*", re.IGNORECASE)
_KINDS = ("image", "ODsegSoftmap", "cupsegSoftmap")


@register
class DrishtiGs(Adapter):
    """One eye an image; a pixel is disc or cup where at least three experts say so.

    Every eye has an optic disc: a map without one is refused, and so is a cup map that no
    expert has marked at all. A cup on which no three of them agree may be.
    """

    name: ClassVar[str] = "drishti-gs"
    layout: ClassVar[str] = (
        "Images/.../drishtiGS_NNN.png, drishtiGS_NNN_{ODseg,cupseg}Softmap.png: "
        "how many of four experts"
    )
    licence: ClassVar[str] = "research use, citing Sivaswamy et al., ISBI 2014"
    masks: ClassVar[MaskKind | None] = "multilabel"
    classes: ClassVar[tuple[str, ...]] = ("disc", "cup")

    def find(self, source: Source, problems: Problems) -> list[Item]:
        """See `Adapter.find`. Boundaries, tables and notes are left alone."""
        found: dict[str, dict[str, str]] = {}
        for name in sorted(source.names):
            if match := _SOFT_MAP.fullmatch(name):
                kind = _KINDS[1] if match[2].lower().startswith("od") else _KINDS[2]
                _place(found, match[1], kind, name, problems)
            elif match := _IMAGE.fullmatch(name):
                _place(found, match[1], "image", name, problems)
            elif name.lower().endswith(".png") and not _TEST.fullmatch(name):
                problems.add(
                    name,
                    "not in its place: expected Images/drishtiGS_NNN.png, "
                    "drishtiGS_NNN_ODsegSoftmap.png or drishtiGS_NNN_cupsegSoftmap.png",
                    "move it, or take it out",
                )
        found = {
            key: files
            for key, files in found.items()
            if set(files) != {"image"} or not _TEST.fullmatch(files["image"])
        }
        if not found and not problems:
            problems.add(
                "the whole source", "no images: expected Images/drishtiGS_NNN.png, found none"
            )
        items = []
        for key, files in sorted(found.items()):
            if missing := [kind for kind in _KINDS if kind not in files]:
                problems.add(
                    min(files.values()),
                    f"{key}: expected the image and the soft maps ODsegSoftmap and cupsegSoftmap, "
                    f"found no {' and no '.join(missing)}",
                    "add what is missing, or take the image out",
                    key,
                )
            else:
                image, *maps = (files[kind] for kind in _KINDS)
                items.append(Item(key, image, tuple(maps)))
        return items

    def read_mask(
        self, source: Source, item: Item, size: tuple[int, int], problems: Problems
    ) -> Mask | None:
        """See `Adapter.read_mask`."""
        disc, cup = (self._agreed(source, name, size) for name in item.masks)
        if not disc.any():
            raise DataError(
                f"{item.masks[0]}: no optic disc: expected pixels of at least {AGREED} (three of "
                "four experts), found none",
                "take the image out",
            )
        if outside := int(np.count_nonzero(cup & ~disc)):
            raise DataError(
                f"{item.masks[1]}: expected the optic cup inside the optic disc, found {outside:,} "
                f"of its {np.count_nonzero(cup):,} pixels outside",
                "see whether the two maps are of one eye",
            )
        return Mask(disc * np.uint16(DISC) + cup * np.uint16(CUP))

    def _agreed(self, source: Source, name: str, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
        values = read_values(source, name, size, self.dataset.limits)
        counts = require_values(
            values,
            LEVELS,
            name,
            "a soft map of the values 0, 64, 128, 191 and 255",
            "deliver the publisher's map, not resized nor smoothed",
        )
        if set(counts) == {0}:
            raise DataError(
                f"{name}: all black: expected what at least one expert has marked", "take it out"
            )
        return np.asarray(values >= AGREED)


def _place(
    found: dict[str, dict[str, str]], key: str, kind: str, name: str, problems: Problems
) -> None:
    key = f"drishtiGS_{key.rpartition('_')[2]}"  # however it is written
    first = found.setdefault(key, {}).setdefault(kind, name)
    if first != name:
        problems.add(name, f"{key} again, after {first}", "keep one of the two", key)
