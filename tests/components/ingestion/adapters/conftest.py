"""A bench on which deliveries are made, and read by an adapter."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.ingestion.adapter import Item, adapter_for
from components.ingestion.archive import open_source
from components.ingestion.problems import Problem, Problems
from components.ingestion.reading import Delivered
from segtrail import png
from segtrail.errors import DataError
from segtrail.settings.dataset import Dataset


@dataclass
class Read:
    """What an adapter made of a delivery.

    Attributes:
        items: By id.
        images: Those that could be read, by id.
        masks: Values of those that could be read, by id.
        overlaps: What the masks say of overlaps, by id.
        notes: What the masks say was mended, by id.
        problems: What is wrong; the files' own errors as ingestion notes them.
    """

    items: dict[str, Item]
    images: dict[str, Delivered] = field(default_factory=dict)
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    overlaps: dict[str, int] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def says(self, *words: str, image: str | None = None) -> bool:
        """Whether one problem has all these words, and is about this image."""
        return any(
            all(word in str(problem) for word in words) and image in (None, problem.image)
            for problem in self.problems
        )


class Bench:
    """Files of one delivery.

    Args:
        root: An empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root / "delivery"
        self.root.mkdir()

    def image(self, name: str, pixels: np.ndarray) -> Path:
        """Writes an image in the format that its name says."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            path.write_bytes(png.encode(pixels))
        else:
            bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
            path.write_bytes(cv2.imencode(path.suffix, bgr)[1].tobytes())
        return path

    def pages(self, name: str, pages: list[np.ndarray]) -> Path:
        """Writes a TIFF of several pages."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwritemulti(str(path), pages)
        return path

    def text(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def zipped(self) -> Path:
        archive = self.root.with_suffix(".zip")
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as z:
            for path in sorted(self.root.rglob("*")):
                if path.is_file():
                    z.write(path, path.relative_to(self.root).as_posix())
        return archive

    def read(self, adapter: str, masks: str, *classes: str, source: Path | None = None) -> Read:
        """Reads all of it, as ingestion does before anything lands."""
        settings = Dataset(
            adapter=adapter, masks=masks, classes=list(classes), slices={}, splits={}
        )
        return read(settings, source or self.root)


def read(settings: Dataset, path: Path) -> Read:
    adapter = adapter_for(settings)
    with open_source(path) as source:
        problems = Problems(source.name)
        found = adapter.find(source, problems)
        out = Read({item.id: item for item in found})
        assert len(out.items) == len(found), "ids must differ"
        for item in found:
            try:
                out.images[item.id] = image = adapter.read_image(source, item)
                mask = adapter.read_mask(source, item, image.pixels.shape[:2], problems)
            except DataError as e:
                problems.add(e.message.partition(": ")[0], e.message, e.hint or "", item.id)
                continue
            if mask is None:
                assert any(p.image == item.id for p in problems), "refused without a word"
                continue
            assert mask.values.dtype == np.uint16
            assert mask.values.shape == image.pixels.shape[:2]
            out.masks[item.id], out.overlaps[item.id] = mask.values, mask.overlap
            out.notes[item.id] = mask.note
    out.problems = list(problems)
    return out


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def read_delivery():
    return read
