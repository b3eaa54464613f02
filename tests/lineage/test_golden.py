"""Golden images: read from the stored model, and compared pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lineage import golden, golden_answers
from segtrail.errors import LineageError
from segtrail.files import write_json
from segtrail.images import encode_png
from serving.prediction import Prediction


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


def plane(*changed: tuple[int, int, int]) -> bytes:
    pixels = np.full((10, 20), 100, np.uint8)
    for row, column, value in changed:
        pixels[row, column] = value
    return encode_png(pixels)


def asked(**answered: object) -> golden_answers.Difference:
    """Compares an answer with a golden image of one object, and two classes."""
    mask = encode_png(np.zeros((10, 20), np.uint8))
    one = golden.Golden("a", b"", mask, 1, ("disc", "cup"), (plane(), plane()))
    answer = {"mask_png": mask, "objects": 1, "probability_pngs": (plane(), plane())} | answered
    return golden_answers.compare(one, Prediction(version=1, **answer))  # type: ignore[arg-type]


def test_the_largest_difference_of_a_probability_is_told_with_its_place() -> None:
    found = asked(probability_pngs=(plane((1, 2, 103)), plane((9, 19, 88), (3, 4, 105))))
    place = (found.probability, found.row, found.column, found.class_name)
    assert place == (12, 9, 19, "cup")
    assert found.excess == 12 / 8
    with pytest.raises(LineageError, match="cup differs by 12/255 at row 9, column 19"):
        golden_answers.summary([asked(), found], "there")


def test_rounding_is_allowed_and_told() -> None:
    found = asked(probability_pngs=(plane((1, 2, 108)), plane()))
    assert found.excess == 1
    assert "probabilities within 8/255" in golden_answers.summary([found, asked()], "there")
    assert "pixel for pixel" in golden_answers.summary([asked()], "there")


def test_a_count_may_be_off_where_pixels_are_and_nowhere_else() -> None:
    rounded = (plane((1, 2, 101)), plane())
    assert asked(objects=2, probability_pngs=rounded).excess == 1
    assert asked(objects=3, probability_pngs=rounded).excess == 2
    with pytest.raises(LineageError, match="counts 2 objects in a; as evaluated there are 1"):
        golden_answers.summary([asked(objects=2)], "there")


OTHER_SIZE = encode_png(np.zeros((9, 9), np.uint8))


@pytest.mark.parametrize("answered", [None, (plane(),), (plane(), b""), (plane(), OTHER_SIZE)])
def test_probabilities_of_another_number_or_size_differ_everywhere(answered: object) -> None:
    found = asked(probability_pngs=answered)
    assert (found.probability, found.row, found.class_name) == (255, None, None)
    with pytest.raises(LineageError, match="differ in number, size or type"):
        golden_answers.summary([found], "there")


@pytest.mark.parametrize("names", [{}, {"a": {}}, [], 3])
def test_no_golden_image_is_an_error(tmp_path: Path, names: object) -> None:
    with pytest.raises(LineageError, match="golden"):
        golden.read(tmp_path)
    write_json(tmp_path / "golden.json", names)
    with pytest.raises(LineageError, match="golden"):
        golden.read(tmp_path)
