"""Writes PNG files whose bytes depend on the pixels alone.

The bytes that zlib makes differ between its versions and builds (zlib, zlib-ng, Intel's), so a
file written through it has another digest on another machine. Data versions are digests.
This encoder is its own: run lengths in one block of fixed Huffman codes (RFC 1951, 3.2.6).
Masks come out a few kilobytes large; noisy images about as large as their pixels.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}
_LONGEST = 258
_DISTANCE_ONE_BITS = 5  # all 0: copy from the byte just before
_END_OF_BLOCK = (0, 7)  # the bits and how many
_FIXED_CODES_LAST_BLOCK = (0b011, 3)


def encode(array: npt.NDArray[np.integer]) -> bytes:
    """Encodes uint8 or uint16 `[H, W]`, `[H, W, 3]` RGB or `[H, W, 4]` RGBA as PNG."""
    if array.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16 pixels; received {array.dtype}")
    pixels = array[..., None] if array.ndim == 2 else array
    if pixels.ndim != 3 or pixels.shape[2] not in _COLOUR_TYPES or 0 in pixels.shape:
        raise ValueError(f"expected [H, W], [H, W, 3] or [H, W, 4]; received {array.shape}")
    height, width, channels = pixels.shape
    depth = array.dtype.itemsize
    rows = (
        np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder(">"))
        .view(np.uint8)
        .reshape(height, width * channels * depth)
    )
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    body = _zlib_stream(min(_filtered(0, rows), _filtered(2, rows - above), key=_changes))
    header = struct.pack(">IIBBBBB", width, height, 8 * depth, _COLOUR_TYPES[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data) for kind, data in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _filtered(number: int, rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Puts the filter's number before each row, as PNG wants it."""
    return np.pad(rows, ((0, 0), (1, 0)), constant_values=number).reshape(-1)


def _changes(data: npt.NDArray[np.uint8]) -> int:
    return int(np.count_nonzero(data[1:] != data[:-1]))


def _zlib_stream(data: npt.NDArray[np.uint8]) -> bytes:
    bits, lengths = _tokens(data)
    values = np.concatenate([[_FIXED_CODES_LAST_BLOCK[0]], bits, [_END_OF_BLOCK[0]]])
    counts = np.concatenate([[_FIXED_CODES_LAST_BLOCK[1]], lengths, [_END_OF_BLOCK[1]]])
    starts = np.cumsum(counts) - counts
    out = np.zeros(int(counts.sum()), np.uint8)
    for bit in range(int(counts.max())):
        has = counts > bit
        out[starts[has] + bit] = (values[has] >> bit) & 1
    packed = np.packbits(out, bitorder="little").tobytes()
    return b"\x78\x01" + packed + struct.pack(">I", zlib.adler32(data.tobytes()))


def _tokens(
    data: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns the code of each token, first bit lowest, and how many bits it has.

    Each run of one value is a literal, then copies of up to 258 of the byte before.
    """
    starts = np.flatnonzero(np.concatenate([[True], data[1:] != data[:-1]]))
    values = data[starts].astype(np.int64)
    repeats = np.diff(np.append(starts, data.size)) - 1
    full, rest = repeats // _LONGEST, repeats % _LONGEST
    copied = rest >= 3
    per_run = np.stack([np.ones_like(full), full, copied, np.where(copied, 0, rest)], axis=1)
    symbols = np.stack(
        [values, np.full_like(values, 256 + _LONGEST), 256 + rest, values], axis=1
    )  # below 256 a literal, above a copy of that length
    tokens = np.repeat(symbols.reshape(-1), per_run.reshape(-1))
    return _CODES[tokens], _LENGTHS[tokens]


def _reverse(code: int, length: int) -> int:
    return int(f"{code:0{length}b}"[::-1], 2)


def _tables() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns code and length of each literal (0..255) and copy (256 + how many bytes)."""
    codes = np.zeros(256 + _LONGEST + 1, np.int64)
    lengths = np.zeros_like(codes)
    for literal in range(256):
        code, n = (0x30 + literal, 8) if literal < 144 else (0x190 + literal - 144, 9)
        codes[literal], lengths[literal] = _reverse(code, n), n
    symbol, shortest = 257, 3
    for extra in [0] * 8 + [e for e in range(1, 6) for _ in range(4)]:
        code, n = (symbol - 256, 7) if symbol < 280 else (0xC0 + symbol - 280, 8)
        for offset in range(1 << extra):
            at = 256 + min(shortest + offset, _LONGEST)
            codes[at] = _reverse(code, n) | offset << n
            lengths[at] = n + extra + _DISTANCE_ONE_BITS
        symbol, shortest = symbol + 1, shortest + (1 << extra)
    codes[-1], lengths[-1] = _reverse(0xC0 + 285 - 280, 8), 8 + _DISTANCE_ONE_BITS
    return codes, lengths


_CODES, _LENGTHS = _tables()
