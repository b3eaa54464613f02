"""Dark or bright, grey or colour."""

from __future__ import annotations

import numpy as np
import pytest

from components.ingestion.clusters import cluster


def field(ground, object_, shape=(60, 60), dtype=np.uint8):
    """An image of `ground` with a fifth of it `object_`."""
    image = np.empty((*shape, *np.shape(ground)), dtype)
    image[...] = ground
    image[: shape[0] // 5] = object_
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (field(8, 200), "dark-grey"),
        (field(44, 255), "dark-grey"),  # the brightest dark ground of the real set
        (field(226, 70), "bright-grey"),
        (field((235, 215, 230), (90, 50, 130)), "bright-colour"),
        (field((120, 100, 160), (60, 30, 140)), "bright-colour"),  # purple on purple
        (field((0, 0, 6), (20, 40, 230)), "dark-colour"),  # DAPI in blue
        (field(0, 0), "dark-grey"),
        (field(255, 255), "bright-grey"),
    ],
)
def test_known_looks(image, expected):
    assert cluster(image) == expected


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("ground", "expected"), [(8, "dark-grey"), (226, "bright-grey")])
def test_grey_stays_grey_in_rgb_and_under_jpeg_noise(channels, ground, expected):
    grey = np.repeat(field(ground, 120)[..., None], channels, axis=2)
    assert cluster(grey) == expected
    noise = np.random.default_rng(1).integers(0, 4 if ground > 99 else 2, (60, 60, 3))
    grey[..., :3] += noise.astype(np.uint8) if ground > 99 else np.uint8(0)
    assert cluster(grey) == expected


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_16_bit_images_are_judged_by_the_bits_in_use(bits):
    top = (1 << bits) - 1
    assert cluster(field(top // 50, top, dtype=np.uint16)) == "dark-grey"
    assert cluster(field(top, top // 4, dtype=np.uint16)) == "bright-grey"


def test_alpha_is_not_looked_at():
    image = field((200, 200, 200, 0), (60, 60, 60, 255))
    assert cluster(image) == "bright-grey"
