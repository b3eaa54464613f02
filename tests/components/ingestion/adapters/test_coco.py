"""COCO annotations of CVAT and Label Studio, and hostile ones."""

from __future__ import annotations

import contextlib
import json
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as pycoco

from components.ingestion.coco_json import MAX_BYTES, parse
from components.ingestion.coco_masks import check, decompress
from components.ingestion.problems import Problems
from segtrail.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools
HEIGHT, WIDTH = 30, 40
GREY = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH), np.uint8)


def square(left: float, top: float, side: float) -> list[list[float]]:
    right, bottom = left + side, top + side
    return [[left, top, right, top, right, bottom, left, bottom]]


def filled(*squares: tuple[int, int, int, int]) -> np.ndarray:
    """Squares of `(left, top, side, value)`."""
    out = np.zeros((HEIGHT, WIDTH), np.uint16)
    for left, top, side, value in squares:
        out[top : top + side, left : left + side] = value
    return out


def runs(mask: np.ndarray, compressed: bool) -> dict[str, Any]:
    rle = pycoco.encode(np.asfortranarray(mask.astype(np.uint8)))
    if compressed:
        return {"size": list(mask.shape), "counts": rle["counts"].decode()}
    flat = mask.astype(bool).ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def document(*segmentations: Any, categories=("cell",), **more: Any) -> dict[str, Any]:
    """One image, `a.png`, with an annotation for each segmentation."""
    return {
        "info": {"description": "made by a tool"},
        "licenses": [{"id": 0, "name": "", "url": ""}],
        "categories": [
            {"id": n, "name": name, "supercategory": ""} for n, name in enumerate(categories, 1)
        ],
        "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
        "annotations": [
            {
                "id": n,
                "image_id": 1,
                "category_id": 1 + (n - 1) % len(categories),
                "segmentation": segmentation,
                "area": 4.0,
                "bbox": [0, 0, 2, 2],
                "iscrowd": 0,
                **more,
            }
            for n, segmentation in enumerate(segmentations, 1)
        ],
    }


def deliver(bench, content: dict[str, Any], file: str = "annotations/instances_default.json"):
    bench.image("images/a.png", GREY)
    bench.text(file, json.dumps(content))
    return bench


def instances(bench):
    return bench.read("coco", "instances", "cell")


class TestLayouts:
    def test_cvat(self, bench):
        content = document(square(2, 3, 5), square(20, 10, 6))
        out = instances(deliver(bench, content))
        assert not out.problems
        np.testing.assert_array_equal(out.masks["a"], filled((2, 3, 5, 1), (20, 10, 6, 2)))
        assert instances_zip(bench).masks["a"].tolist() == out.masks["a"].tolist()

    def test_cvat_with_subsets(self, bench):
        for subset, left in (("train", 2), ("val", 9)):
            bench.image(f"images/{subset}/a.png", GREY)
            content = document(square(left, 3, 5))
            content["images"][0]["file_name"] = f"{subset}/a.png"
            bench.text(f"annotations/instances_{subset}.json", json.dumps(content))
        out = instances(bench)
        assert not out.problems
        assert set(out.items) == {"train-a", "val-a"}
        np.testing.assert_array_equal(out.masks["val-a"], filled((9, 3, 5, 1)))

    def test_cvat_with_subsets_that_only_the_file_names_tell(self, bench):
        for subset, image in (("train", "a"), ("val", "b")):
            bench.image(f"images/{subset}/{image}.png", GREY)
            content = document(square(2, 3, 5))
            content["images"][0]["file_name"] = f"{image}.png"
            bench.text(f"annotations/instances_{subset}.json", json.dumps(content))
        out = instances(bench)
        assert not out.problems
        assert set(out.items) == {"a", "b"}

    @pytest.mark.parametrize(
        "file_name",
        [
            "images/a.png",
            "images\\a.png",
            "../../data/upload/1/a.png",
            "/data/media/upload/2/a.png",
        ],
    )
    def test_label_studio(self, bench, file_name):
        content = document(square(2, 3, 5))
        content["categories"][0]["id"] = 0
        content["annotations"][0].update(category_id=0, id=0, ignore=0)
        content["images"][0].update(file_name=file_name, id=0)
        content["annotations"][0]["image_id"] = 0
        out = instances(deliver(bench, content, "project-1/result.json"))
        assert not out.problems
        np.testing.assert_array_equal(out.masks["a"], filled((2, 3, 5, 1)))

    def test_any_single_json_file(self, bench):
        out = instances(deliver(bench, document(square(2, 3, 5)), "cells.json"))
        assert not out.problems


def instances_zip(bench):
    return bench.read("coco", "instances", "cell", source=bench.zipped())


class TestMasks:
    @pytest.mark.parametrize("compressed", [True, False])
    def test_run_lengths(self, bench, compressed):
        first, second = filled((2, 3, 5, 1)), filled((20, 10, 6, 1), (30, 20, 10, 1))
        content = document(runs(first, compressed), runs(second, compressed))
        out = instances(deliver(bench, content))
        assert not out.problems
        np.testing.assert_array_equal(out.masks["a"], first + 2 * second)

    def test_several_polygons_are_one_object(self, bench):
        out = instances(deliver(bench, document(square(2, 3, 5) + square(20, 10, 6))))
        np.testing.assert_array_equal(out.masks["a"], filled((2, 3, 5, 1), (20, 10, 6, 1)))

    def test_classes_are_painted_in_their_order_whatever_the_files(self, bench):
        nucleus, cell = square(5, 5, 4), square(2, 2, 12)
        content = document(nucleus, cell, categories=("Nucleus", "White cell"))
        out = deliver(bench, content).read("coco", "classes", "white-cell", "nucleus")
        assert not out.problems
        np.testing.assert_array_equal(out.masks["a"], filled((2, 2, 12, 1), (5, 5, 4, 2)))

    def test_labels_may_overlap_where_they_are_bits(self, bench):
        content = document(square(5, 5, 4), square(2, 2, 12), categories=("cup", "disc"))
        out = deliver(bench, content).read("coco", "multilabel", "disc", "cup")
        np.testing.assert_array_equal(out.masks["a"], filled((2, 2, 12, 1), (5, 5, 4, 3)))

    def test_a_shared_edge_goes_to_the_later_one_and_is_told(self, bench):
        out = instances(
            deliver(bench, document(square(2, 2, 12), square(14, 2, 4), square(12, 8, 3)))
        )
        assert out.says("annotation 3", "shares", image="a")
        out = instances(deliver(bench, document(square(2, 2, 12), square(13, 2, 4))))
        assert not out.problems
        assert out.overlaps["a"] == 4
        np.testing.assert_array_equal(out.masks["a"], filled((2, 2, 12, 1), (13, 2, 4, 2)))

    def test_what_cvats_brush_drew_is_an_object_though_it_calls_it_a_crowd(self, bench):
        content = document(runs(filled((2, 3, 5, 1)), False), iscrowd=1)
        out = instances(deliver(bench, content))
        np.testing.assert_array_equal(out.masks["a"], filled((2, 3, 5, 1)))

    def test_a_crowd_in_pieces_is_foreground_but_no_object(self, bench):
        mask = filled((2, 3, 5, 1), (20, 10, 6, 1))
        out = deliver(bench, document(runs(mask, False), iscrowd=1)).read("coco", "classes", "cell")
        np.testing.assert_array_equal(out.masks["a"], mask)
        assert instances(bench).says("annotation 1", "a crowd (iscrowd: 1) in 2 pieces", image="a")

    @given(st.lists(st.floats(0, WIDTH), min_size=3, max_size=8), st.data())
    def test_a_polygon_is_drawn_as_pycocotools_draws_it_in_the_whole_image(self, xs, data):
        ys = data.draw(st.lists(st.floats(0, HEIGHT), min_size=len(xs), max_size=len(xs)))
        polygon = [float(v) for pair in zip(xs, ys, strict=True) for v in pair]
        whole = pycoco.decode(pycoco.frPyObjects([polygon], HEIGHT, WIDTH))[..., 0]
        assert_drawn(check([polygon], (HEIGHT, WIDTH)), whole)

    @given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))), st.booleans())
    def test_run_lengths_are_drawn_as_pycocotools_draws_them(self, mask, compressed):
        assert_drawn(check(runs(mask, compressed), mask.shape), mask)


def assert_drawn(shape, whole: np.ndarray) -> None:
    out = np.zeros(whole.shape, bool)
    patch = shape.draw()
    out[patch.box] = patch.drawn
    np.testing.assert_array_equal(out, whole.astype(bool))


class TestProblems:
    @pytest.mark.parametrize(
        ("segmentation", "words"),
        [
            ([], ["a box is not a mask"]),
            (None, ["a box is not a mask"]),
            ([[1, 1, 5, 5]], ["three or more corners", "4 numbers"]),
            ([[1, 1, 5, 5, 9, 1, 3]], ["three or more corners", "7 numbers"]),
            ([1, 1, 5, 5, 9, 1], ["a list of numbers"]),
            ([["1", "1", "5", "5", "9", "1"]], ["a list of numbers"]),
            ([[True, 1, 5, 5, 9, 1]], ["a list of numbers"]),
            ([[1, 1, 5, 5, 1e300, 1]], ["inside 40x30", "(1e+300, 1)"]),
            ([[1, 1, 5, 5, -3, 1]], ["inside 40x30", "(-3, 1)"]),
            ([[1, 1, 5, 5, 10**400, 1]], ["inside 40x30"]),
            ([[3, 3, 3, 3, 3, 3]], ["expected some pixels inside"]),
            ([[0, 0, 40, 30, 0, 0, 40, 30] * 20_000], ["pixels long; at most 1,000,000"]),
            ({"size": [30, 40]}, ["expected counts to be a text"]),
            ({"size": [30, 40], "counts": [1200.0]}, ["expected counts to be a text"]),
            ({"size": [30, 40], "counts": [1199]}, ["sum to 1,200 pixels, found 1,199"]),
            ({"size": [30, 40], "counts": [600, 601]}, ["sum to 1,200 pixels, found 1,201"]),
            ({"size": [30, 40], "counts": [4294967295, 1201]}, ["from 0 to 1,200"]),
            ({"size": [30, 40], "counts": [-1, 1201]}, ["expected counts to be a text"]),
            ({"size": [30, 40], "counts": "\u00e9\u4e2d"}, ["other characters"]),
            ({"size": [30, 40], "counts": ""}, ["other characters"]),
            ({"size": [30, 40], "counts": "o"}, ["cut short"]),
            ({"size": [30, 40], "counts": "oooooooooo0"}, ["out of reach"]),
            ({"size": [30, 40], "counts": "1"}, ["sum to 1,200 pixels, found 1"]),
            ({"size": [30, 40], "counts": "O"}, ["from 0 to 1,200, found -1"]),
            ({"size": [60000, 70000], "counts": [4200000000]}, ["size [30, 40]", "[60000, 70000]"]),
            ({"size": "x", "counts": [1200]}, ["size [30, 40]", "none"]),
            ({"size": [30, 40], "counts": [1200]}, ["expected some pixels inside"]),
        ],
    )
    def test_a_segmentation_that_cannot_be_is_named(self, bench, segmentation, words):
        content = document(square(20, 10, 6), segmentation)
        out = instances(deliver(bench, content))
        assert out.says("images/a.png", "annotation 2", *words, image="a")
        assert not out.masks

    def test_one_object_drawn_twice_or_covered_is_named(self, bench):
        out = instances(deliver(bench, document(square(2, 2, 12), square(2, 2, 12))))
        assert out.says("annotation 2", "shares 144 pixels with annotation 1", image="a")
        content = document(square(2, 2, 2), square(2, 2, 1), square(3, 2, 1), square(2, 3, 2))
        assert instances(deliver(bench, content)).says("annotation 1", "each of its pixels")

    def test_another_size_than_the_images_is_named(self, bench):
        content = document(square(2, 3, 5))
        content["images"][0]["width"] = 80
        out = instances(deliver(bench, content))
        assert out.says("40x30 pixels", "instances_default.json says 80x30", image="a")

    def test_categories_that_the_dataset_does_not_have_are_named(self, bench):
        content = document(square(2, 3, 5), square(20, 10, 6), categories=("cell", "Dust\u202e"))
        out = instances(deliver(bench, content))
        assert out.says("annotation 2", "'Dust\\u202e'", "(cell)", image="a")
        content["annotations"].pop()
        assert not instances(deliver(bench, content)).problems  # a label nobody used is fine

    def test_images_without_annotation_or_entry_are_named(self, bench):
        content = document()
        bench.image("images/b.png", GREY)
        out = instances(deliver(bench, content))
        assert out.says("images/a.png", "not looked at yet", image="a")
        assert out.says("images/b.png", "no annotation file lists", image="b")

    def test_images_that_are_not_there_or_not_clear_are_named(self, bench):
        content = document(square(2, 3, 5))
        content["images"].append({"id": 2, "file_name": "../../etc/passwd"})
        content["images"].append({"id": 3, "file_name": ".."})
        bench.image("images/x/a.png", GREY)
        bench.image("images/y/a.png", GREY)
        (bench.root / "images/a.png").unlink(missing_ok=True)
        bench.text("result.json", json.dumps(content))
        out = instances(bench)
        assert out.says("result.json", "'a.png' may be images/x/a.png or images/y/a.png")
        assert out.says("result.json", "'../../etc/passwd'", "found none")
        assert out.says("result.json", "'..'", "found none")

    def test_an_image_listed_twice_is_named(self, bench):
        content = document(square(2, 3, 5))
        content["images"].append({"id": 2, "file_name": "images/a.png"})
        content["annotations"].append(dict(content["annotations"][0], image_id=2))
        assert instances(deliver(bench, content)).says("listed twice", image="a")

    def test_of_many_problems_the_first_are_named(self, bench):
        out = instances(deliver(bench, document(*[[[1, 1, 5, 5, 99, 99]]] * 500)))
        assert len(out.problems) == 20


class TestHostileFiles:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[" * 200_000, ["nested too deeply"]),
            ('{"images": ' + "[" * 200_000, ["nested too deeply"]),
            ("{", ["not JSON"]),
            ("", ["not JSON"]),
            ('{"images": [NaN]}', ["NaN is not a number"]),
            ('{"images": [' + "9" * 5000 + "]}", ["not JSON"]),
            ("[]", ["expected an object, found a list"]),
            ("{}", ["expected a list 'categories', found none"]),
            ('{"categories": {}, "images": [], "annotations": []}', ["found an object"]),
            ('{"categories": [], "images": [7], "annotations": []}', ["images[0]", "found 7"]),
            (
                '{"categories": [], "images": [{"id": "1", "file_name": "a.png"}], '
                '"annotations": []}',
                ["images[0]", "expected id to be a whole number, found a text"],
            ),
            (
                '{"categories": [], "images": [{"id": 1, "file_name": {}}], "annotations": []}',
                ["images[0]", "expected file_name to be a text, found an object"],
            ),
            (
                '{"categories": [], "images": [{"id": 1, "file_name": "a.png"}, '
                '{"id": 1, "file_name": "b.png"}], "annotations": []}',
                ["two entries have the same id"],
            ),
            (
                '{"categories": [], "images": [], "annotations": '
                '[{"image_id": 4, "category_id": 1}]}',
                ["annotations[0]", "image_id 4"],
            ),
            (
                '{"categories": [], "images": [{"id": 4, "file_name": "a.png"}], "annotations": '
                '[{"image_id": 4, "category_id": 1}]}',
                ["annotations[0]", "category_id 1"],
            ),
        ],
        ids=lambda value: None if isinstance(value, list) else value[:12],
    )
    def test_a_file_that_is_not_coco_is_refused(self, bench, text, words):
        bench.image("images/a.png", GREY)
        bench.text("result.json", text)
        assert instances(bench).says("result.json", *words, image="")

    def test_text_that_is_no_text_is_refused(self, bench):
        (bench.root / "result.json").write_bytes(b'{"images": "\xff"}')
        assert instances(bench).says("result.json", "not JSON")

    def test_a_huge_file_is_refused_before_it_is_parsed(self):
        problems = Problems("x")
        content = b" " * (MAX_BYTES + 1)
        tracemalloc.start()
        try:
            assert not parse(content, "result.json", problems)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
        assert "at most 67,108,864" in str(next(iter(problems)))

    def test_thousands_of_bad_entries_give_a_short_report(self):
        problems = Problems("x")
        content = json.dumps({"categories": [], "images": [1] * 50_000, "annotations": []})
        parse(content.encode(), "result.json", problems)
        assert len(problems) == 21
        assert any("not read further after 20" in str(problem) for problem in problems)

    def test_annotations_that_cover_the_image_again_and_again_are_refused_fast(self, bench):
        zigzag = [v for x in range(2000) for v in (x % 2 * 3000, x % 3000)]
        bench.image("images/a.png", np.zeros((3000, 3000), np.uint8))
        content = document(*[[zigzag[:200]]] * 2000)
        content["images"][0].update(width=3000, height=3000)
        bench.text("result.json", json.dumps(content))
        started = time.monotonic()
        out = bench.read("coco", "classes", "cell")
        assert out.says("too many and too large", image="a")
        assert time.monotonic() - started < 10

    def test_two_collections_of_json_files_need_a_name(self, bench):
        bench.text("a.json", "{}")
        bench.text("b.json", "{}")
        assert instances(bench).says("found 2 other JSON files")

    JSON = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=20,
    )
    NUMBERS = st.integers(-50, 50) | st.floats(-50, 50) | st.sampled_from([1 << 31, 1 << 70, 1e99])
    SEGMENTATIONS = (
        JSON
        | st.lists(st.lists(NUMBERS, max_size=12), max_size=3)
        | st.fixed_dictionaries(
            {
                "size": st.sampled_from([[6, 5], [5, 6], [1 << 31, 1 << 31], 30, None]),
                "counts": st.lists(st.integers(-3, 30), max_size=12)
                | st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12),
            }
        )
    )

    @settings(max_examples=300, deadline=None)
    @given(SEGMENTATIONS)
    def test_whatever_is_not_refused_can_be_drawn(self, segmentation):
        try:
            shape = check(segmentation, (6, 5))
        except DataError:
            return
        patch = shape.draw()
        assert np.zeros((6, 5))[patch.box].shape == patch.drawn.shape

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=40))
    def test_no_text_breaks_decompression(self, text):
        with contextlib.suppress(DataError):
            assert decompress(text).dtype == np.int64

    @settings(max_examples=100, deadline=None)
    @given(st.fixed_dictionaries({"images": JSON, "categories": JSON, "annotations": JSON}) | JSON)
    def test_no_document_breaks_the_reader(self, content):
        problems = Problems("x")
        pictures = parse(json.dumps(content).encode(), "result.json", problems)
        assert pictures == [] or all(picture.file_name for picture in pictures)
