"""The structure of PNG, JPEG and BMP files that nobody vouches for.

OpenCV fills up what is missing of some, and takes palettes for grey of others.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from segtrail.errors import DataError

PNG, JPEG, BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"
_PNG_GREY, _PNG_PALETTE = 0, 3
_STRETCH = {1: 255, 2: 85, 4: 17}  # of grey values of so many bits, to 0..255
_JPEG_KINDS = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive; Huffman coded
_MOST_MARKERS = 10_000  # before the start of frame, fill bytes too; ordinary files have dozens
_BMP_STORED = (0, 3)  # plain, and with bit masks; the others are run lengths


def check_png(data: bytes, name: str) -> None:
    """Refuses a PNG that is cut short or damaged: OpenCV would fill the rest with black.

    Raises:
        DataError: Says which chunk is wrong.
    """
    at = len(PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise DataError(f"{name}: damaged: the checksum of its {kind!r} chunk is wrong")
        if kind == b"IEND":
            return
        at = end
    raise DataError(
        f"{name}: cut short: the PNG ends after {len(data)} bytes without its last chunk",
        "copy the file again from where it came",
    )


def png_values(data: bytes) -> tuple[bytes, int]:
    """Makes a PNG of palette or grey a plain grey one; also returns how its values stretch.

    The chunks are whole and have the right checksums, but may be anything else.
    """
    depth, colour = data[24:26]
    if colour not in (_PNG_GREY, _PNG_PALETTE) or data[8:12] != b"\0\0\0\x0d":
        return data, 1
    header = b"IHDR" + data[16:25] + bytes([_PNG_GREY]) + data[26:29]
    kept = [PNG, b"\0\0\0\x0d", header, struct.pack(">I", zlib.crc32(header))]
    at, kind = len(PNG), b""
    while kind != b"IEND":  # there may be anything behind it
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if kind in (b"IDAT", b"IEND"):
            kept.append(data[at:end])
        at = end
    return b"".join(kept), _STRETCH.get(depth, 1)


@dataclass(frozen=True)
class JpegFrame:
    """What a JPEG says of its pixels."""

    kind: int
    depth: int
    size: tuple[int, int]
    channels: int

    def check(self, name: str) -> None:
        """Refuses what OpenCV does not read, or turns into other colours.

        Raises:
            DataError: Names the variant.
        """
        if self.kind not in _JPEG_KINDS:
            raise DataError(
                f"{name}: a lossless or arithmetic-coded JPEG (frame type {self.kind:#x}) is not "
                "read; expected a baseline or progressive one",
                "convert it to PNG",
            )
        if self.depth != 8:
            raise DataError(f"{name}: a JPEG of {self.depth} bits; expected 8", "convert it to PNG")
        if self.channels not in (1, 3):
            raise DataError(
                f"{name}: a JPEG of {self.channels} channels, CMYK perhaps; expected grey or RGB",
                "convert it to RGB",
            )


def jpeg_frame(data: bytes) -> JpegFrame:
    """Returns what the start-of-frame segment says.

    Raises:
        IndexError, KeyError, struct.error: There is none, or it is cut short.
    """
    at = 2
    for _ in range(_MOST_MARKERS):
        if data[at] != 0xFF:
            raise KeyError("marker")
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            depth, height, width, channels = struct.unpack(">BHHB", data[at + 4 : at + 10])
            return JpegFrame(marker, depth, (height, width), channels)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length
            at += 2
            continue
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        at += 2 + length
    raise KeyError("start of frame")


@dataclass(frozen=True)
class BmpHeader:
    """The header of a BMP."""

    height: int
    width: int
    down: bool  # from the top row to the bottom row, as a negative height says
    bits: int
    compression: int
    pixels_at: int
    short: bool  # OS/2's: palettes of three bytes

    @classmethod
    def of(cls, data: bytes) -> BmpHeader:
        """Reads the header.

        Raises:
            struct.error: It is cut short.
        """
        pixels_at, header = struct.unpack("<II", data[10:18])
        compression = 0
        if header == 12:
            width, height, _, bits = struct.unpack("<HHHH", data[18:26])
        else:
            width, height, _, bits, compression = struct.unpack("<iiHHI", data[18:34])
        return cls(abs(height), width, height < 0, bits, compression, pixels_at, header == 12)

    def check(self, data: bytes, name: str) -> None:
        """Refuses what OpenCV does not read or fills up.

        Raises:
            DataError: Names the variant, or says how much is missing.
        """
        if self.bits not in (1, 4, 8, 16, 24, 32):
            raise DataError(
                f"{name}: damaged: a BMP of {self.bits} bits a pixel", "convert it to PNG"
            )
        if self.compression in _BMP_STORED:
            needed = self.pixels_at + (self.width * self.bits + 31) // 32 * 4 * self.height
            if len(data) < needed:
                raise DataError(
                    f"{name}: cut short: a BMP of {self.width}x{self.height} pixels and "
                    f"{self.bits} bit takes {needed:,} bytes, found {len(data):,}",
                    "copy the file again from where it came",
                )

    def plain(self, data: bytes, stored: bool) -> bytes:
        """Returns the file in a form of which OpenCV gives the colours, or else the indices.

        It takes the palette of the old, short header for grey.
        """
        if self.bits > 8 or (not stored and not self.short):
            return data
        entries = range(1 << self.bits)
        if stored:
            palette = b"".join(bytes((i, i, i, 0)) for i in entries)
        else:
            table = data[26 : 26 + 3 * len(entries)].ljust(3 * len(entries), b"\0")
            palette = b"".join(table[3 * i : 3 * i + 3] + b"\0" for i in entries)
        start = 14 + 40 + len(palette)
        pixels = data[self.pixels_at :]
        height = -self.height if self.down else self.height
        header = struct.pack("<IHHI", start + len(pixels), 0, 0, start) + struct.pack(
            "<IiiHHIIiiII", 40, self.width, height, 1, self.bits, self.compression, 0, 0, 0, 0, 0
        )
        return b"BM" + header + palette + pixels
