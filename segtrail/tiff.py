"""Decodes TIFF pages that nobody vouches for.

OpenCV hands over black where libtiff could not decompress 8-bit pixels, multiplies colours by
alpha, turns pages by their orientation tag and drops a second channel, all without a word. So
the structure is read here, and only the decompression is left to zlib and libtiff, in a form in
which errors are told. Read are TIFF 6.0 and BigTIFF, strips and tiles, chunky and planar;
stored, deflate, LZW and PackBits; 1, 2, 4, 8 and 16 bits a sample.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError
from segtrail.tiff_directory import HEIGHT, WIDTH, Fields, TiffFile

_BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 258, 259, 262, 266
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_COUNTS, _PLANAR = 273, 277, 278, 279, 284
_PREDICTOR, _PALETTE, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS = 317, 320, 322, 323, 324
_TILE_COUNTS, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 325, 338, 339
_DEFAULTS = {_BITS: 1, _COMPRESSION: 1, _FILL_ORDER: 1, _SAMPLES: 1, _PLANAR: 1, _PREDICTOR: 1}

_STORED, _LZW, _DEFLATE, _DEFLATE_OLD, _PACKBITS = 1, 5, 8, 32946, 32773
_COMPRESSIONS = (_STORED, _LZW, _DEFLATE, _DEFLATE_OLD, _PACKBITS)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _INDEXED = 0, 1, 2, 3
_ALPHA = (1, 2)  # of ExtraSamples; colours multiplied by alpha or not: kept as stored
_FORMATS = {2: "int", 3: "float", 5: "complex int", 6: "complex float"}
_WIDEST = 1 << 20  # that OpenCV decodes
_SAVE_AGAIN = "save it again as TIFF with deflate or LZW compression, or as PNG"


@dataclass(frozen=True)
class _Page:
    """A page's fields. A segment is a strip or a tile."""

    width: int
    height: int
    bits: int
    samples: int
    photometric: int
    compression: int
    predictor: int
    planar: bool
    segment_width: int
    segment_height: int
    tiled: bool
    offsets: npt.NDArray[np.integer]
    counts: npt.NDArray[np.integer] | None
    palette: npt.NDArray[np.integer] | None
    order: str

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        return np.uint16 if self.bits == 16 else np.uint8

    @property
    def samples_together(self) -> int:
        return 1 if self.planar else self.samples

    @property
    def row_bytes(self) -> int:
        return -(-self.segment_width * self.samples_together * self.bits // 8)

    @property
    def down(self) -> int:
        return -(-self.height // self.segment_height)

    @property
    def across(self) -> int:
        return -(-self.width // self.segment_width)


def decode(
    data: bytes, name: str, max_pixels: int, page: int = 0, stored: bool = False
) -> npt.NDArray[np.integer]:
    """Decodes one page. Orientation tags and colour profiles are not applied.

    Args:
        data: A TIFF file.
        name: What to call it in messages.
        max_pixels: Of the page; its tiles, which may reach beyond it, have no more either.
        page: Which one, from 0.
        stored: Return a palette's indices instead of its colours, and grey of fewer than
            8 bits without stretching it to 0..255.

    Returns:
        uint8 or uint16, `[H, W]` if grey, `[H, W, 3]` RGB or `[H, W, 4]` RGBA.

    Raises:
        DataError: Cut short, damaged, too large, or a variant that is not read.
    """
    file = TiffFile.of(data)
    fields = _page(file.order, file.fields(name, page), name)
    # tiles may be far larger than the page: what is unpacked counts, not what is shown
    unpacked = fields.down * fields.segment_height * fields.across * fields.segment_width
    if fields.tiled and unpacked > max(max_pixels, 2 * fields.width * fields.height):
        raise DataError(
            f"{name}: its tiles have {unpacked:,} pixels; at most {max_pixels:,} are read"
        )
    return _colours(_samples(fields, data, name), fields, stored, name)


def _page(order: str, tags: Fields, name: str) -> _Page:
    def one(tag: int, default: int | None = None) -> int:
        if tag not in tags or not len(tags[tag]):
            fallback = _DEFAULTS.get(tag, default)
            if fallback is None:
                raise DataError(f"{name}: damaged: a TIFF page without its field {tag}")
            return fallback
        values = tags[tag][:16].tolist()  # it may have as many as the file has bytes
        if len(set(values)) > 1:
            raise DataError(f"{name}: its channels differ: field {tag} is {values}")
        return int(tags[tag][0])

    bits, samples = one(_BITS), one(_SAMPLES)
    kind = one(_SAMPLE_FORMAT, 1)
    if kind not in (1, 4) or bits not in (1, 2, 4, 8, 16):
        raise DataError(
            f"{name}: pixels of type {_FORMATS.get(kind, 'uint')}{bits}; expected 1, 2, 4, 8 or "
            "16 bit, unsigned",
            "scale it to 16 bit, unsigned",
        )
    photometric, compression = one(_PHOTOMETRIC), one(_COMPRESSION)
    _check_channels(photometric, samples, bits, tags.get(_EXTRA_SAMPLES), name)
    if compression not in _COMPRESSIONS:
        raise DataError(
            f"{name}: TIFF compression {compression} is not read; expected it stored, deflate, LZW "
            "or PackBits",
            _SAVE_AGAIN,
        )
    predictor, planar = one(_PREDICTOR), one(_PLANAR)
    if (
        predictor not in (1, 2)
        or (predictor == 2 and bits < 8)
        or planar not in (1, 2)
        or one(_FILL_ORDER) != 1
    ):
        raise DataError(
            f"{name}: a variant of TIFF that is not read: predictor {predictor}, planar "
            f"configuration {planar}, fill order {one(_FILL_ORDER)}, {bits} bit",
            _SAVE_AGAIN,
        )
    width, height = one(WIDTH), one(HEIGHT)
    tiled = _TILE_OFFSETS in tags
    segment_width = one(_TILE_WIDTH) if tiled else width
    segment_height = one(_TILE_HEIGHT) if tiled else min(one(_ROWS_PER_STRIP, height), height)
    offsets = tags.get(_TILE_OFFSETS if tiled else _STRIP_OFFSETS)
    if offsets is None or segment_width < 1 or segment_height < 1:
        raise DataError(f"{name}: damaged: the TIFF page does not say where its pixels are")
    page = _Page(
        width, height, bits, samples, photometric, compression, predictor,
        planar == 2 and samples > 1, segment_width, segment_height, tiled, offsets,
        tags.get(_TILE_COUNTS if tiled else _STRIP_COUNTS), tags.get(_PALETTE), order,
    )  # fmt: skip
    expected = page.down * page.across * (samples if page.planar else 1)
    if len(offsets) != expected or (page.counts is not None and len(page.counts) != expected):
        raise DataError(
            f"{name}: damaged: expected {expected} {'tiles' if tiled else 'strips'}, found "
            f"{len(offsets)}"
        )
    if page.counts is None and compression != _STORED:
        raise DataError(f"{name}: damaged: the TIFF page does not say how long its strips are")
    return page


def _check_channels(
    photometric: int,
    samples: int,
    bits: int,
    extra: npt.NDArray[np.integer] | None,
    name: str,
) -> None:
    """Refuses what is not grey, grey with alpha, palette, RGB or RGBA."""
    grey = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    alpha = extra is not None and len(extra) > 0 and int(extra[0]) in _ALPHA
    if grey and (samples == 1 or (samples == 2 and alpha)):
        return
    if photometric == _RGB and samples in (3, 4) and bits >= 8:
        return
    if photometric == _INDEXED and samples == 1 and bits <= 8:
        return
    names = {5: "CMYK", 6: "YCbCr", 8: "Lab", _RGB: "RGB", _INDEXED: "palette"}
    called = "grey" if grey else names.get(photometric, f"colour space {photometric}")
    raise DataError(
        f"{name}: {called} with {samples} channel{'' if samples == 1 else 's'} of {bits} bit; "
        "expected grey, RGB or RGBA, or a palette of at most 8 bit",
        "convert it to grey or RGB",
    )


def _samples(page: _Page, data: bytes, name: str) -> npt.NDArray[np.integer]:
    """Returns the samples as stored, `[H, W, samples]`."""
    out = np.zeros((page.height, page.width, page.samples), page.dtype)
    number = 0
    for plane in range(page.samples if page.planar else 1):
        for top in range(0, page.height, page.segment_height):
            for left in range(0, page.width, page.segment_width):
                segment = _segment(page, data, number, top, name)
                number += 1
                place = out[top : top + segment.shape[0], left : left + segment.shape[1]]
                if page.planar:
                    place = place[..., plane : plane + 1]
                place[...] = segment[: place.shape[0], : place.shape[1]]
    return out


def _segment(page: _Page, data: bytes, number: int, top: int, name: str) -> npt.NDArray[np.integer]:
    rows = page.segment_height
    if not page.tiled:
        rows = min(rows, page.height - top)
    size = rows * page.row_bytes
    at = int(page.offsets[number])
    count = size if page.counts is None else int(page.counts[number])
    what = f"{'tile' if page.tiled else 'strip'} {number + 1}"
    if at + count > len(data):
        raise DataError(
            f"{name}: cut short: its {what} ends at byte {at + count:,}, the file at {len(data):,}",
            "copy the file again from where it came",
        )
    packed = data[at : at + count]
    full = page.segment_height * page.row_bytes
    raw = _unpack(packed, page.compression, size, full)
    if raw is None:
        raise DataError(f"{name}: damaged: its {what} does not hold its {size:,} bytes of pixels")
    lines = np.frombuffer(raw, np.uint8, size).reshape(rows, page.row_bytes)
    channels = page.samples_together
    values: npt.NDArray[np.integer]
    if page.bits == 16:
        values = lines.view(page.order + "u2").astype(np.uint16)
    elif page.bits == 8:
        values = lines
    else:
        shifts = np.arange(8 - page.bits, -1, -page.bits, dtype=np.uint8)
        values = (lines[..., None] >> shifts & (2**page.bits - 1)).reshape(rows, -1)
        values = values[:, : page.segment_width * channels]
    values = values.reshape(rows, page.segment_width, channels)
    if page.predictor == 2:
        values = np.cumsum(values, axis=1, dtype=values.dtype)
    return values


def _unpack(packed: bytes, compression: int, size: int, full: int) -> bytes | None:
    """Returns at least `size` bytes, or None if there are fewer, or they are damaged."""
    if compression == _STORED:
        return packed if len(packed) >= size else None
    if compression in (_DEFLATE, _DEFLATE_OLD):
        inflate = zlib.decompressobj()
        try:  # some writers fill the last strip up to its full height
            raw = inflate.decompress(packed, full + 1)
        except zlib.error:
            return None
        return raw if inflate.eof and size <= len(raw) <= full else None
    if size % 2 == 0:
        return _libtiff(packed, compression, size, 16)
    # Only 16-bit pixels are strict, and an odd number of bytes is none of those.
    strict = next(n for n in range(size - 1, -1, -2) if n == 0 or _shape(n // 2))
    if strict and _libtiff(packed, compression, strict, 16) is None:
        return None
    return _libtiff(packed, compression, size, 8)


def _shape(pixels: int) -> tuple[int, int] | None:
    """Returns height and width of an image of so many pixels that OpenCV decodes."""
    for height in range(1, math.isqrt(pixels) + 1):
        if pixels % height == 0 and pixels // height <= _WIDEST:
            return height, pixels // height
    return None


def _libtiff(packed: bytes, compression: int, size: int, bits: int) -> bytes | None:
    """Unpacks a segment as if it were a grey image, of which OpenCV tells errors at 16 bit."""
    shape = _shape(size * 8 // bits)
    if shape is None:
        return None
    height, width = shape
    padding = bytes(len(packed) % 2)
    fields = (
        (WIDTH, width), (HEIGHT, height), (_BITS, bits), (_COMPRESSION, compression),
        (_PHOTOMETRIC, _BLACK_IS_ZERO), (_STRIP_OFFSETS, 8), (_SAMPLES, 1),
        (_ROWS_PER_STRIP, height), (_STRIP_COUNTS, len(packed)),
    )  # fmt: skip
    directory = struct.pack("<H", len(fields)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields
    )
    header = b"II*\0" + struct.pack("<I", 8 + len(packed) + len(padding))
    file = b"".join((header, packed, padding, directory, bytes(4)))
    try:
        image: Any = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if image is None or image.shape != shape or image.dtype != f"uint{bits}":
        return None
    return bytes(image.astype(f"<u{bits // 8}").tobytes())


def _colours(
    samples: npt.NDArray[np.integer], page: _Page, stored: bool, name: str
) -> npt.NDArray[np.integer]:
    top = 2**page.bits - 1
    if page.photometric == _INDEXED and not stored:
        return _look_up(samples[..., 0], page, name)
    if page.photometric == _WHITE_IS_ZERO:
        samples[..., 0] = top - samples[..., 0]
    if page.bits < 8 and not stored:
        samples *= 255 // top
    if page.samples == 2:  # as a PNG of grey and alpha is decoded
        return np.ascontiguousarray(samples[..., [0, 0, 0, 1]])
    return samples[..., 0] if page.samples == 1 else samples


def _look_up(indices: npt.NDArray[np.integer], page: _Page, name: str) -> npt.NDArray[np.uint8]:
    if page.palette is None or len(page.palette) != 3 << page.bits:
        raise DataError(f"{name}: damaged: a palette image without its palette")
    palette = page.palette.reshape(3, -1).T
    if palette.max() > 255:  # 16 bit, as the standard says
        palette = palette >> 8
    return np.asarray(palette.astype(np.uint8)[indices])
