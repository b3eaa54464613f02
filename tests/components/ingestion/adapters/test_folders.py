"""Anybody's images and masks, with the same stems."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.ingestion.adapter import check_id
from components.ingestion.adapters.folders import numbered
from components.ingestion.problems import Problems
from segtrail.errors import DataError

PLACES = "images/<name> and masks/<name>"
RNG = np.random.default_rng(4)
GREY = RNG.integers(0, 256, (20, 24), np.uint8)
COLOUR = RNG.integers(0, 256, (20, 24, 3), np.uint8)


def labels(*values: int, dtype=np.uint8) -> np.ndarray:
    """A map with a rectangle of each value."""
    out = np.zeros((20, 24), dtype)
    for n, value in enumerate(values):
        out[2:9, 1 + 5 * n : 4 + 5 * n] = value
    return out


def test_stems_pair_images_and_masks_of_any_format_and_depth(bench):
    bench.image("study/train/images/day 1/a.tif", GREY)
    bench.image("study/train/masks/day 1/a.png", labels(1, 2))
    bench.image("study/images/b.bmp", COLOUR)
    bench.image("study/masks/b_mask.png", labels(2))
    bench.image("study/images/c.jpg", GREY)
    bench.image("study/masks/c-seg.bmp", labels(1))
    bench.image("study/images/Zelle_ü_mask.png", GREY)
    bench.image("study/masks/Zelle_ü_mask.png", labels())
    bench.text("study/README.md", "about")
    out = bench.read("folders", "classes", "cell", "debris", source=bench.zipped())
    assert not out.problems
    assert set(out.items) == {"day 1-a", "b", "c", "Zelle_ü_mask"}
    np.testing.assert_array_equal(out.masks["day 1-a"], labels(1, 2))
    np.testing.assert_array_equal(out.images["b"].pixels, COLOUR)


@pytest.mark.parametrize(
    ("masks", "classes", "stored", "expected"),
    [
        ("classes", ["a"], labels(255), labels(1)),
        ("classes", ["a"], labels(1), labels(1)),
        ("classes", ["a"], labels(65535, dtype=np.uint16), labels(1)),
        ("classes", ["a", "b", "c"], labels(3, 1), labels(3, 1)),
        ("multilabel", ["a", "b"], labels(1, 2, 3), labels(1, 2, 3)),
        ("multilabel", ["a"], labels(255), labels(1)),
        ("instances", ["a"], labels(40000, 7, 300, dtype=np.uint16), labels(3, 1, 2)),
        ("instances", ["a"], labels(2, 1, 3), labels(2, 1, 3)),
        ("instances", ["a"], labels(9), labels(1)),
        ("instances", ["a"], labels(), labels()),
        ("classes", ["a", "b"], labels(), labels()),
        ("multilabel", ["a", "b"], labels(), labels()),
    ],
)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_values_mean_what_the_settings_say(bench, masks, classes, stored, expected, ending):
    bench.image("images/x.png", GREY)
    bench.image(f"masks/x.{ending}", stored)
    out = bench.read("folders", masks, *classes)
    assert not out.problems
    np.testing.assert_array_equal(out.masks["x"], expected)


@pytest.mark.parametrize(
    ("masks", "classes", "stored", "words"),
    [
        ("classes", ["a", "b"], labels(1, 3), ["0 to 2 (class indices: a, b)", "found 3 in 21"]),
        ("classes", ["a", "b"], labels(255), ["0 to 2", "found 255"]),
        ("classes", ["a"], labels(255, 254), ["or 0 and 255", "found 254, 255 in 42 pixels"]),
        ("multilabel", ["a", "b"], labels(4), ["0 to 3 (one bit a class: a, b)", "found 4"]),
        ("instances", ["a"], labels(255, 255), ["the one value 255 in 2 separate pieces"]),
        ("instances", ["a"], labels(1, 1, 1), ["the one value 1 in 3 separate pieces"]),
        ("instances", ["a"], labels(1)[:19], ["expected 24x20", "found 24x19"]),
        ("classes", ["a"], np.dstack([labels(1), labels(2), labels(3)]), ["expected a grey mask"]),
    ],
)
def test_other_values_and_shapes_are_refused(bench, masks, classes, stored, words):
    bench.image("images/x.png", GREY)
    bench.image("masks/x.png", stored)
    out = bench.read("folders", masks, *classes)
    assert out.says("masks/x.png", *words, image="x")
    assert not out.masks


def test_a_mask_saved_as_jpeg_is_refused(bench):
    bench.image("images/x.png", GREY)
    bench.image("masks/x.jpg", labels(1, 2))
    assert bench.read("folders", "instances", "cell").says("masks/x.jpg", "JPEG", image="x")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_indices_of_a_palette_are_the_classes_whatever_their_colours(bench, bits):
    from PIL import Image

    indices = labels(*range(1, min(4, 2**bits)))
    picture = Image.fromarray(indices, "P")
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200][: 3 * 2 ** min(bits, 2)])
    picture.info["transparency"] = 0
    out = io.BytesIO()
    picture.save(out, "png", bits=bits, transparency=0)
    assert out.getvalue()[24:26] == bytes([bits, 3])
    bench.image("images/x.png", GREY)
    (bench.root / "masks").mkdir()
    (bench.root / "masks/x.png").write_bytes(out.getvalue())
    read = bench.read("folders", "classes", "a", "b", "c")
    assert not read.problems
    np.testing.assert_array_equal(read.masks["x"], indices)


def test_grey_values_saved_as_rgb_are_taken(bench):
    bench.image("images/x.png", GREY)
    bench.image("masks/x.png", np.dstack([labels(1, 2)] * 3))
    out = bench.read("folders", "classes", "a", "b")
    np.testing.assert_array_equal(out.masks["x"], labels(1, 2))


def test_sixteen_bit_images_stay_as_they_are(bench):
    pixels = RNG.integers(0, 65536, (20, 24), np.uint16)
    for ending in ("tif", "png"):
        bench.image(f"images/{ending}.{ending}", pixels)
        bench.image(f"masks/{ending}.png", labels(1))
    out = bench.read("folders", "classes", "a")
    assert not out.problems
    for image in out.images.values():
        np.testing.assert_array_equal(image.pixels, pixels)
        assert image.pixels.dtype == np.uint16


def test_pages_of_a_tiff_are_images_of_one_group(bench):
    pages = [GREY, GREY + 1, GREY + 2]
    bench.pages("images/stack.tif", pages)
    bench.pages("masks/stack_labels.tif", [labels(1), labels(2), labels()])
    bench.image("images/single.tif", GREY)
    bench.image("masks/single.tif", labels(2))
    out = bench.read("folders", "classes", "a", "b")
    assert not out.problems
    assert list(out.items) == ["single", "stack-p000", "stack-p001", "stack-p002"]
    assert {i.group for k, i in out.items.items() if k != "single"} == {"stack"}
    np.testing.assert_array_equal(out.images["stack-p002"].pixels, GREY + 2)
    np.testing.assert_array_equal(out.masks["stack-p001"], labels(2))


def test_stacks_whose_pages_do_not_match_are_refused(bench):
    bench.pages("images/stack.tif", [GREY, GREY])
    bench.pages("masks/stack.tif", [labels(1)] * 3)
    bench.image("images/x.png", GREY)
    bench.pages("masks/x.tif", [labels(1)] * 2)
    out = bench.read("folders", "classes", "a")
    assert out.says("masks/stack.tif", "expected 2 pages", "found 3", image="stack")
    assert out.says("masks/x.tif", "expected 1 page like", "found 2", image="x")


def test_a_stack_that_would_be_read_for_hours_is_refused(bench, monkeypatch):
    monkeypatch.setattr("components.ingestion.pages.MAX_READ", 4000)
    bench.pages("images/stack.tif", [GREY] * 5)
    bench.pages("masks/stack.tif", [labels(1)] * 5)
    out = bench.read("folders", "classes", "a")
    assert out.says("images/stack.tif", "5 pages in", "are read", image="stack")
    assert not out.items


def test_whatever_is_missing_double_or_out_of_place_is_named(bench):
    for name in ("a.png", "b.png", "b.jpg", "e.png", "f g/h.png", "f/g-h.png"):
        bench.image(f"images/{name}", GREY)
    for name in ("b.png", "c.png", "e.png", "e_mask.png"):
        bench.image(f"masks/{name}", labels(1))
    bench.image("images/_hidden.png", GREY)
    bench.image("masks/_hidden.png", labels(1))
    bench.image("other/x.png", GREY)
    bench.text("images/notes.txt", "hello")
    out = bench.read("folders", "classes", "a")
    assert out.says("images/a.png", "found no mask", image="a")
    assert out.says("masks/c.png", "found no image", image="c")
    assert out.says("2 images have the name b", image="b")
    assert out.says("2 masks have the name e", image="e")
    assert out.says("images/_hidden.png", "cannot be a file name", image="_hidden")
    assert out.says("other/x.png", "not in its place")
    assert out.says("images/notes.txt", "expected an image")
    assert not out.items


def test_paths_that_give_one_id_are_refused(bench):
    for name in ("f/g.png", "f-g.png"):
        bench.image(f"images/{name}", GREY)
        bench.image(f"masks/{name}", labels(1))
    assert bench.read("folders", "classes", "a").says("2 images have the name f-g", image="f-g")


def test_nothing_is_said_to_be_nothing(bench):
    assert bench.read("folders", "classes", "a").says("no images")


class TestTable:
    @pytest.fixture
    def three(self, bench):
        for name in ("a", "b", "s/c"):
            bench.image(f"images/{name}.png", GREY)
            bench.image(f"masks/{name}.png", labels(1))
        return bench

    def read(self, bench):
        return bench.read("folders", "classes", "cell")

    def test_it_gives_slices_and_groups(self, three):
        three.text(
            "images.csv",
            "\ufeffimage,group,slice\n"
            "a,patient 1,stained\nimages/b.png,patient 1,\ns/c.png,p2,dark\n",
        )
        out = self.read(three)
        assert not out.problems
        said = {key: (item.slice, item.group) for key, item in out.items.items()}
        assert said == {
            "a": ("stained", "patient 1"),
            "b": ("", "patient 1"),
            "s-c": ("dark", "p2"),
        }

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("name,slice\na,x\n", ["expected the columns image, slice and group"]),
            ("image,slice,age\na,x,3\n", ["found image, slice, age"]),
            ("", ["expected the columns"]),
            ("image,slice\na,x\nb\ns-c,x\n", ["line 3", "cells than columns"]),
            ("image,slice\na,x,y\nb,x\ns-c,x\n", ["line 2", "cells than columns"]),
            ("image,slice\na,x\na,y\nb,x\ns-c,x\n", ["line 3", "a second row for 'a'"]),
            ("image,slice\na,Stained!\nb,x\ns-c,x\n", ["line 2", "'Stained!'"]),
            ("image,slice\na,x\nb,x\n", ["images/s/c.png", "expected a row"]),
            ("image,slice\na,x\nb,x\nc,x\ns-c,x\n", ["a row for 'c'", "no image"]),
            ('image,slice\n"a,x\n', ["cannot be read as CSV"]),
            ("image,slice\na,\udcff\n", ["cannot be read as CSV"]),
        ],
    )
    def test_what_is_wrong_with_it_is_named(self, three, text, words):
        (three.root / "images.csv").write_bytes(text.encode(errors="surrogateescape"))
        assert self.read(three).says("images.csv", *words)

    def test_there_is_one(self, three):
        for folder in ("", "more/"):
            three.text(f"{folder}images.csv", "image,slice\na,x\nb,x\ns-c,x\n")
        assert self.read(three).says("a second images.csv")


@given(hnp.arrays(np.uint16, (5, 6), elements=st.integers(0, 65535)))
def test_numbering_keeps_objects_and_their_order(values):
    try:
        out = numbered(values, "x")
    except DataError:
        assert len(set(values.ravel().tolist()) - {0}) == 1
        return
    ids = sorted(set(values.ravel().tolist()) - {0})
    for number, delivered in enumerate(ids, 1):
        np.testing.assert_array_equal(out == number, values == delivered)
    assert out.max() == len(ids)


@pytest.mark.parametrize(
    ("image_folder", "mask_folder", "said"),
    [
        ("study/image", "study/mask", ["study/image/", "study/mask/"]),
        ("images", "mask", ["mask/"]),
        ("Imgs", "labels", ["Imgs/", "labels/"]),
        ("imagse/day", "masks/day", ["imagse/"]),
    ],
)
def test_folders_with_a_near_name_are_named_once(bench, image_folder, mask_folder, said):
    for name in "abc":
        bench.image(f"{image_folder}/{name}.png", GREY)
        bench.image(f"{mask_folder}/{name}.png", labels(1))
    out = bench.read("folders", "classes", "a")
    assert [problem.where for problem in out.problems] == said
    for folder in said:
        meant = "images" if folder.rstrip("/").lower().endswith(("e", "gs", "gse")) else "masks"
        assert out.says(folder, f"3 images not in their place: expected {PLACES}", "did you mean "
                        f"{meant}/?")  # fmt: skip


def test_folders_with_quite_another_name_are_not_guessed(bench):
    bench.image("pages/a.png", GREY)
    out = bench.read("folders", "classes", "a")
    assert out.says("pages/a.png", "not in its place")
    assert not out.says("did you mean")


def test_the_slice_that_stands_for_every_image_is_refused(bench):
    for name in "ab":
        bench.image(f"images/{name}.png", GREY)
        bench.image(f"masks/{name}.png", labels(1))
    bench.text("images.csv", "image,slice\na,all\nb,allium\n")
    out = bench.read("folders", "classes", "a")
    assert out.says("images.csv", "line 2: the slice all stands for every image", image="a")
    assert [problem.image for problem in out.problems] == ["a"]


@pytest.mark.parametrize(
    "name", ["CON", "nul", "Aux.x", "prn", "com1", "LPT9.b.c", "COM²", "con .x"]
)
def test_names_of_devices_are_refused(bench, name):
    bench.image(f"images/{name}.png", GREY)
    bench.image(f"masks/{name}.png", labels(1))
    out = bench.read("folders", "classes", "a")
    assert out.says("on Windows it is a device", image=name)
    assert not out.items


@pytest.mark.parametrize("name", ["CONE", "com10", "a.con", "com", "lpt0", "nul-1"])
def test_other_names_are_not(name):
    assert check_id(name, "x", Problems("x"))
