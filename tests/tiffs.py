"""Writes TIFF files of any variant, right or wrong."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

Tags = dict[int, tuple[int, Sequence[int]]]  # type (3 SHORT, 4 LONG, 16 LONG8) and values
_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}


def page_tags(array: np.ndarray, **tags: int) -> Tags:
    """Returns the fields of a chunky page of one strip that hold `array`, `[H, W(, C)]`."""
    height, width = array.shape[:2]
    samples = 1 if array.ndim == 2 else array.shape[2]
    out: Tags = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [array.dtype.itemsize * 8] * samples),
        259: (3, [1]),
        262: (3, [2 if samples >= 3 else 1]),
        277: (3, [samples]),
        278: (4, [height]),
    }
    if samples in (2, 4):
        out[338] = (3, [2])
    return out | {int(tag[1:]): (3, [value]) for tag, value in tags.items()}


def tiff(*pages: tuple[Tags, Sequence[bytes]], order: str = "<", big: bool = False) -> bytes:
    """Returns a file of pages, each its fields and its strips (or tiles, if field 322 is set)."""
    at, count, link = ("Q", "Q", 8) if big else ("I", "H", 4)
    magic = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42)
    out = bytearray(magic + (struct.pack(order + "HH", 8, 0) if big else b"") + bytes(link))
    link = len(out) - link
    for tags, segments in pages:
        offsets = []
        for segment in segments:
            offsets.append(len(out))
            out += segment + bytes(len(segment) % 2)
        where = (324, 325) if 322 in tags else (273, 279)
        fields = {
            where[0]: (16 if big else 4, offsets),
            where[1]: (4, [len(segment) for segment in segments]),
        } | tags
        entries = b""
        for tag, (kind, values) in sorted(fields.items()):
            raw = struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values)
            if len(raw) > struct.calcsize(at):
                place = struct.pack(order + at, len(out))
                out += raw + bytes(len(raw) % 2)
            else:
                place = raw.ljust(struct.calcsize(at), b"\0")
            entries += struct.pack(order + "HH" + at, tag, kind, len(values)) + place
        out[link : link + struct.calcsize(at)] = struct.pack(order + at, len(out))
        out += struct.pack(order + count, len(fields)) + entries
        link = len(out)
        out += bytes(struct.calcsize(at))
    return bytes(out)


def plain(array: np.ndarray, order: str = "<", big: bool = False, **tags: int) -> bytes:
    """Returns a file of one page with one strip, not compressed."""
    return tiff(page(array, order, **tags), order=order, big=big)


def page(array: np.ndarray, order: str = "<", **tags: int) -> tuple[Tags, list[bytes]]:
    """Returns a page of one strip for `tiff`; `t274=6` sets field 274 to 6."""
    raw = array.astype(array.dtype.newbyteorder(order)).tobytes()
    return page_tags(array, **tags), [raw]


def packbits(data: bytes) -> bytes:
    """Packs bytes by PackBits, literally."""
    chunks = (data[i : i + 128] for i in range(0, len(data), 128))
    return b"".join(bytes([len(chunk) - 1]) + chunk for chunk in chunks)


def lzw(data: bytes) -> bytes:
    """Packs bytes by TIFF's LZW without using its table: a clear code before it would grow."""
    codes: list[int] = []
    for i, byte in enumerate(data):
        if i % 200 == 0:
            codes.append(256)
        codes.append(byte)
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")
