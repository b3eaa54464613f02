"""The fast decoder gives OpenCV's pixels, or leaves a file to the slow way."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from components.ingestion import grey_png
from segtrail import png

ARCHIVE = Path(__file__).parents[4] / "shared/data/dsb2018/stage1_train.zip"
MOST = 1 << 24

masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), fill=st.just(0))


def with_filters(pixels: np.ndarray, filters: list[int]) -> bytes:
    """Writes a PNG with the row filter of each row given: 0 none, 1 sub, 2 up, 4 Paeth."""
    rows = []
    for y, row in enumerate(pixels):
        kind = filters[y % len(filters)]
        above = pixels[y - 1] if y else np.zeros_like(row)
        left = np.concatenate([[0], row[:-1]]).astype(np.uint8)
        guess = {0: np.zeros_like(row), 1: left, 2: above, 4: paeth(left, above)}[kind]
        rows.append(bytes([kind]) + (row - guess).astype(np.uint8).tobytes())

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 0)
    body = zlib.compress(b"".join(rows))
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", body[:5]), chunk(b"IDAT", body[5:])]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])


def paeth(left: np.ndarray, above: np.ndarray) -> np.ndarray:
    """The predictor of the PNG specification, 9.4."""
    a, b = left.astype(int), above.astype(int)
    c = np.concatenate([[0], b[:-1]])
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    return np.where((pa <= pb) & (pa <= pc), a, np.where(pb <= pc, b, c)).astype(np.uint8)


@given(masks, st.lists(st.sampled_from([0, 1, 2, 4]), min_size=1, max_size=9))
def test_every_fast_filter_is_undone(pixels, filters):
    found = grey_png.decode(with_filters(pixels, filters), MOST)
    assert found is not None
    np.testing.assert_array_equal(found, pixels)


@given(masks)
def test_files_of_other_writers_give_opencv_s_pixels_or_nothing(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "png", optimize=True)
    for data in (out.getvalue(), cv2.imencode(".png", pixels)[1].tobytes(), png.encode(pixels)):
        found = grey_png.decode(data, MOST)
        assert found is None or np.array_equal(found, pixels)


@given(masks, st.data())
def test_a_changed_byte_is_left_to_the_slow_way(pixels, data):
    whole = png.encode(pixels)
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    found = grey_png.decode(bytes(damaged), MOST)
    # the length of the empty last chunk is all that no checksum covers
    assert found is None or len(whole) - 12 <= at < len(whole) - 8


def test_what_it_does_not_know_is_left_to_the_slow_way():
    pixels = np.full((9, 7), 3, np.uint8)
    whole = png.encode(pixels)
    assert grey_png.decode(whole, 62) is None
    assert grey_png.decode(whole, 63) is not None
    for cut in range(len(whole)):
        assert grey_png.decode(whole[:cut], MOST) is None
    for other in (pixels.astype(np.uint16), np.dstack([pixels] * 3)):
        assert grey_png.decode(png.encode(other), MOST) is None
    palette = io.BytesIO()
    Image.fromarray(pixels).convert("P").save(palette, "png")
    clear = io.BytesIO()
    Image.fromarray(pixels).save(clear, "png", transparency=3)
    for out in (palette, clear):
        assert grey_png.decode(out.getvalue(), MOST) is None


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not ARCHIVE.exists(), reason="../shared/data/dsb2018 is not there")
def test_the_masks_of_the_data_science_bowl_come_out_as_opencv_decodes_them():
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = [name for name in archive.namelist() if "/masks/" in name][::20]
        fast = 0
        for name in names:
            data = archive.read(name)
            found = grey_png.decode(data, MOST)
            fast += found is not None
            if found is not None:
                slow = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
                np.testing.assert_array_equal(found, slow)
    assert fast > 0.98 * len(names)
