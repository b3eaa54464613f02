"""Where the results of batch inference lie, and what its working files are called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from segtrail.errors import ConfigError
from segtrail.files import read_json

KIND = "segtrail batch"
MASK, LABELS = ".mask.png", ".labels.png"  # after the whole name: a.png and a.tif are two images
_ANOTHER = "name another OUT"


class Part(NamedTuple):
    """The rows of one chunk of images, until they are merged.

    Attributes:
        run: Which run wrote it; a later one has a higher number, and knows better.
        number: Of the chunk.
        images: A Parquet file; written last, so that without it there is no part.
        objects: A Parquet file.
    """

    run: int
    number: int
    images: Path
    objects: Path


@dataclass(frozen=True)
class Output:
    """The folder OUT."""

    root: Path

    @property
    def images(self) -> Path:
        return self.root / "images.parquet"

    @property
    def objects(self) -> Path:
        return self.root / "objects.parquet"

    @property
    def bad(self) -> Path:
        return self.root / "bad.csv"

    @property
    def about(self) -> Path:
        return self.root / "batch.json"

    @property
    def tables(self) -> tuple[Path, ...]:
        return self.images, self.objects, self.bad

    @property
    def masks(self) -> Path:
        return self.root / "masks"

    @property
    def work(self) -> Path:
        """What an unfinished run leaves; hidden, so that nobody takes it for a result."""
        return self.root / ".batch"

    @property
    def todo(self) -> Path:
        """A line a chunk: see `components.batching.chunks`."""
        return self.work / "todo.jsonl"

    @property
    def parts_folder(self) -> Path:
        return self.work / "parts"

    def mask(self, image: str) -> Path:
        return self.masks / f"{image}{MASK}"

    def labels(self, image: str) -> Path:
        return self.masks / f"{image}{LABELS}"

    def part(self, run: int, number: int) -> Part:
        stem = f"{run}-{number}"
        return Part(
            run,
            number,
            self.parts_folder / f"{stem}.images.parquet",
            self.parts_folder / f"{stem}.objects.parquet",
        )

    def parts(self) -> list[Part]:
        """Returns the parts that are there, whole, in the order of runs and chunks."""
        names = (path.name.partition(".")[0] for path in self.parts_folder.glob("*.images.parquet"))
        pairs = (name.split("-") for name in names if name)  # not of what is being written
        return sorted(self.part(int(run), int(number)) for run, number in pairs)

    def read_about(self) -> dict[str, Any] | None:
        """Returns `batch.json`; None: nothing is here yet.

        Raises:
            ConfigError: The folder has something else in it.
        """
        if not self.root.exists():
            return None
        try:
            if {path.name for path in self.root.iterdir()} <= {self.work.name}:
                return None
            about = read_json(self.about)
            if about["kind"] == KIND:
                return dict(about)
        except (OSError, ValueError, LookupError, TypeError):
            pass
        raise ConfigError(
            f"{self.root}: expected a new or empty folder, or one that segtrail batch wrote; "
            "it has something else in it",
            _ANOTHER,
        )
