"""What is kept of an image to find its relatives."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingestion import fingerprints
from components.ingestion.fingerprints import fingerprint, grey_levels, turn, turned, windows
from segtrail.errors import DataError
from segtrail.grey import to_grey


def picture(seed=1, shape=(96, 128), dtype=np.uint8):
    """Blobs on a noisy ground."""
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(rng.normal(0, 1, shape).astype(np.float32), (0, 0), 4)
    image = (image - image.min()) / np.ptp(image) * 200 + rng.normal(0, 3, shape) + 20
    scale = 1 if dtype == np.uint8 else 257
    return (np.clip(image, 0, 255) * scale).astype(dtype)


@given(
    st.integers(1, 40), st.integers(1, 40), st.sampled_from([0, 1, 3, 4]),
    st.sampled_from([np.uint8, np.uint16]), st.integers(0, 99),
)  # fmt: skip
@settings(deadline=None)
def test_any_image_has_one_and_it_reads_as_written(height, width, channels, dtype, seed):
    shape = (height, width, channels) if channels else (height, width)
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    mine = {"é, with comma": fingerprint(pixels), "b": fingerprint(pixels[::-1])}
    text = fingerprints.to_csv(mine)
    assert fingerprints.parse(text.encode(), "x") == mine
    assert mine["b"].shape == (height, width)


def test_a_row_is_short():
    text = fingerprints.to_csv({"f" * 64: fingerprint(picture(shape=(1040, 1388)))})
    assert len(text.splitlines()[1]) < 400


@pytest.mark.parametrize("k", range(8))
def test_the_hash_of_a_turned_image_follows_from_the_hash(k):
    image = picture()
    assert turned(fingerprint(image).phash)[k] == fingerprint(turn(image, k)).phash


def test_the_eight_ways_differ():
    image = picture(shape=(64, 64))
    assert len({turn(image, k).tobytes() for k in range(8)}) == 8


def test_alpha_and_equal_channels_change_nothing():
    grey = picture()
    colour = np.repeat(grey[..., None], 4, 2)
    colour[..., 3] = np.random.default_rng(1).integers(0, 255, grey.shape)
    assert fingerprint(colour) == fingerprint(grey)
    assert (grey_levels(colour) == to_grey(colour)).all()


def test_a_flat_image_has_no_hash_and_no_windows():
    for value in (0, 7, 255):
        mine = fingerprint(np.full((50, 60), value, np.uint8))
        assert (mine.phash, mine.windows) == (0, ())


def test_crops_choose_the_same_windows_where_they_overlap():
    field = picture(shape=(300, 400))
    first, at = windows(field[:200, :250])
    second, there = windows(field[60:, 110:])
    in_both = {(y, x) for y, x in at.tolist() if y >= 60 and x >= 110 and y <= 184 and x <= 234}
    assert in_both
    assert in_both == {(y + 60, x + 110) for y, x in there.tolist() if y <= 124 and x <= 124}
    assert len(set(first.tolist()) & set(second.tolist())) >= len(in_both)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("phash", "hash"),
        lambda text: text[:-30],
        lambda text: text.replace(",96,", ",ninety,"),
        lambda text: "\0" + text,
        lambda text: text.rsplit(",", 1)[0] + "\n",
    ],
)
def test_a_file_that_is_none(damage, tmp_path):
    path = tmp_path / "fingerprints.csv"
    path.write_text(damage(fingerprints.to_csv({"a": fingerprint(picture())})))
    with pytest.raises(DataError, match="fingerprints"):
        fingerprints.read(path)
