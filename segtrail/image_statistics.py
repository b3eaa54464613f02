"""Numbers that describe an image and its mask: for clusters, validation, comparison and drift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segtrail.settings.dataset import MaskKind


def image_statistics(pixels: npt.NDArray[np.integer]) -> dict[str, Any]:
    """Returns the statistics of one image.

    Grey levels are on the scale 0 to 255, whatever the bit depth: 16-bit values are divided by
    257. Alpha is not looked at.

    Args:
        pixels: uint8 or uint16, `[H, W]`, `[H, W, 3]` RGB or `[H, W, 4]` RGBA.

    Returns:
        `height`, `width`, `channels`, `bits`; `minimum`, `maximum`, `median`, `brightness`
        (mean) and `contrast` (standard deviation) of the grey levels, and their `skewness`,
        whose sign changes when an image is inverted; `saturation`: the mean
        difference of the largest and the smallest channel over the mean of the largest, 0 to
        1; `red` and `blue`: each channel's part of the sum of all three, 1/3 for grey;
        `sharpness`: the variance of the Laplacian over the variance of the grey levels, which
        falls when an image is blurred (after Pech-Pacheco et al., 2000).
    """
    scale = 1 if pixels.dtype == np.uint8 else 257
    if pixels.ndim == 2:
        grey, saturation, red, blue = pixels, 0.0, 1 / 3, 1 / 3
    else:
        grey = cv2.cvtColor(
            pixels, cv2.COLOR_RGB2GRAY if pixels.shape[2] == 3 else cv2.COLOR_RGBA2GRAY
        )
        means = cv2.mean(pixels)[:3]
        red, blue = (m / sum(means) if any(means) else 1 / 3 for m in (means[0], means[2]))
        planes = cv2.split(pixels)[:3]
        largest = cv2.max(cv2.max(planes[0], planes[1]), planes[2])
        smallest = cv2.min(cv2.min(planes[0], planes[1]), planes[2])
        most = cv2.mean(largest)[0]
        saturation = (most - cv2.mean(smallest)[0]) / max(most, 1.0)
    mean, deviation = (float(v[0, 0]) / scale for v in cv2.meanStdDev(grey))
    _, edges = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F))
    low, high, *_ = cv2.minMaxLoc(grey)
    counts = np.bincount(grey.ravel())
    return {
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "channels": 1 if pixels.ndim == 2 else pixels.shape[2],
        "bits": pixels.dtype.itemsize * 8,
        "minimum": low / scale,
        "maximum": high / scale,
        "median": _median(counts) / scale,
        "brightness": mean,
        "contrast": deviation,
        "skewness": _third_moment(counts) / scale**3 / max(deviation, 1.0) ** 3,
        "saturation": saturation,
        "red": red,
        "blue": blue,
        "sharpness": (float(edges[0, 0]) / scale) ** 2 / max(deviation**2, 1.0),
    }


def _median(counts: npt.NDArray[np.intp]) -> float:
    """Returns the lower median of the levels that were counted."""
    return float(np.searchsorted(np.cumsum(counts), (counts.sum() + 1) // 2))


def _third_moment(counts: npt.NDArray[np.intp]) -> float:
    """Returns the third central moment of the levels that were counted."""
    levels, shares = np.arange(len(counts)), counts / counts.sum()
    return float(shares @ (levels - shares @ levels) ** 3)


def mask_statistics(
    mask: npt.NDArray[np.uint16], kind: MaskKind, classes: Sequence[str]
) -> dict[str, Any]:
    """Returns the statistics of one mask.

    Args:
        mask: uint16 `[H, W]`: instance ids; class indices from 1; or one bit a class.
        kind: Which of the three.
        classes: Names of the foreground classes.

    Returns:
        `foreground`: the part of the pixels that are not background; `foreground_<class>` for
        each class; `objects`: instances, or the connected components (8 neighbours) of each
        class; `smallest_object`, `median_object`, `largest_object` in pixels, 0 if there is
        none; `border_objects`: objects that touch the image's edge; `highest_value` stored.
    """
    if kind == "instances":
        planes = dict.fromkeys(classes, mask > 0)
        numbered = [mask]
    else:
        planes = {
            name: (mask == k + 1) if kind == "classes" else (mask >> k & 1) > 0
            for k, name in enumerate(classes)
        }
        numbered = [
            cv2.connectedComponents(plane.astype(np.uint8), connectivity=8)[1]
            for plane in planes.values()
        ]
    sizes: list[npt.NDArray[np.int64]] = []
    at_border = 0
    for labels in numbered:
        counts = np.bincount(labels.ravel())
        counts[:1] = 0
        edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        at_border += len(np.unique(edge[edge > 0]))
        sizes.append(counts[counts > 0])
    every = np.concatenate(sizes)
    return {
        "foreground": float((mask > 0).mean()),
        **{f"foreground_{name}": float(plane.mean()) for name, plane in planes.items()},
        "objects": len(every),
        "smallest_object": int(every.min()) if len(every) else 0,
        "median_object": float(np.median(every)) if len(every) else 0.0,
        "largest_object": int(every.max()) if len(every) else 0,
        "border_objects": at_border,
        "highest_value": int(mask.max()) if mask.size else 0,
    }
