"""Decodes TIFF pages that nobody vouches for.

OpenCV hands over black where libtiff could not decompress 8-bit pixels, multiplies colours by
alpha, turns pages by their orientation tag and drops a second channel, all without a word. So
the structure is read here, and only the decompression is left to zlib and libtiff, in a form in
which errors are told. Read are TIFF 6.0 and BigTIFF, strips and tiles, chunky and planar;
stored, deflate, LZW and PackBits; 1, 2, 4, 8 and 16 bits a sample.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError
from segtrail.tiff_directory import TiffFile
from segtrail.tiff_page import INDEXED, WHITE_IS_ZERO, Page, read_page
from segtrail.tiff_unpack import unpack


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
    fields = read_page(file.order, file.fields(name, page), name)
    # tiles may be far larger than the page: what is unpacked counts, not what is shown
    unpacked = fields.down * fields.segment_height * fields.across * fields.segment_width
    if fields.tiled and unpacked > max(max_pixels, 2 * fields.width * fields.height):
        raise DataError(
            f"{name}: its tiles have {unpacked:,} pixels; at most {max_pixels:,} are read"
        )
    return _colours(_samples(fields, data, name), fields, stored, name)


def _samples(page: Page, data: bytes, name: str) -> npt.NDArray[np.integer]:
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


def _segment(page: Page, data: bytes, number: int, top: int, name: str) -> npt.NDArray[np.integer]:
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
    raw = unpack(packed, page.compression, size, full)
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


def _colours(
    samples: npt.NDArray[np.integer], page: Page, stored: bool, name: str
) -> npt.NDArray[np.integer]:
    top = 2**page.bits - 1
    if page.photometric == INDEXED and not stored:
        return _look_up(samples[..., 0], page, name)
    if page.photometric == WHITE_IS_ZERO:
        samples[..., 0] = top - samples[..., 0]
    if page.bits < 8 and not stored:
        samples *= 255 // top
    if page.samples == 2:  # as a PNG of grey and alpha is decoded
        return np.ascontiguousarray(samples[..., [0, 0, 0, 1]])
    return samples[..., 0] if page.samples == 1 else samples


def _look_up(indices: npt.NDArray[np.integer], page: Page, name: str) -> npt.NDArray[np.uint8]:
    if page.palette is None or len(page.palette) != 3 << page.bits:
        raise DataError(f"{name}: damaged: a palette image without its palette")
    palette = page.palette.reshape(3, -1).T
    if palette.max() > 255:  # 16 bit, as the standard says
        palette = palette >> 8
    return np.asarray(palette.astype(np.uint8)[indices])
