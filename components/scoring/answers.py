"""What a model answered for each test image, kept as PNG for reports and comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.evaluation import Answer
from segtrail.errors import StageError
from segtrail.files import write_bytes
from segtrail.task import Task

_MASKS, _LABELS = "predictions", "objects"


@dataclass(frozen=True)
class Said:
    """Of one image.

    Attributes:
        mask: PNG of classes: what IoU is of.
        labels: PNG of instance ids, what AP is of; None without objects.
    """

    mask: bytes
    labels: bytes | None = None


def keep(folder: Path, answer: Answer) -> None:
    """Writes `predictions/<image>.png`, and with objects `objects/<image>.png`."""
    name = f"{answer.example.image}.png"
    write_bytes(folder / _MASKS / name, answer.mask_png)
    if answer.labels_png is not None:
        write_bytes(folder / _LABELS / name, answer.labels_png)


def said(folder: Path, image: str, task: Task) -> Said:
    """Reads them.

    Raises:
        StageError: They are not there, as in an evaluation of an earlier segtrail.
    """
    try:
        mask = (folder / _MASKS / f"{image}.png").read_bytes()
        labels = (folder / _LABELS / f"{image}.png").read_bytes() if task.has_objects else None
    except FileNotFoundError as e:
        raise StageError(
            f"{e.filename}: not there; the evaluation is of an earlier segtrail",
            "segtrail evaluate",
        ) from None
    return Said(mask, labels)
