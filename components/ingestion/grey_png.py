"""Decodes 8-bit grey PNG files fast: most files of a delivery are masks of this kind.

Inflating a mask's zeros is nearly all the work; ISA-L does it seven times as fast as zlib
(measured on the 26,286 masks of the Data Science Bowl: 3.2 s against 22.9 s).
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY_8_BIT = bytes((8, 0, 0, 0, 0))  # depth, colour type, compression, filters, no interlace
_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)


def decode(data: bytes, max_pixels: int) -> npt.NDArray[np.uint8] | None:
    """Returns the pixels, uint8 `[H, W]`, of an 8-bit grey PNG without transparency.

    None for everything else: another kind of file, one with anything wrong about it, or one
    with averaged rows. The slow way decodes those, or says what is wrong.

    Args:
        data: The file.
        max_pixels: None above this, before anything is inflated.
    """
    if data[:8] != _SIGNATURE or data[12:16] != b"IHDR" or data[24:29] != _GREY_8_BIT:
        return None
    width, height = struct.unpack(">II", data[16:24])
    if not 0 < height * width <= max_pixels:
        return None
    body = _body(data)
    return None if body is None else _pixels(body, height, width)


def _body(data: bytes) -> bytes | None:
    """Returns the compressed pixels if each chunk is whole and none changes their meaning."""
    at, parts = 8, []
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data) or kind == b"tRNS":
            return None
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return None
        if kind == b"IDAT":
            parts.append(data[at + 8 : end - 4])
        elif kind == b"IEND":
            return b"".join(parts)
        at = end
    return None


def _pixels(body: bytes, height: int, width: int) -> npt.NDArray[np.uint8] | None:
    from isal import isal_zlib

    size = height * (width + 1)
    inflater = isal_zlib.decompressobj()
    try:
        raw = inflater.decompress(body, size + 1)
    except isal_zlib.error:  # type: ignore[misc]
        return None
    if len(raw) != size or not inflater.eof:
        return None
    rows = np.frombuffer(raw, np.uint8).reshape(height, width + 1)
    filters = rows[:, 0]
    filtered = np.flatnonzero(filters)
    if not len(filtered):
        return rows[:, 1:]
    if (filters == _AVERAGE).any() or filters.max() > _PAETH:
        return None
    pixels = rows[:, 1:].copy()
    for y in filtered:
        if filters[y] == _SUB:
            np.cumsum(pixels[y], dtype=np.uint8, out=pixels[y])
        elif filters[y] == _UP and y:
            pixels[y] += pixels[y - 1]
        elif filters[y] == _PAETH:
            _undo_paeth(pixels[y], pixels[y - 1] if y else np.zeros_like(pixels[0]))
    return pixels


def _undo_paeth(row: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8]) -> None:
    """Undoes the Paeth filter in place; pixel by pixel only where something changes.

    Left of the first change all is 0; right of the last one each pixel is like its left one.
    """
    changes = np.flatnonzero(row | above)
    if not len(changes):
        return
    first, last = int(changes[0]), min(int(changes[-1]) + 1, len(row) - 1)
    left = above_left = 0
    out = row[first : last + 1].tolist()
    for x, up in enumerate(above[first : last + 1].tolist()):
        to_left, to_up = abs(up - above_left), abs(left - above_left)
        to_both = abs(left + up - 2 * above_left)
        if to_left <= to_up and to_left <= to_both:
            best = left
        else:
            best = up if to_up <= to_both else above_left
        left = out[x] = (out[x] + best) & 255
        above_left = up
    row[first : last + 1] = out
    row[last + 1 :] = left
