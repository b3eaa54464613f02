"""Golden images: a few test images with the answers that the evaluated model gave.

They lie beside the provenance in the stored model, so that any server of it can be asked for
them later, without the artifacts of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segtrail.errors import DataError, LineageError
from segtrail.files import read_json
from segtrail.saved_model import PROOF_FOLDER

FOLDER = f"{PROOF_FOLDER}/golden"
INDEX = "golden.json"
# A graph evaluated on one kind of device and served on another rounds differently; pixels
# whose probability lies on the threshold may then flip.
TOLERANCE = 0.001
COUNTS = 0.02


@dataclass(frozen=True)
class Golden:
    """One image, encoded as it was asked, and what was answered.

    Attributes:
        name: Of the image.
        image: As asked.
        mask: The mask's PNG.
        count: How many objects; None where they are not told apart.
    """

    name: str
    image: bytes
    mask: bytes
    count: int | None = None


def read(folder: Path) -> list[Golden]:
    """Returns the golden images of a folder, by name.

    Raises:
        LineageError: There is none, or a file is missing.
    """
    try:
        index = dict(sorted(read_json(folder / INDEX).items()))
        found = [
            Golden(
                name,
                (folder / f"{name}.png").read_bytes(),
                (folder / f"{name}.mask.png").read_bytes(),
                record.get("count"),
            )
            for name, record in index.items()
        ]
    except (OSError, ValueError, TypeError, AttributeError) as e:
        raise LineageError(f"{folder}: golden images not readable: {e}") from None
    if not found:
        raise LineageError(f"{folder / INDEX}: names no image")
    return found


def files(folder: Path) -> dict[str, bytes]:
    """Returns the golden files as `{path in the stored model: content}`."""
    return {f"{FOLDER}/{p.name}": p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def difference(expected: bytes, answered: bytes) -> float:
    """Returns the fraction of pixels in which two mask PNGs differ, 1.0 if in size or type."""
    import numpy as np

    from segtrail.images import decode_image

    try:
        masks = [decode_image(png, "mask") for png in (expected, answered)]
    except DataError:
        return 1.0
    if masks[0].shape != masks[1].shape or masks[0].dtype != masks[1].dtype:
        return 1.0
    return float(np.mean(masks[0] != masks[1]))


def ask(target: str, model: str, version: int | None, goldens: list[Golden]) -> str:
    """Asks a server for golden images and compares; returns what was found, in words.

    Args:
        target: `host:port` of its gRPC port.
        model: The name it is served under.
        version: The version to ask; None for the one that requests without a version reach.
        goldens: What to ask.

    Raises:
        ServingError: The server does not answer.
        LineageError: It answers something else than was evaluated.
    """
    from serving.client import SegmentationClient

    worst = 0.0
    with SegmentationClient(target) as client:
        for golden in goldens:
            outputs = ["mask_png", *(["count"] if golden.count is not None else [])]
            (answer,) = client.predict(
                model, [golden.image], version, outputs=outputs, names=[golden.name]
            )
            differs = difference(golden.mask, answer.mask_png or b"")
            if differs > TOLERANCE:
                raise LineageError(
                    f"{target} answers another mask for {golden.name} than was evaluated: "
                    f"{differs:.2%} of its pixels differ (allowed: {TOLERANCE:.2%})"
                )
            # pixels on the threshold may join two objects, or part them
            if golden.count is not None and abs((answer.objects or 0) - golden.count) > (
                max(1, round(COUNTS * golden.count)) if differs else 0
            ):
                raise LineageError(
                    f"{target} counts {answer.objects} objects in {golden.name}; as evaluated "
                    f"there are {golden.count}"
                )
            worst = max(worst, differs)
    same = "pixel for pixel" if worst == 0 else f"all but {worst:.3%} of the pixels"
    return f"{len(goldens)} golden images answered as evaluated, {same}"
