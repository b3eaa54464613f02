"""Decoding what nobody vouches for, and encoding."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segtrail import png
from segtrail.errors import DataError
from segtrail.images import (
    decode_image,
    decode_values,
    encode_png,
    image_size,
    page_count,
    read_labels,
)

_SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda hw: st.sampled_from([hw, (*hw, 3), (*hw, 4)])
)
PIXELS = st.sampled_from([np.uint8, np.uint16]).flatmap(
    # fill: mostly one value, as masks are
    lambda dtype: arrays.arrays(dtype, _SHAPES, fill=st.integers(0, 255))
)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, idat: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", idat) + chunk(b"IEND", b"")


@given(PIXELS)
@settings(deadline=None, max_examples=60)
@pytest.mark.parametrize("encode", [encode_png, png.encode])
def test_pixels_come_back_as_they_were(encode, pixels):
    back = decode_image(encode(pixels), "x")
    assert back.dtype == pixels.dtype
    np.testing.assert_array_equal(back, pixels)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 257, 258, 259, 260, 261, 262, 517, 1000])
@pytest.mark.parametrize("value", [0, 143, 144, 255])
def test_runs_of_any_length_come_back(length, value):
    pixels = np.full((1, length), value, np.uint8)
    np.testing.assert_array_equal(decode_image(png.encode(pixels), "x"), pixels)


def test_stable_png_has_the_bytes_it_always_had():
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4) * 300
    assert png.encode(pixels).hex() == (
        "89504e470d0a1a0a0000000d4948445200000004000000031000000000c10f2d59"
        "0000002349444154780163606060d4618a606e6160d9c07a879d83c384813381ab877b07cf1300397505"
        "a1cab2d4de0000000049454e44ae426082"
    )


def test_labels_are_small():
    labels = np.zeros((512, 512), np.uint16)
    for n in range(100):
        labels[n // 10 * 50 : n // 10 * 50 + 30, n % 10 * 50 : n % 10 * 50 + 30] = n + 1
    assert len(png.encode(labels)) < 20_000 < labels.nbytes / 20


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_header_and_colours_of_each_format(suffix):
    image = np.zeros((17, 40, 3), np.uint8)
    image[..., 0] = 250  # red, as RGB
    data = cv2.imencode(suffix, image[..., ::-1])[1].tobytes()
    assert image_size(data, "x") == (17, 40)
    decoded = decode_image(data, "x")
    assert decoded.shape == (17, 40, 3)
    assert decoded[..., 0].min() > 240
    assert decoded[..., 2].max() < 10


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"id,class\n1,2\n", "not an image"),
        (b"GIF89a\x01\x00\x01\x00\x00\x00\x00", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "without its header"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "cut short"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "cut short"),
        (b"BM\0\0\0\0", "cut short"),
        (b"II*\0\x08\0\0\0", "cut short"),
        (b"II+\0\x08\0\0\0" + b"\xff" * 8, "cut short"),  # BigTIFF, at the end of 64 bits
        (b"MM\0+\0\x08\0\0\x7f" + b"\xff" * 7, "cut short"),
        (png_of(0, 5, b""), "0x5"),
        (png_of(8, 8, zlib.compress(bytes(9 * 3))), "cannot be decoded"),
        (png_of(8, 8, b"junk"), "cannot be decoded"),
        (encode_png(np.zeros((9, 9), np.uint8))[:-5], "cut short"),
        (encode_png(np.zeros((9, 9), np.float32).astype(np.uint8))[:40] + b"\0" * 40, "damaged"),
    ],
)
def test_what_is_no_image_is_refused_by_name(data, says):
    with pytest.raises(DataError, match=says) as caught:
        decode_image(data, "scan-7.png")
    assert "scan-7.png" in caught.value.message


def test_a_changed_byte_is_noticed():
    data = bytearray(encode_png(np.arange(64, dtype=np.uint8).reshape(8, 8)))
    data[45] ^= 1
    with pytest.raises(DataError, match="checksum"):
        decode_image(bytes(data), "x")


def test_a_decompression_bomb_is_refused_by_its_header():
    bomb = png_of(60_000, 60_000, b"")
    with pytest.raises(DataError, match="60000x60000"):
        decode_image(bomb, "x")
    small = encode_png(np.zeros((20, 20), np.uint8))
    with pytest.raises(DataError, match="at most 399"):
        decode_image(small, "x", max_pixels=399)
    assert decode_image(small, "x", max_pixels=400).shape == (20, 20)


def bmp(bits: int, rows: bytes, size: tuple[int, int], palette: bytes, header: int = 40) -> bytes:
    """Returns a BMP of `size` (height, width) whose rows are given from the bottom."""
    height, width = size
    start = 14 + header + len(palette)
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + info + palette + rows


@pytest.mark.parametrize("header", [12, 40])
@pytest.mark.parametrize("down", [1, -1])
def test_a_palette_of_a_bmp_gives_colours_or_indices(header, down):
    palette = np.random.default_rng(3).integers(0, 256, (16, 3), np.uint8)
    quads = b"".join(bytes([b, g, r]) + bytes(header == 40) for r, g, b in palette.tolist())
    indices = np.array([[0, 1, 2, 3], [15, 14, 0, 7]], np.uint8)
    rows = bytes([0xFE, 0x07, 0, 0, 0x01, 0x23, 0, 0])
    if down < 0:
        if header == 12:
            return  # its height has no sign
        rows = rows[4:] + rows[:4]
    data = bmp(4, rows, (2 * down, 4), quads, header)
    np.testing.assert_array_equal(decode_values(data, "x"), indices)
    np.testing.assert_array_equal(decode_image(data, "x"), palette[indices])


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("colour", [0, 3])
def test_a_png_of_few_bits_gives_values_as_stored(bits, colour):
    rng = np.random.default_rng(bits)
    values = rng.integers(0, 2**bits, (5, 16), np.uint8)
    weights = 1 << np.arange(8 - bits, -1, -bits)
    packed = (values.reshape(5, -1, 8 // bits) * weights).sum(axis=2).astype(np.uint8)
    palette = rng.integers(0, 256, (2**bits, 3), np.uint8)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, content)
        for kind, content in [
            (b"IHDR", struct.pack(">IIBBBBB", 16, 5, bits, colour, 0, 0, 0)),
            (b"PLTE", palette.tobytes()),
            (b"tRNS", bytes(2)),
            (b"IDAT", zlib.compress(np.pad(packed, ((0, 0), (1, 0))).tobytes())),
            (b"IEND", b""),
        ]
        if colour == 3 or kind not in (b"PLTE", b"tRNS")
    )
    np.testing.assert_array_equal(decode_values(data, "x"), values)
    shown = decode_image(data, "x")
    expected = palette[values] if colour else values * (255 // (2**bits - 1))
    np.testing.assert_array_equal(shown[..., :3] if colour else shown, expected)


@given(PIXELS)
@settings(deadline=None, max_examples=30)
def test_values_of_plain_images_are_their_pixels(pixels):
    np.testing.assert_array_equal(decode_values(encode_png(pixels), "x"), pixels)


@pytest.mark.parametrize("tail", [b"x", b"more", bytes(40)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_what_is_behind_an_image_does_no_harm(suffix, tail):
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    data = cv2.imencode(suffix, image)[1].tobytes()
    for decode in (decode_image, decode_values):
        np.testing.assert_array_equal(decode(data + tail, "x"), decode(data, "x"))


def test_only_a_tiff_has_pages():
    data = encode_png(np.zeros((2, 2), np.uint8))
    assert page_count(data, "x") == 1
    with pytest.raises(DataError, match="no page 2: it is not a TIFF"):
        decode_image(data, "x", page=1)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_wherever_a_file_is_cut_it_is_refused(suffix, channels):
    image = np.random.default_rng(1).integers(0, 256, (16, 24, channels), np.uint8)
    data = cv2.imencode(suffix, image)[1].tobytes()
    decode_image(data, "x")
    for length in range(len(data)):
        with pytest.raises(DataError, match=r"^cut.x: "):
            decode_image(data[:length], "cut.x")


def jpeg(sof: int = 0xC0, depth: int = 8, channels: int = 3) -> bytes:
    data = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4], data[at + 9] = sof, depth, channels
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (jpeg(depth=12), "a JPEG of 12 bits"),
        (jpeg(channels=4), "4 channels, CMYK"),
        (jpeg(sof=0xC3), "lossless"),
        (jpeg(sof=0xC9), "arithmetic"),
        (bmp(2, bytes(8), (2, 4), b""), "2 bits a pixel"),
        (bmp(24, bytes(24), (200, 100), b""), "takes 60,054 bytes, found 78"),
        (bmp(24, bytes(24), (2, -4), b""), "-4x2"),
    ],
)
def test_variants_that_are_not_read_are_named(data, says):
    with pytest.raises(DataError, match=says):
        decode_image(data, "x")


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\xfe\0\2"])
def test_a_jpeg_header_that_does_not_end_is_not_followed(filling):
    """Fill bytes and empty segments: a gigabyte of them took minutes."""
    whole = jpeg()
    assert image_size(whole[:2] + 100 * filling + whole[2:], "x") == image_size(whole, "x")
    with pytest.raises(DataError, match="its header is damaged"):
        image_size(whole[:2] + 10_000 * filling + whole[2:], "x")


def test_a_float_tiff_is_refused():
    data = cv2.imencode(".tif", np.zeros((4, 4), np.float32))[1].tobytes()
    with pytest.raises(DataError, match="float32"):
        decode_image(data, "x")


def test_labels_are_16_bit_ids_and_never_colours():
    ids = np.array([[0, 1], [256, 65_535]], np.uint16)
    np.testing.assert_array_equal(read_labels(encode_png(ids), "x"), ids)
    assert read_labels(encode_png(ids.astype(np.uint8)), "x").dtype == np.uint16
    with pytest.raises(DataError, match="3 channels"):
        read_labels(encode_png(np.zeros((2, 2, 3), np.uint8)), "x")


@pytest.mark.parametrize("encode", [encode_png, png.encode])
@pytest.mark.parametrize(
    "array", [np.zeros((2, 2), np.float32), np.zeros((2, 2, 2), np.uint8), np.zeros(4, np.uint8)]
)
def test_what_png_cannot_hold_is_refused(encode, array):
    with pytest.raises(ValueError, match="expected"):
        encode(array)
