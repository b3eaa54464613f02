"""One image's answer: the bytes as the server sent them, and arrays when asked for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError, ServingError

_MAX_PIXELS = 1 << 29  # TensorFlow reads no larger PNG, so there is no answer to one


@dataclass(frozen=True)
class Prediction:
    """What a model says about one image of height H and width W.

    An output that was not asked for, or that the model does not have, is None as bytes and a
    `ServingError` as an array.

    Args:
        version: The model's version that answered.
        mask_png: 8-bit PNG of class indices, or of one bit a class: the model's metadata says
            which.
        labels_png: 16-bit PNG of instance ids, 0 background.
        probability_pngs: One 8-bit grey PNG a foreground class, K of them.
        size: `(H, W)`.
        objects: How many objects the labels hold.
    """

    version: int
    mask_png: bytes | None = None
    labels_png: bytes | None = None
    probability_pngs: tuple[bytes, ...] | None = None
    size: tuple[int, int] | None = None
    objects: int | None = None

    @classmethod
    def of(cls, outputs: Mapping[str, npt.NDArray[Any]], row: int, version: int) -> Self:
        """Returns one row of the outputs of `serving_default`.

        Args:
            outputs: Arrays by output name, each with first dimension N.
            row: Which of the N images.
            version: The version that answered.
        """

        def value(name: str) -> Any:
            return outputs[name][row] if name in outputs else None

        height, width, count = value("height"), value("width"), value("count")
        classes = value("probability_png")
        return cls(
            version=version,
            mask_png=value("mask_png"),
            labels_png=value("labels_png"),
            probability_pngs=None if classes is None else tuple(np.atleast_1d(classes).tolist()),
            size=None if height is None or width is None else (int(height), int(width)),
            objects=None if count is None else int(count),
        )

    @cached_property
    def mask(self) -> npt.NDArray[np.uint8]:
        """Class indices, or one bit a class, uint8 `[H, W]`, 0 background."""
        return self._decode(self._require(self.mask_png, "mask_png"), "mask_png", np.uint8)

    @cached_property
    def labels(self) -> npt.NDArray[np.uint16]:
        """Instance ids, uint16 `[H, W]`, 0 background."""
        return self._decode(self._require(self.labels_png, "labels_png"), "labels_png", np.uint16)

    @cached_property
    def probabilities(self) -> npt.NDArray[np.uint8]:
        """Probability of each foreground class, uint8 `[H, W, K]`, 255 for 1."""
        pngs = self._require(self.probability_pngs, "probability_png")
        if not pngs:
            raise ServingError(f"version {self.version}: probability_png holds no class")
        planes = [self._decode(png, "probability_png", np.uint8) for png in pngs]
        return np.stack(planes, axis=-1)

    @cached_property
    def contours(self) -> list[npt.NDArray[np.int32]]:
        """The outline of each object, int32 `[P, 2]` of (x, y) in pixels; that of id k is k - 1.

        The longest outer border of its parts, as OpenCV follows it (Suzuki and Abe, 1985).
        """
        import cv2

        rows, columns = np.nonzero(self.labels)
        ids = self.labels[rows, columns]
        order = np.argsort(ids, kind="stable")
        places = np.searchsorted(ids[order], np.arange(1, int(ids.max(initial=0)) + 2))
        found: list[npt.NDArray[np.int32]] = []
        for first, end in itertools.pairwise(places):
            y, x = rows[order[first:end]], columns[order[first:end]]
            if first == end:  # an id that has no pixel
                found.append(np.empty((0, 2), np.int32))
                continue
            corner = np.array([x.min(), y.min()])
            part = np.zeros((np.ptp(y) + 1, np.ptp(x) + 1), np.uint8)
            part[y - corner[1], x - corner[0]] = 1
            outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            outline = max(outlines, key=len).reshape(-1, 2)
            found.append((outline + corner).astype(np.int32))
        return found

    @property
    def count(self) -> int:
        """How many objects there are."""
        return int(self._require(self.objects, "count"))

    def _require(self, value: Any, output: str) -> Any:
        if value is None:
            raise ServingError(
                f"version {self.version}: the answer has no {output}: it was not asked for, "
                "or the model does not give it"
            )
        return value

    def _decode(self, png: bytes, output: str, dtype: Any) -> npt.NDArray[Any]:
        from segtrail.images import decode_image

        try:
            array = decode_image(png, f"{output} of version {self.version}", _MAX_PIXELS)
        except DataError as e:
            raise ServingError(f"the server's answer: {e.message}") from None
        if array.ndim != 2 or array.dtype != dtype or self.size not in (None, array.shape):
            raise ServingError(
                f"{output} of version {self.version}: expected {np.dtype(dtype)} of size "
                f"{self.size}; received {array.dtype} {array.shape}"
            )
        return array
