"""Synthetic micrographs of nuclei, for a demonstration without any download.

Three kinds, as in the Data Science Bowl 2018: fluorescence (bright nuclei on a dark ground),
bright-field (dark nuclei in grey cells on a bright ground), stained tissue (purple nuclei).
One seed gives the same bytes on every machine; see `components.ingestion.rendering`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.ingestion.rendering import Blobs, Dice, Field, blur, cloud, scatter
from segtrail import png
from segtrail.files import sha256_bytes

Picture = tuple[Field, Blobs]  # grey or RGB in 0..255, and the nuclei

# Of five images, three are fluorescence.
_KINDS = ("fluorescence", "fluorescence", "stained", "fluorescence", "bright-field")
_SIZES = (
    (128, 128), (128, 160), (192, 192), (96, 128), (160, 160), (256, 256), (144, 96), (128, 192),
)  # fmt: skip


def generate(out: Path, *, images: int = 72, seed: int = 1) -> None:
    """Writes images and masks in the Data Science Bowl's layout.

    `<id>/images/<id>.png` (8 bit, grey or RGB) and `<id>/masks/<hash>.png`, one 0/255 mask a
    nucleus. An image depends on the seed and its number only, so that more images begin with
    the same ones.

    Args:
        out: The folder to write into.
        images: How many.
        seed: Of the random numbers.
    """
    for number in range(images):
        kind = _KINDS[number % len(_KINDS)]
        height, width = _SIZES[(number + number // len(_SIZES)) % len(_SIZES)]
        picture, nuclei = _DRAW[kind](Dice(seed, number), height, width)
        name = f"{kind}-{number:03d}"
        _write(out / name / "images" / f"{name}.png", _to_bytes(picture))
        for nucleus in range(1, nuclei.count + 1):
            digest = sha256_bytes(f"{name}/{nucleus}".encode())[:16]
            mask = np.where(nuclei.labels == nucleus, 255, 0).astype(np.uint8)
            _write(out / name / "masks" / f"{digest}.png", mask)


def _write(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png.encode(pixels))


def _to_bytes(image: Field) -> npt.NDArray[np.uint8]:
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def _count(dice: Dice, height: int, width: int, radius: float, low: float, high: float) -> int:
    """Returns how many blobs cover a part of the image between `low` and `high`."""
    return max(3, int(dice.between(low, high) * height * width / (3 * radius * radius)))


def _fluorescence(dice: Dice, height: int, width: int) -> Picture:
    radius = dice.between(6, 13)
    nuclei = scatter(dice, height, width, _count(dice, height, width, radius, 0.12, 0.38), radius)
    spread = dice.uniform(nuclei.count)
    exposure = dice.between(70, 235)
    levels = exposure * (0.3 + 0.7 * spread * spread)  # many dim ones, few bright
    chromatin = 0.65 + 0.7 * cloud(dice, height, width, 3) * cloud(dice, height, width, 5)
    body = blur(nuclei.per_blob(levels) * chromatin * (0.75 + 0.4 * nuclei.depth), 1)
    glow = blur(body, int(radius), 3)
    haze = scatter(dice, height, width, dice.integer(1, 5), 1.6 * radius, 0.0)
    out_of_focus = blur(0.30 * exposure * haze.depth, int(radius / 2) + 1)
    light = 0.75 + 0.5 * cloud(dice, height, width, max(height, width))
    image = (dice.between(4, 16) + body + 0.18 * glow + out_of_focus) * light
    noise = dice.normal(height, width) * np.sqrt(image * dice.between(0.3, 1.2) + 2)
    return image + noise, nuclei


def _bright_field(dice: Dice, height: int, width: int) -> Picture:
    radius = dice.between(5, 8)
    nuclei = scatter(
        dice, height, width, _count(dice, height, width, radius, 0.05, 0.11), radius, 0.3
    )
    cells = np.zeros((height, width))
    for row, column in nuclei.centres:
        cells = np.maximum(cells, _cell(dice, height, width, row, column, radius))
    texture = cloud(dice, height, width, 4)
    grain = scatter(dice, height, width, dice.integer(4, 14), 2.6, 0.4)
    shade = dice.between(0.16, 0.30) * blur((cells > 0) * 1.0, 1)
    membrane = 0.14 * ((cells > 0) & (cells < 0.22))
    dark = nuclei.per_blob(0.32 + 0.3 * dice.uniform(nuclei.count)) * (0.75 + 0.4 * texture)
    image = (
        dice.between(205, 238)
        * (0.88 + 0.12 * cloud(dice, height, width, max(height, width)))
        * (1 - shade * (0.7 + 0.6 * texture))
        * (1 - blur(membrane, 1))
        * (1 - blur(dark, 1))
        * (1 - blur(0.35 * (grain.labels > 0), 1))
    )
    return image + dice.between(1.5, 4) * dice.normal(height, width), nuclei


def _cell(dice: Dice, height: int, width: int, row: int, column: int, radius: float) -> Field:
    """Returns how deep each pixel is in the cell around a nucleus; 0 outside."""
    reach = radius * dice.between(2.0, 3.2)
    down = np.arange(height)[:, None] - (row + dice.between(-0.5, 0.5) * radius)
    right = np.arange(width)[None, :] - (column + dice.between(-0.5, 0.5) * radius)
    wobble = cloud(dice, height, width, max(4, int(1.2 * radius)))
    distance = (down * down + right * right) / (reach * reach)
    return np.maximum(0.0, 1 - distance * (0.5 + wobble))


def _stained(dice: Dice, height: int, width: int) -> Picture:
    radius = dice.between(6, 12)
    nuclei = scatter(
        dice, height, width, _count(dice, height, width, radius, 0.14, 0.36), radius, 0.4
    )
    fibres = 0.55 * cloud(dice, height, width, 24) + 0.3 * cloud(dice, height, width, 7)
    pink = dice.between(0.35, 0.8) * fibres + 0.12 * cloud(dice, height, width, 3)
    blood = scatter(dice, height, width, dice.integer(0, 6), 0.6 * radius, 0.6)
    pink = pink + 0.55 * blur(((blood.labels > 0) & (nuclei.labels == 0)) * 1.0, 1)
    chromatin = 0.6 + 0.55 * cloud(dice, height, width, 3)
    rim = 1.15 - 0.35 * nuclei.depth
    levels = nuclei.per_blob(dice.between(0.55, 0.8) + 0.25 * dice.uniform(nuclei.count))
    purple = blur(levels * chromatin * rim, 1) + dice.between(0, 0.12)
    # What each stain takes out of red, green and blue.
    eosin = (dice.between(0.04, 0.14), dice.between(0.50, 0.62), dice.between(0.22, 0.36))
    haematoxylin = (dice.between(0.62, 0.76), dice.between(0.78, 0.9), dice.between(0.22, 0.4))
    light = dice.between(225, 248) * (0.94 + 0.06 * cloud(dice, height, width, height))
    channels = [
        light * (1 - np.minimum(1.0, pink) * pale) * (1 - np.minimum(1.0, purple) * deep)
        for pale, deep in zip(eosin, haematoxylin, strict=True)
    ]
    grain = dice.between(2, 5)
    return (
        np.stack([channel + grain * dice.normal(height, width) for channel in channels], axis=2),
        nuclei,
    )


_DRAW: dict[str, Callable[[Dice, int, int], Picture]] = {
    "fluorescence": _fluorescence,
    "bright-field": _bright_field,
    "stained": _stained,
}
