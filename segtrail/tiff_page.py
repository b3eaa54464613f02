"""What a TIFF page says of itself, as far as it is read: see `segtrail.tiff`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError
from segtrail.tiff_directory import HEIGHT, WIDTH, Fields

BITS, COMPRESSION, PHOTOMETRIC, _FILL_ORDER = 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, _PLANAR = 273, 277, 278, 279, 284
_PREDICTOR, _PALETTE, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS = 317, 320, 322, 323, 324
_TILE_COUNTS, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 325, 338, 339
_DEFAULTS = {BITS: 1, COMPRESSION: 1, _FILL_ORDER: 1, SAMPLES: 1, _PLANAR: 1, _PREDICTOR: 1}

STORED, LZW, DEFLATE, DEFLATE_OLD, PACKBITS = 1, 5, 8, 32946, 32773
_COMPRESSIONS = (STORED, LZW, DEFLATE, DEFLATE_OLD, PACKBITS)
WHITE_IS_ZERO, BLACK_IS_ZERO, _RGB, INDEXED = 0, 1, 2, 3
_ALPHA = (1, 2)  # of ExtraSamples; colours multiplied by alpha or not: kept as stored
_FORMATS = {2: "int", 3: "float", 5: "complex int", 6: "complex float"}
_SAVE_AGAIN = "save it again as TIFF with deflate or LZW compression, or as PNG"


@dataclass(frozen=True)
class Page:
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


def read_page(order: str, tags: Fields, name: str) -> Page:
    """Returns a page's fields.

    Args:
        order: Of the file's bytes, `<` or `>`.
        tags: The page's directory.
        name: What to call the file in messages.

    Raises:
        DataError: Damaged, or a variant that is not read.
    """

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

    bits, samples = one(BITS), one(SAMPLES)
    kind = one(_SAMPLE_FORMAT, 1)
    if kind not in (1, 4) or bits not in (1, 2, 4, 8, 16):
        raise DataError(
            f"{name}: pixels of type {_FORMATS.get(kind, 'uint')}{bits}; expected 1, 2, 4, 8 or "
            "16 bit, unsigned",
            "scale it to 16 bit, unsigned",
        )
    photometric, compression = one(PHOTOMETRIC), one(COMPRESSION)
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
    segment_height = one(_TILE_HEIGHT) if tiled else min(one(ROWS_PER_STRIP, height), height)
    offsets = tags.get(_TILE_OFFSETS if tiled else STRIP_OFFSETS)
    if offsets is None or segment_width < 1 or segment_height < 1:
        raise DataError(f"{name}: damaged: the TIFF page does not say where its pixels are")
    page = Page(
        width, height, bits, samples, photometric, compression, predictor,
        planar == 2 and samples > 1, segment_width, segment_height, tiled, offsets,
        tags.get(_TILE_COUNTS if tiled else STRIP_COUNTS), tags.get(_PALETTE), order,
    )  # fmt: skip
    expected = page.down * page.across * (samples if page.planar else 1)
    if len(offsets) != expected or (page.counts is not None and len(page.counts) != expected):
        raise DataError(
            f"{name}: damaged: expected {expected} {'tiles' if tiled else 'strips'}, found "
            f"{len(offsets)}"
        )
    if page.counts is None and compression != STORED:
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
    grey = photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO)
    alpha = extra is not None and len(extra) > 0 and int(extra[0]) in _ALPHA
    if grey and (samples == 1 or (samples == 2 and alpha)):
        return
    if photometric == _RGB and samples in (3, 4) and bits >= 8:
        return
    if photometric == INDEXED and samples == 1 and bits <= 8:
        return
    names = {5: "CMYK", 6: "YCbCr", 8: "Lab", _RGB: "RGB", INDEXED: "palette"}
    called = "grey" if grey else names.get(photometric, f"colour space {photometric}")
    raise DataError(
        f"{name}: {called} with {samples} channel{'' if samples == 1 else 's'} of {bits} bit; "
        "expected grey, RGB or RGBA, or a palette of at most 8 bit",
        "convert it to grey or RGB",
    )
