"""White blood cells: two subsets, three grey levels, classes from a table."""

from __future__ import annotations

import numpy as np
import pytest

PIXELS = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)


def drawn() -> np.ndarray:
    mask = np.zeros((40, 50), np.uint8)
    mask[5:30, 10:40] = 128
    mask[10:20, 15:30] = 255
    return mask


@pytest.fixture
def cells(bench):
    """Image 1 of both subsets, and 7 of the first; a row more in each table."""
    for name in ("Dataset 1/001", "Dataset 1/007", "Dataset 2/001"):
        bench.image(f"{name}.bmp", PIXELS)
        bench.image(f"{name}.png", drawn())
    bench.text("Class Labels of Dataset 1.csv", "image ID,class label\r\n1,2\r\n2,5\r\n7,1\r\n")
    bench.text("Class Labels of Dataset 2.csv", "image ID,class\r\n1,4\r\n9,3\r\n")
    return bench


def read(bench, **kwargs):
    return bench.read("wbc", "classes", "cytoplasm", "nucleus", **kwargs)


def test_ids_are_unique_over_the_subsets_and_slices_come_from_the_tables(cells):
    out = read(cells)
    assert not out.problems
    slices = {key: item.slice for key, item in out.items.items()}
    assert slices == {"d1-001": "lymphocyte", "d1-007": "neutrophil", "d2-001": "eosinophil"}
    np.testing.assert_array_equal(out.masks["d1-001"], drawn() // 127)
    np.testing.assert_array_equal(out.images["d1-001"].pixels, PIXELS)


def test_folders_around_it_and_previews_beside_it_do_not_matter(cells):
    plain = read(cells)
    for path in list(cells.root.iterdir()):
        target = cells.root / "segmentation_WBC-master" / path.name
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    cells.image("segmentation_WBC-master/Dataset 1.png", PIXELS)
    cells.text("segmentation_WBC-master/README.rst", "WBC Image Dataset")
    around = read(cells, source=cells.zipped())
    assert not around.problems
    assert list(around.items) == list(plain.items)
    assert around.items["d2-001"].slice == "eosinophil"


def test_a_thin_line_between_the_levels_goes_to_the_nearest_and_is_told(cells):
    mask = drawn()
    mask[5, 10:18] = 7  # 8 of 2,000 pixels: 0.4 %
    mask[6, 10:12] = 90
    cells.image("Dataset 1/001.png", mask)
    out = read(cells)
    assert not out.problems
    assert not out.masks["d1-001"][5, 10:18].any()
    assert (out.masks["d1-001"][6, 10:12] == 1).all()
    assert out.notes["d1-001"].startswith("Dataset 1/001.png: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.__setitem__((5, slice(10, 22)), 7), ["found also 7 in 12 pixels"]),
        (lambda m: m.__setitem__((5, 10), 64), ["found also 64 in 1 pixel"]),
        (lambda m: np.copyto(m, m // 2), ["found also 64, 127 in"]),
        (lambda m: m.__setitem__(m == 255, 128), ["no nucleus"]),
        (lambda m: m.fill(0), ["no nucleus"]),
    ],
    ids=["too many", "half way", "other levels", "no nucleus", "all black"],
)
def test_other_masks_are_refused_by_name(cells, change, words):
    mask = drawn()
    change(mask)
    cells.image("Dataset 1/001.png", mask)
    out = read(cells)
    assert out.says("Dataset 1/001.png", *words, image="d1-001")
    assert set(out.masks) == {"d1-007", "d2-001"}


def test_a_mask_of_another_shape_is_refused(cells):
    cells.image("Dataset 1/001.png", drawn()[:39])
    assert read(cells).says("expected 50x40", "found 50x39", image="d1-001")


def test_images_without_mask_and_masks_without_image_are_named(cells):
    (cells.root / "Dataset 1/001.png").unlink()
    (cells.root / "Dataset 1/007.bmp").unlink()
    out = read(cells)
    assert out.says("Dataset 1/001.bmp", "found the image alone", image="d1-001")
    assert out.says("Dataset 1/007.png", "found the mask alone", image="d1-007")
    assert set(out.items) == {"d2-001"}


def test_an_image_without_a_class_is_named(cells):
    cells.text("Class Labels of Dataset 1.csv", "image ID,class label\n1,2\n")
    out = read(cells)
    assert out.says("Dataset 1/007.bmp", "expected a row 7", image="d1-007")
    assert set(out.items) == {"d1-001", "d2-001"}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("image ID,class label\n1,6\n7,1\n", ["line 2", "'1,6'"]),
        ("image ID,class label\n1,2\n7\n", ["line 3", "'7'"]),
        ("image ID,class label\none,2\n7,1\n", ["line 2", "'one,2'"]),
        ("image ID,class label\n1,2\n1,3\n7,1\n", ["line 3", "two classes"]),
        ("\x00\udcff", ["cannot be read as CSV"]),
    ],
)
def test_a_table_that_cannot_be_understood_is_refused(cells, table, words):
    path = cells.root / "Class Labels of Dataset 1.csv"
    path.write_bytes(table.encode(errors="surrogateescape"))
    assert read(cells).says(path.name, *words, image="")


def test_a_table_beyond_all_use_is_not_parsed(cells, monkeypatch):
    monkeypatch.setattr("components.ingestion.reading.MAX_TABLE", 20)
    out = read(cells)
    assert out.says("Class Labels of Dataset 1.csv", "bytes; at most 20 are read", image="")


def test_a_subset_without_a_table_is_refused(cells):
    (cells.root / "Class Labels of Dataset 2.csv").unlink()
    assert read(cells).says("Class Labels of Dataset 2.csv", "not there")


def test_images_out_of_place_twice_or_none_are_named(cells, bench):
    cells.image("Dataset 1/1.bmp", PIXELS)
    cells.image("more/cell.png", PIXELS)
    out = read(cells)
    assert out.says("Dataset 1/1.bmp", "the same subset and number", image="d1-001")
    assert out.says("more/cell.png", "not in its place")
    for path in cells.root.rglob("*.*"):
        path.unlink()
    assert read(cells).says("no images")
