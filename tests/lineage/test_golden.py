"""Golden images: read from the stored model, and compared pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lineage import golden, golden_answers
from segtrail.errors import LineageError
from segtrail.files import write_json
from segtrail.images import encode_png


def test_masks_differ_by_the_fraction_of_their_pixels() -> None:
    mask = np.zeros((10, 20), np.uint8)
    other = mask.copy()
    other[0, :3] = 1
    assert golden_answers.mask_difference(encode_png(mask), encode_png(mask)) == 0
    assert golden_answers.mask_difference(encode_png(mask), encode_png(other)) == 3 / 200


@pytest.mark.parametrize(
    "answered",
    [
        encode_png(np.zeros((20, 10), np.uint8)),
        encode_png(np.zeros((10, 20), np.uint16)),
        b"",
        b"\x89PNG\r\n\x1a\n" + b"x" * 40,
    ],
)
def test_another_size_or_type_or_no_image_differs_everywhere(answered: bytes) -> None:
    assert golden_answers.mask_difference(encode_png(np.zeros((10, 20), np.uint8)), answered) == 1


def test_golden_images_are_read_by_name(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
        (tmp_path / f"{name}.mask.png").write_bytes(b"mask of " + name.encode())
    write_json(tmp_path / "golden.json", {"b": {}, "a": {}})
    assert golden.read(tmp_path) == [
        golden.Golden("a", b"a", b"mask of a"),
        golden.Golden("b", b"b", b"mask of b"),
    ]
    assert set(golden.files(tmp_path)) == {
        f"assets.extra/segtrail/golden/{name}"
        for name in ("a.png", "a.mask.png", "b.png", "b.mask.png", "golden.json")
    }


@pytest.mark.parametrize("names", [{}, {"a": {}}, [], 3])
def test_no_golden_image_is_an_error(tmp_path: Path, names: object) -> None:
    with pytest.raises(LineageError, match="golden"):
        golden.read(tmp_path)
    write_json(tmp_path / "golden.json", names)
    with pytest.raises(LineageError, match="golden"):
        golden.read(tmp_path)
