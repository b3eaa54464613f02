"""Asks a server for golden images, and tells how its answers differ from what was evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lineage.golden import Golden
from segtrail.errors import DataError, LineageError

if TYPE_CHECKING:
    from serving.prediction import Prediction
    from serving.tls import Tls

# A graph evaluated on one kind of device and served on another rounds differently; pixels
# whose probability lies on the threshold may then flip, and join two objects or part them.
# docs/infra-validation.md has what was measured. PROBABILITY is in 255ths.
MASK = 0.001
COUNTS = 0.02
PROBABILITY = 8
CERTAIN = 255


@dataclass(frozen=True)
class Difference:
    """How the answer to one golden image differs from the evaluated one.

    Attributes:
        image: Its name.
        mask: Fraction of the mask's pixels that differ; 1.0 if in size or type.
        count: Objects that were counted; None where they are not told apart, or none was given.
        expected_count: Objects as evaluated; None likewise.
        probability: The largest difference of a probability, in 255ths; None: nothing to
            compare with, as in goldens of an earlier segtrail.
        row: Of the pixel where it is; None where planes differ in number, size or type.
        column: Likewise.
        class_name: Of the plane where it is.
    """

    image: str
    mask: float
    count: int | None = None
    expected_count: int | None = None
    probability: int | None = None
    row: int | None = None
    column: int | None = None
    class_name: str | None = None

    @property
    def excess(self) -> float:
        """The largest difference as a multiple of what is allowed; above 1 is too much."""
        found = [self.mask / MASK, (self.probability or 0) / PROBABILITY]
        if self.expected_count is not None and self.count != self.expected_count:
            off = abs((self.count or 0) - self.expected_count)
            found.append(off / self._counts if self._counts else 1.0 + off)
        return max(found)

    @property
    def _counts(self) -> int:
        """By how many objects the count may be off: by none where all else is the same."""
        if not (self.mask or self.probability):
            return 0
        return max(1, round(COUNTS * (self.expected_count or 0)))

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        parts = [f"{self.mask:.2%} of the mask's pixels differ (allowed: {MASK:.2%})"]
        if self.expected_count is not None and self.count != self.expected_count:
            parts.append(
                f"it counts {self.count} objects in {self.image}; as evaluated there are "
                f"{self.expected_count}"
            )
        if self.probability:
            where = "the probabilities differ in number, size or type"
            if self.row is not None:
                where = (
                    f"the probability of {self.class_name} differs by {self.probability}/255 at "
                    f"row {self.row}, column {self.column} (allowed: {PROBABILITY}/255)"
                )
            parts.append(where)
        return f"another answer to {self.image} than was evaluated: {'; '.join(parts)}"


def ask(
    target: str,
    model: str,
    version: int | None,
    goldens: Sequence[Golden],
    tls: Tls | None = None,
) -> list[Difference]:
    """Asks a server for golden images, one a request.

    Args:
        target: `host:port` of its gRPC port.
        model: The name it is served under.
        version: The version to ask; None for the one that requests without a version reach.
        goldens: What to ask.
        tls: How to trust it; None: in clear.

    Returns:
        How each answer differs, in the order of `goldens`.

    Raises:
        ServingError: The server does not answer.
    """
    from serving.client import SegmentationClient

    found = []
    with SegmentationClient(target, tls=tls) as client:
        for golden in goldens:
            outputs = ["mask_png"]
            outputs += ["count"] if golden.count is not None else []
            outputs += ["probability_png"] if golden.probabilities else []
            (answer,) = client.predict(
                model, [golden.image], version, outputs=outputs, names=[golden.name]
            )
            found.append(compare(golden, answer))
    return found


def compare(golden: Golden, answer: Prediction) -> Difference:
    """Returns how an answer differs from the evaluated one."""
    most, row, column, plane = _probability(golden.probabilities, answer.probability_pngs or ())
    return Difference(
        golden.name,
        mask_difference(golden.mask, answer.mask_png or b""),
        None if golden.count is None else answer.objects,
        golden.count,
        most,
        row,
        column,
        None if plane is None else golden.classes[plane],
    )


def summary(found: Sequence[Difference], target: str) -> str:
    """Returns in words that all answers are as evaluated.

    Raises:
        LineageError: One is not; the worst is told.
    """
    worst = max(found, key=lambda difference: difference.excess)
    if worst.excess > 1:
        raise LineageError(f"{target} gives {worst}")
    mask = max(difference.mask for difference in found)
    most = max((difference.probability or 0 for difference in found), default=0)
    same = "pixel for pixel" if mask == 0 else f"all but {mask:.3%} of the pixels"
    if most:
        same += f", probabilities within {most}/255"
    return f"{len(found)} golden images answered as evaluated, {same}"


def mask_difference(expected: bytes, answered: bytes) -> float:
    """Returns the fraction of pixels in which two mask PNGs differ, 1.0 if in size or type."""
    import numpy as np

    if (masks := _both(expected, answered)) is None:
        return 1.0
    return float(np.mean(masks[0] != masks[1]))


def _probability(
    expected: Sequence[bytes], answered: Sequence[bytes]
) -> tuple[int | None, int | None, int | None, int | None]:
    """Returns the largest difference of K planes, with its row, column and plane."""
    import numpy as np

    if not expected:
        return None, None, None, None
    if len(expected) != len(answered):
        return CERTAIN, None, None, None
    most: tuple[int, int | None, int | None, int | None] = (0, None, None, None)
    for number, pngs in enumerate(zip(expected, answered, strict=True)):
        if (planes := _both(*pngs)) is None:
            return CERTAIN, None, None, None
        off = np.abs(planes[0].astype(int) - planes[1].astype(int))
        if (largest := int(off.max())) > most[0]:
            row, column = np.unravel_index(int(off.argmax()), off.shape)
            most = largest, int(row), int(column), number
    return most


def _both(expected: bytes, answered: bytes) -> Any:
    """Returns two PNGs as arrays; None if they differ in size or type, or one is no image."""
    from segtrail.images import decode_image

    try:
        first, second = (decode_image(png, "answer") for png in (expected, answered))
    except DataError:
        return None
    if first.shape != second.shape or first.dtype != second.dtype:
        return None
    return first, second
