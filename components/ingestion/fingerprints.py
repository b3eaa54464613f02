"""Fingerprints of images: what it takes to find an image's relatives without reading all pixels.

Three parts, each for one way in which two images can be of one specimen: a perceptual hash (the
same picture, perhaps re-encoded, re-scaled or turned), the four edges (neighbouring crops of
one field) and a sample of small windows (crops that overlap). They are kept in
`data/<dataset>/fingerprints.csv`, so that a new delivery is compared with images that are not
read again, and only what looks alike is then compared pixel by pixel.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError

FINGERPRINTS = "fingerprints.csv"
SIDES = TOP, BOTTOM, LEFT, RIGHT = range(4)
BINS = 32
WINDOWS = 16
WINDOW = 16
STEP = 1 / 20  # of a standard deviation: what one count of an edge's profile stands for
_RUN = 8
_ONE_IN = 512
_COLUMNS = ("image", "height", "width", "phash", "edges", "levels", "windows")

Grey = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
G = TypeVar("G", bound=np.generic)


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of an image to find its relatives.

    Attributes:
        shape: Height and width.
        phash: 64 bits: the signs of the 8 x 8 lowest frequencies of a discrete cosine transform
            of the image at 32 x 32, row by row, the constant one left 0 (after Zauner, 2010).
            Signs, and not a comparison with the median, since a mirrored or turned image then
            has the same bits, some inverted or in other places: see `turned`.
        edges: int8 `[4, 32]`: top, bottom, left and right row of pixels, pooled to 32 means,
            standardised, in steps of `STEP` standard deviations.
        levels: float16 `[4, 3]`: of each pooled edge the mean, the standard deviation and the
            noise (root mean square difference from the pooled line next to it), as parts of
            full scale.
        windows: At most 16 hashes of 32 bits of 16 x 16 windows, chosen by their content, so
            that two crops choose the same ones where they overlap.
    """

    shape: tuple[int, int]
    phash: int
    edges: bytes
    levels: bytes
    windows: tuple[int, ...]


def fingerprint(pixels: npt.NDArray[np.integer]) -> Fingerprint:
    """Returns an image's fingerprint; takes less than a millisecond at 256 x 256.

    Args:
        pixels: uint8 or uint16 `[H, W]`, `[H, W, 3]` RGB or `[H, W, 4]` RGBA; alpha is not
            looked at.
    """
    grey = grey_levels(pixels)
    edges, levels = _edges(grey)
    found = np.unique(windows(grey)[0])[:WINDOWS]
    return Fingerprint(
        shape=(grey.shape[0], grey.shape[1]),
        phash=_phash(grey),
        edges=edges.tobytes(),
        levels=levels.tobytes(),
        windows=tuple(int(h) for h in found),
    )


def grey_levels(pixels: npt.NDArray[np.integer]) -> Grey:
    """Returns the grey levels at the image's own depth, `[H, W]`; at 8 bits as in `to_grey`."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels)
    code = cv2.COLOR_RGB2GRAY if pixels.shape[2] == 3 else cv2.COLOR_RGBA2GRAY
    grey: Grey = cv2.cvtColor(np.ascontiguousarray(pixels), code)
    return grey


def full_scale(grey: Grey) -> int:
    """Returns the largest value that the depth allows."""
    return int(np.iinfo(grey.dtype).max)


# Which of the 64 bits a mirror image inverts: those of odd frequencies across or down.
_ACROSS = np.broadcast_to(np.arange(8) % 2 == 1, (8, 8))


def turned(phash: int) -> list[int]:
    """Returns the hashes of the eight ways to turn and mirror an image, itself first.

    Number k is transposed if k >= 4, then mirrored across if k is odd, then down if k & 2: what
    `turn` does to pixels.
    """
    bits = np.unpackbits(np.array([phash], ">u8").view(np.uint8)).astype(bool).reshape(8, 8)
    out = []
    for k in range(8):
        seen = bits.T if k & 4 else bits
        if k & 1:
            seen = seen ^ _ACROSS
        if k & 2:
            seen = seen ^ _ACROSS.T
        seen = seen.copy()
        seen[0, 0] = False
        out.append(int.from_bytes(np.packbits(seen).tobytes(), "big"))
    return out


def turn(image: npt.NDArray[G], k: int) -> npt.NDArray[G]:
    """Returns an image turned in the way number k of `turned`."""
    seen = image.T if k & 4 else image
    if k & 1:
        seen = seen[:, ::-1]
    if k & 2:
        seen = seen[::-1]
    return np.ascontiguousarray(seen)


def _phash(grey: Grey) -> int:
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    signs = cv2.dct(small)[:8, :8] > 0.01  # so that a flat image has none
    signs[0, 0] = False
    return int.from_bytes(np.packbits(signs).tobytes(), "big")


def edge_lines(grey: Grey) -> list[npt.NDArray[np.float32]]:
    """Returns of each side the outermost line of pixels and the one inside it: float32 `[2, L]`.

    In the order of `SIDES`. An image of one pixel across has its only line twice.
    """
    wide, high = min(1, grey.shape[1] - 1), min(1, grey.shape[0] - 1)
    return [
        grey[[0, high]].astype(np.float32),
        grey[[-1, -1 - high]].astype(np.float32),
        grey[:, [0, wide]].T.astype(np.float32),
        grey[:, [-1, -1 - wide]].T.astype(np.float32),
    ]


def _edges(grey: Grey) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]]:
    pooled = np.stack(
        [cv2.resize(e, (BINS, 2), interpolation=cv2.INTER_AREA) for e in edge_lines(grey)]
    )
    outer = pooled[:, 0]
    mean, deviation = outer.mean(1), outer.std(1)
    noise = np.sqrt(((outer - pooled[:, 1]) ** 2).mean(1))
    steps = (outer - mean[:, None]) / np.maximum(deviation, 1e-3)[:, None] / STEP
    levels = np.stack([mean, deviation, noise], 1) / full_scale(grey)
    return np.clip(np.rint(steps), -127, 127).astype(np.int8), levels.astype("<f2")


# Odd factors that stay the same for all time: the hashes are stored.
_WEIGHTS = np.frombuffer(hashlib.shake_256(b"segtrail").digest(4 * WINDOW * WINDOW), "<u4") | 1


def windows(grey: Grey) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.intp]]:
    """Finds windows by their content alone, about one in 512 places where there is texture.

    A window is taken where a hash of its first eight pixels falls into a fixed class, so that
    a crop of the same pixels takes the same windows, wherever they lie in it (as in content-
    defined chunking; the smallest hashes of them are a MinHash sketch, Broder, 1997).

    Returns:
        Their hashes, uint32 `[N]`, ascending; and their places (y, x), `[N, 2]`.
    """
    height, width = grey.shape
    none = np.zeros(0, np.uint32), np.zeros((0, 2), np.intp)
    if height < WINDOW or width < WINDOW:
        return none
    inside = np.ascontiguousarray(grey[: height - WINDOW + 1])
    run = inside.astype(np.uint32) + np.uint32(1)
    for span, factor in ((1, 0x9E3779B1), (2, 0x85EBCA77), (4, 0xC2B2AE3D)):
        run = run[:, :-span] * np.uint32(factor) + run[:, span:]
    run = run[:, : width - WINDOW + 1]
    taken = (run * np.uint32(0x27D4EB2F)) < np.uint32((1 << 32) // _ONE_IN)
    taken &= inside[:, : taken.shape[1]] != inside[:, _RUN - 1 :][:, : taken.shape[1]]
    places = np.argwhere(taken)
    if not len(places):
        return none
    view = np.lib.stride_tricks.sliding_window_view(grey, (WINDOW, WINDOW))
    cut = view[places[:, 0], places[:, 1]].reshape(len(places), -1)
    textured = cut.std(1) >= 1
    places, cut = places[textured], cut[textured].astype(np.uint32)
    hashes = (cut + np.uint32(1)) @ _WEIGHTS
    hashes ^= hashes >> np.uint32(15)
    hashes *= np.uint32(0x2C1B3C6D)
    hashes ^= hashes >> np.uint32(13)
    order = np.argsort(hashes, kind="stable")
    return hashes[order], places[order]


def read(path: Path) -> dict[str, Fingerprint]:
    """Reads fingerprints, by image; none if there is no such file.

    Raises:
        DataError: Not a list of fingerprints.
    """
    return parse(path.read_bytes(), str(path)) if path.exists() else {}


def parse(content: bytes, name: str) -> dict[str, Fingerprint]:
    """Reads the content of a list of fingerprints; `name` is what messages call it.

    Raises:
        DataError: Not a list of fingerprints.
    """
    hint = "restore it: dvc checkout data.dvc"
    found = {}
    try:
        reader = csv.DictReader(io.StringIO(content.decode()))
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise DataError(
                f"{name}: expected the columns {', '.join(_COLUMNS)}; "
                f"found {', '.join(reader.fieldnames or ())}",
                hint,
            )
        for row in reader:
            edges, levels, chosen = (
                base64.b64decode(row[key], validate=True) for key in ("edges", "levels", "windows")
            )
            if len(edges) != 4 * BINS or len(levels) != 4 * 3 * 2 or len(chosen) % 4:
                raise ValueError(f"{row['image']}: its fingerprint has the wrong length")
            found[row["image"]] = Fingerprint(
                shape=(int(row["height"]), int(row["width"])),
                phash=int(row["phash"], 16),
                edges=edges,
                levels=levels,
                windows=tuple(int(h) for h in np.frombuffer(chosen, "<u4")),
            )
    except (ValueError, TypeError, csv.Error) as e:
        raise DataError(f"{name}: not a list of fingerprints: {e}", hint) from None
    return found


def to_csv(fingerprints: Mapping[str, Fingerprint]) -> str:
    """Returns fingerprints as CSV, by image."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for image, f in sorted(fingerprints.items()):
        coded = (
            base64.b64encode(part).decode()
            for part in (f.edges, f.levels, np.array(f.windows, "<u4").tobytes())
        )
        writer.writerow([image, *f.shape, f"{f.phash:016x}", *coded])
    return out.getvalue()
