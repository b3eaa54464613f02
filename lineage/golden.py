"""Golden images: a few test images with the answers that the evaluated model gave.

They lie beside the provenance in the stored model, so that any server of it can be asked for
them later, without the artifacts of the run: see `lineage.golden_answers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtrail.errors import LineageError
from segtrail.files import read_json
from segtrail.saved_model import PROOF_FOLDER

FOLDER = f"{PROOF_FOLDER}/golden"
INDEX = "golden.json"


@dataclass(frozen=True)
class Golden:
    """One image, encoded as it was asked, and what was answered.

    Attributes:
        name: Of the image.
        image: As asked.
        mask: The mask's PNG.
        count: How many objects; None where they are not told apart.
        classes: Names of the K classes of `probabilities`.
        probabilities: A PNG a class; empty in goldens of an earlier segtrail.
    """

    name: str
    image: bytes
    mask: bytes
    count: int | None = None
    classes: tuple[str, ...] = ()
    probabilities: tuple[bytes, ...] = ()


def read(folder: Path) -> list[Golden]:
    """Returns the golden images of a folder, by name.

    Raises:
        LineageError: There is none, or a file is missing.
    """
    try:
        index = dict(sorted(read_json(folder / INDEX).items()))
        found = [_read_one(folder, name, record) for name, record in index.items()]
    except (OSError, ValueError, TypeError, AttributeError) as e:
        raise LineageError(f"{folder}: golden images not readable: {e}") from None
    if not found:
        raise LineageError(f"{folder / INDEX}: names no image")
    return found


def files(folder: Path) -> dict[str, bytes]:
    """Returns the golden files as `{path in the stored model: content}`."""
    return {f"{FOLDER}/{p.name}": p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def _read_one(folder: Path, name: str, record: Mapping[str, Any]) -> Golden:
    classes = tuple(record.get("classes", ()))
    return Golden(
        name,
        (folder / f"{name}.png").read_bytes(),
        (folder / f"{name}.mask.png").read_bytes(),
        record.get("count"),
        classes,
        tuple(
            (folder / f"{name}.probability.{number}.png").read_bytes()
            for number in range(1, len(classes) + 1)
        ),
    )
