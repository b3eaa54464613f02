"""Scores of objects, against brute force and known cases."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.scores.objects import THRESHOLDS, Overlaps, score_objects

labels = hnp.arrays(np.uint16, (9, 11), elements=st.integers(0, 4))


def scores(true, predicted):
    return score_objects(Overlaps.of(true, predicted))


def pairs_of(true, predicted):
    for i in np.unique(true[true > 0]):
        for j in np.unique(predicted[predicted > 0]):
            yield i, j, true == i, predicted == j


@given(labels, labels)
def test_scores_equal_brute_force(true, predicted):
    got = scores(true, predicted)
    n, m = len(np.unique(true[true > 0])), len(np.unique(predicted[predicted > 0]))
    iou = [(a & b).sum() / (a | b).sum() for _, _, a, b in pairs_of(true, predicted)]
    for hundredths in THRESHOLDS:
        hits = sum(value > hundredths / 100 for value in iou)
        expected = hits / (n + m - hits) if n + m else 1.0
        assert got[f"ap_{hundredths}"] == pytest.approx(expected)
    assert got["ap"] == pytest.approx(np.mean([got[f"ap_{t}"] for t in THRESHOLDS]))
    matched = [value for value in iou if value > 0.5]
    if n + m:
        # panoptic quality as Kirillov et al. write it
        unmatched = (n - len(matched)) / 2 + (m - len(matched)) / 2
        assert got["pq"] == pytest.approx(sum(matched) / (len(matched) + unmatched))


@given(labels, labels)
def test_merged_and_split_equal_brute_force(true, predicted):
    got, n = scores(true, predicted), len(np.unique(true[true > 0]))
    homes, guests = {}, {}
    for i, j, a, b in pairs_of(true, predicted):
        if 2 * (a & b).sum() > a.sum():
            homes.setdefault(j, []).append(i)
        if 2 * (a & b).sum() > b.sum():
            guests.setdefault(i, []).append(j)
    merged = sum(len(inside) for inside in homes.values() if len(inside) > 1)
    split = sum(len(inside) > 1 for inside in guests.values())
    assert got["merged"] == pytest.approx(merged / max(n, 1))
    assert got["split"] == pytest.approx(split / max(n, 1))


@given(labels)
def test_a_perfect_answer_has_nothing_wrong(true):
    got = scores(true, true)
    assert got.pop("merged") == got.pop("split") == 0
    assert set(got.values()) == {1.0}


def test_nothing_found_and_nothing_there():
    empty, one = np.zeros((4, 4), np.uint16), np.zeros((4, 4), np.uint16)
    one[1:3, 1:3] = 1
    for true, predicted in ((empty, one), (one, empty)):
        assert set(scores(true, predicted).values()) == {0.0}


def test_two_cells_in_one_answer_are_merged_and_the_other_way_round_split():
    two = np.array([[1, 1, 1, 0, 2, 2, 2]], np.uint16)
    one = np.array([[5, 5, 5, 5, 5, 5, 5]], np.uint16)
    assert (scores(two, one)["merged"], scores(two, one)["split"]) == (1.0, 0.0)
    assert (scores(one, two)["merged"], scores(one, two)["split"]) == (0.0, 1.0)


def test_ids_up_to_the_last_of_16_bits_do_not_mix():
    true = np.array([[65535, 65535, 1]], np.uint16)
    predicted = np.array([[1, 1, 65535]], np.uint16)
    found = Overlaps.of(true, predicted)
    assert sorted(found.iou) == [1, 1]
    assert (found.true_count, found.predicted_count) == (2, 2)
