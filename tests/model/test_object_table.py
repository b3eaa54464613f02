"""Measures of objects whose values are known, and matches against brute force."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.object_table import COLUMNS, match_table, object_table

labels = hnp.arrays(np.uint16, (9, 11), elements=st.integers(0, 4))


def disc(radius, size=101):
    y, x = np.mgrid[:size, :size] - size // 2
    return (y**2 + x**2 <= radius**2).astype(np.uint16)


def test_a_rectangle_measures_what_it_should():
    mask = np.zeros((20, 30), np.uint16)
    mask[4:8, 10:20] = 7
    image = np.zeros((20, 30), np.uint16)
    image[4:8, 10:15], image[4:8, 15:20] = 1000, 3000
    (row,) = object_table(mask, image).to_dict("records")
    # the second moments of n points in a row are (n² - 1) / 12
    eccentricity = np.sqrt(1 - (4**2 - 1) / (10**2 - 1))
    assert row == pytest.approx({
        "label": 7, "area": 40, "perimeter": 2 * (9 + 3), "eccentricity": eccentricity,
        "mean_intensity": 2000, "y": 5.5, "x": 14.5, "top": 4, "left": 10, "bottom": 8,
        "right": 20, "touches_edge": False,
    })  # fmt: skip


def test_a_disc_is_round_and_its_perimeter_nearly_that_of_a_circle():
    (row,) = object_table(disc(40), np.zeros((101, 101), np.uint8)).to_dict("records")
    assert row["eccentricity"] < 0.05
    assert row["area"] == pytest.approx(np.pi * 40**2, rel=0.01)
    assert row["perimeter"] == pytest.approx(2 * np.pi * 40, rel=0.06)
    assert (row["y"], row["x"]) == (50, 50)


def test_an_object_at_any_edge_may_be_cut():
    mask = np.zeros((9, 9), np.uint16)
    mask[4, 4] = 5
    for number, place in enumerate([(0, 4), (8, 4), (4, 0), (4, 8)], start=1):
        mask[place] = number
    table = object_table(mask, np.zeros((9, 9), np.uint8))
    assert table["touches_edge"].tolist() == [True] * 4 + [False]


def test_colours_count_as_luma_and_alpha_not_at_all():
    mask = np.ones((4, 5), np.uint16)
    for channels in (3, 4):
        image = np.zeros((4, 5, channels), np.uint8)
        image[..., 0], image[..., 1], image[..., 2] = 200, 100, 50
        found = object_table(mask, image)["mean_intensity"][0]
        assert found == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=0.5)


@settings(max_examples=30, deadline=None)
@given(labels)
def test_each_object_has_a_row_and_the_areas_are_the_pixels(mask):
    table = object_table(mask, np.full(mask.shape, 9, np.uint8))
    ids, counts = np.unique(mask[mask > 0], return_counts=True)
    assert table["label"].tolist() == ids.tolist()
    assert table["area"].tolist() == counts.tolist()
    assert (table["mean_intensity"] == 9).all()
    assert {name: str(kind) for name, kind in table.dtypes.items()} == COLUMNS


def test_an_image_without_objects_gives_no_rows_of_the_same_columns():
    empty = np.zeros((5, 6), np.uint16)
    for table in (object_table(empty, empty), match_table(empty, empty)):
        assert len(table) == 0
    table = object_table(empty, empty)
    assert {name: str(kind) for name, kind in table.dtypes.items()} == COLUMNS
    one = empty.copy()
    one[0, 0] = 1
    assert list(match_table(one, empty).columns) == list(match_table(one, one).columns)
    both = pd.concat([match_table(one, empty), match_table(one, one)])
    assert both["matched"].dtype == bool


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"expected an image of 6x5 pixels.*received 5x6"):
        object_table(np.zeros((5, 6), np.uint16), np.zeros((6, 5), np.uint8))


@settings(max_examples=50, deadline=None)
@given(labels, labels)
def test_matches_equal_brute_force(true, predicted):
    table = match_table(true, predicted)
    assert table["label"].tolist() == [i for i in np.unique(predicted) if i]
    for row in table.to_dict("records"):
        b = predicted == row["label"]
        ious = {
            int(i): ((true == i) & b).sum() / ((true == i) | b).sum() for i in np.unique(true) if i
        }
        best = max(ious.values(), default=0)
        assert row["iou"] == pytest.approx(best)
        assert row["matched"] == (best > 0.5)
        if best:
            assert ious[row["true_label"]] == pytest.approx(best)
        else:
            assert row["true_label"] == 0


def test_matched_objects_are_those_that_ap_50_counts():
    from model.scores.objects import Overlaps, score_objects

    generator = np.random.default_rng(1)
    for _ in range(20):
        true = np.repeat(np.repeat(generator.integers(0, 6, (4, 4)), 4, 0), 4, 1).astype(np.uint16)
        predicted = np.where(generator.random(true.shape) < 0.8, true, 0).astype(np.uint16)
        pairs, found = Overlaps.of(true, predicted), match_table(true, predicted)["matched"].sum()
        of = pairs.true_count + pairs.predicted_count - found
        assert score_objects(pairs)["ap_50"] == pytest.approx(found / of)
