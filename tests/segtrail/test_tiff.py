"""TIFF in its variants: right ones give their pixels, others are refused by name."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
import tiffs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tiffs import page, page_tags, plain, tiff

from segtrail.errors import DataError
from segtrail.images import decode_image, decode_values, image_size, page_count
from segtrail.tiff_directory import MAX_PAGES

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (13, 21), np.uint8)  # odd: 273 bytes
RGB = RNG.integers(0, 256, (13, 21, 3), np.uint8)
DEEP = RNG.integers(0, 65_536, (13, 21), np.uint16)

PACKERS = {1: bytes, 5: tiffs.lzw, 8: zlib.compress, 32946: zlib.compress, 32773: tiffs.packbits}
_SHAPES = st.tuples(st.integers(1, 20), st.integers(1, 20)).flatmap(
    lambda hw: st.sampled_from([hw, (*hw, 3), (*hw, 4)])
)
PIXELS = st.sampled_from([np.uint8, np.uint16]).flatmap(lambda d: arrays.arrays(d, _SHAPES))


@given(
    PIXELS,
    st.sampled_from("<>"),
    st.booleans(),
    st.sampled_from(sorted(PACKERS)),
    st.integers(1, 22),
    st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_pixels_come_back_however_they_are_stored(pixels, order, big, compression, rows, planar):
    """Chunky or planar strips, both byte orders, TIFF and BigTIFF, each compression."""
    raw = pixels.astype(pixels.dtype.newbyteorder(order))
    planes = [raw[..., c] for c in range(raw.shape[2])] if planar and raw.ndim == 3 else [raw]
    strips = [p[top : top + rows].tobytes() for p in planes for top in range(0, len(raw), rows)]
    tags = page_tags(pixels, t259=compression, t278=rows, t284=2 if len(planes) > 1 else 1)
    data = tiff((tags, [PACKERS[compression](s) for s in strips]), order=order, big=big)
    back = decode_image(data, "x")
    assert back.dtype == pixels.dtype
    np.testing.assert_array_equal(back, pixels)
    assert image_size(data, "x") == pixels.shape[:2]


@given(PIXELS, st.integers(1, 3), st.integers(1, 3), st.sampled_from(sorted(PACKERS)))
@settings(deadline=None, max_examples=50)
def test_tiles_may_reach_beyond_the_page(pixels, high, wide, compression):
    high, wide = 16 * high, 16 * wide
    height, width = pixels.shape[:2]
    padding = [(0, -height % high), (0, -width % wide), (0, 0)][: pixels.ndim]
    padded = np.pad(pixels, padding, constant_values=7)
    tiles = [
        PACKERS[compression](padded[y : y + high, x : x + wide].tobytes())
        for y in range(0, height, high)
        for x in range(0, width, wide)
    ]
    tags = page_tags(pixels, t259=compression, t322=wide, t323=high)
    np.testing.assert_array_equal(decode_image(tiff((tags, tiles)), "x"), pixels)


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("image", [GREY, RGB, DEEP], ids=["grey", "rgb", "16-bit"])
def test_what_libtiff_writes_comes_back(image, compression):
    """Real LZW tables, with the predictor that OpenCV sets for them."""
    large = np.kron(image, np.ones((20, 20, 1) if image.ndim == 3 else (20, 20), image.dtype))
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression]
    data = cv2.imencode(".tif", large[..., ::-1] if image.ndim == 3 else large, options)[1]
    np.testing.assert_array_equal(decode_image(data.tobytes(), "x"), large)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_stretched_in_images_and_kept_in_values(bits):
    values = RNG.integers(0, 2**bits, (5, 7), np.uint8)
    padded = np.pad(values, ((0, 0), (0, -7 % (8 // bits))))
    weights = 1 << np.arange(8 - bits, -1, -bits)
    raw = (padded.reshape(5, -1, 8 // bits) * weights).sum(axis=2).astype(np.uint8).tobytes()
    data = tiff((page_tags(values, t258=bits), [raw]))
    np.testing.assert_array_equal(decode_values(data, "x"), values)
    np.testing.assert_array_equal(decode_image(data, "x"), values * (255 // (2**bits - 1)))


def test_a_palette_gives_colours_or_indices():
    palette = RNG.integers(0, 65_536, (256, 3))
    tags = page_tags(GREY, t262=3) | {320: (3, palette.T.ravel().tolist())}
    data = tiff((tags, [GREY.tobytes()]))
    np.testing.assert_array_equal(decode_image(data, "x"), palette[GREY] >> 8)
    np.testing.assert_array_equal(decode_values(data, "x"), GREY)


@pytest.mark.parametrize("image", [GREY, DEEP], ids=["8-bit", "16-bit"])
def test_where_white_is_zero(image):
    top = np.iinfo(image.dtype).max
    np.testing.assert_array_equal(decode_image(plain(image, t262=0), "x"), top - image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_are_not_multiplied_by_alpha(dtype):
    rgba = RNG.integers(0, 256, (6, 5, 4)).astype(dtype)
    np.testing.assert_array_equal(decode_image(plain(rgba), "x"), rgba)
    both = rgba[..., :2]
    np.testing.assert_array_equal(decode_image(plain(both), "x"), rgba[..., [0, 0, 0, 1]])


def test_orientation_is_not_applied():
    np.testing.assert_array_equal(decode_image(plain(GREY, t274=6), "x"), GREY)


@pytest.mark.parametrize("big", [False, True])
def test_each_page_is_its_own_image(big):
    data = tiff(page(GREY), page(RGB), page(DEEP[:4]), big=big)
    assert page_count(data, "x") == 3
    for number, pixels in enumerate((GREY, RGB, DEEP[:4])):
        np.testing.assert_array_equal(decode_image(data, "x", page=number), pixels)
        assert image_size(data, "x", page=number) == pixels.shape[:2]
    with pytest.raises(DataError, match="no page 4; it has 3"):
        decode_image(data, "x", page=3)


def test_the_limit_is_of_the_page_that_is_read():
    data = tiff(page(GREY[:2]), page(GREY))
    assert decode_image(data, "x", max_pixels=50).shape == (2, 21)
    with pytest.raises(DataError, match="21x13 pixels"):
        decode_image(data, "x", max_pixels=50, page=1)


def loop(length: int) -> bytes:
    data = bytearray(tiff(*[page(GREY)] * length))
    data[-4:] = data[4:8]  # the last page's next is the first
    return bytes(data)


@pytest.mark.parametrize("length", [1, 5])
def test_pages_that_form_a_loop_are_refused(length):
    for ask in (lambda d: page_count(d, "x"), lambda d: decode_image(d, "x", page=length)):
        with pytest.raises(DataError, match="loop"):
            ask(loop(length))
    assert decode_image(loop(length), "x").shape == GREY.shape


def test_a_huge_number_of_pages_does_not_hang():
    directory = struct.pack("<H", 0)
    data = bytearray(b"II*\0" + struct.pack("<I", 8))
    for n in range(70_000):
        data += directory + struct.pack("<I", 8 + 6 * (n + 1))
    started = time.monotonic()
    with pytest.raises(DataError, match="more than 4,096 pages"):
        page_count(bytes(data), "x")
    with pytest.raises(DataError):
        decode_image(bytes(data), "x", page=65_000)
    assert time.monotonic() - started < 5


def test_a_stack_of_as_many_pages_as_are_read_takes_little_for_each():
    """The chain is walked for each page, so its length is what a page costs."""
    data = tiff(*[page(GREY[:1, :1])] * MAX_PAGES)
    assert page_count(data, "x") == MAX_PAGES
    started = time.monotonic()
    for number in (MAX_PAGES - 1, MAX_PAGES // 2):
        assert decode_image(data, "x", page=number).shape == (1, 1)
    assert time.monotonic() - started < 1
    with pytest.raises(DataError, match="more than 4,096 pages"):
        page_count(tiff(*[page(GREY[:1, :1])] * (MAX_PAGES + 1)), "x")


def test_tiles_far_larger_than_the_page_are_refused():
    tags = page_tags(GREY, t259=8, t322=1 << 15, t323=1 << 15)
    with pytest.raises(DataError, match="tiles have"):
        decode_image(tiff((tags, [zlib.compress(bytes(1 << 20))])), "x")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (plain(GREY.astype(np.float32), t339=3), "float32"),
        (plain(DEEP, t339=2), "int16"),
        (plain(DEEP, t339=3), "float16"),
        (plain(GREY.astype(np.uint32)), "uint32"),
        (plain(DEEP, t258=12), "uint12"),
        (plain(DEEP, t262=3), "palette with 1 channel of 16 bit"),
        (plain(GREY, t262=3), "without its palette"),
        (plain(RNG.integers(0, 256, (4, 4, 4), np.uint8), t262=5), "CMYK"),
        (plain(RGB, t262=8), "Lab"),
        (plain(RGB[..., :2], t338=0), "grey with 2 channels"),
        (plain(np.zeros((4, 4, 5), np.uint8)), "5 channels"),
        (plain(GREY, t259=7), "compression 7"),
        (plain(GREY, t259=4), "compression 4"),
        (plain(GREY, t317=3), "predictor 3"),
        (plain(GREY, t266=2), "fill order 2"),
        (plain(GREY, t278=4), "expected 4 strips, found 1"),
        (plain(GREY, t278=0), "where its pixels are"),
        (plain(GREY, t256=22), "does not hold its 286 bytes"),
        (plain(GREY, t256=0), "0x13"),
        (tiff((page_tags(RGB) | {258: (3, [8, 16, 8])}, [RGB.tobytes()])), "channels differ"),
        (plain(GREY)[:-60], "cut short"),
        (tiff((page_tags(GREY) | {273: (4, [9999])}, [GREY.tobytes()])), "strip 1 ends at byte"),
    ],
)
def test_what_is_not_read_is_refused_by_name(data, says):
    with pytest.raises(DataError, match=says) as caught:
        decode_image(data, "volume.tif")
    assert caught.value.message.startswith("volume.tif: ")


@pytest.mark.parametrize("compression", [5, 8, 32773])
@pytest.mark.parametrize("image", [GREY, RGB, DEEP], ids=["grey", "rgb", "16-bit"])
def test_pixels_that_do_not_unpack_are_refused(image, compression):
    """OpenCV alone gives black for them."""
    packed = PACKERS[compression](image.tobytes())
    for bad in (packed[: len(packed) // 2], b"\x80" * 300):
        with pytest.raises(DataError, match="does not hold"):
            decode_image(tiff((page_tags(image, t259=compression), [bad])), "x")


def test_a_deflated_bomb_is_not_inflated():
    bomb = zlib.compress(bytes(64 << 20))
    data = tiff((page_tags(GREY, t259=8), [bomb]))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="does not hold"):
            decode_image(data, "x")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_strip_of_any_size_is_read():
    """Also one of two prime sides, which OpenCV takes in few other shapes."""
    grey = np.zeros((4099, 4111), np.uint8)
    grey[7, 4000], grey[-1, -1] = 3, 200
    packed = cv2.imencode(".tif", grey, [cv2.IMWRITE_TIFF_COMPRESSION, 5, 278, len(grey)])[1]
    np.testing.assert_array_equal(decode_image(packed.tobytes(), "x"), grey)


def test_a_field_as_large_as_the_file_takes_no_memory():
    tags, strips = page(GREY)
    data = tiff((tags | {258: (3, [8] * 2_000_000)}, strips))
    tracemalloc.start()
    np.testing.assert_array_equal(decode_image(data, "x"), GREY)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_page_with_a_crowd_of_fields_is_not_read_through():
    entry = struct.pack("<HHQQ", 1, 3, 1, 0)
    data = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 4097) + 4097 * entry + bytes(8)
    for call in (page_count, decode_image):
        with pytest.raises(DataError, match="header is damaged"):
            call(data, "x")
