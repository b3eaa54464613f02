"""Per-image scores against brute force and known cases."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.matching import object_iou, score_image

labels = hnp.arrays(np.uint16, (9, 11), elements=st.integers(0, 4))


def brute_force(true, predicted, threshold=0.5):
    found = 0
    ids = [i for i in np.unique(predicted) if i]
    wanted = [i for i in np.unique(true) if i]
    for i in wanted:
        for j in ids:
            a, b = true == i, predicted == j
            if (a & b).sum() / (a | b).sum() > threshold:
                found += 1
    union = len(wanted) + len(ids) - found
    return found / union if union else 1.0


@given(labels, labels)
def test_ap_equals_brute_force(true, predicted):
    got = score_image(true, (predicted > 0).astype(np.uint8), predicted)
    assert got.ap_50 == pytest.approx(brute_force(true, predicted))
    assert got.count_true == len(np.unique(true[true > 0]))


@given(labels)
def test_a_perfect_answer_scores_one(true):
    got = score_image(true, (true > 0).astype(np.uint8), true)
    assert (got.iou, got.dice, got.ap_50) == (1, 1, 1)


@given(labels, labels)
def test_dice_follows_from_iou(true, predicted):
    got = score_image(true, (predicted > 0).astype(np.uint8), predicted)
    assert got.dice == pytest.approx(2 * got.iou / (1 + got.iou))


def test_an_empty_image_is_right_only_when_nothing_is_predicted():
    empty = np.zeros((4, 4), np.uint16)
    one = empty.copy()
    one[1:3, 1:3] = 1
    assert score_image(empty, empty.astype(np.uint8), empty).iou == 1
    wrong = score_image(empty, (one > 0).astype(np.uint8), one)
    assert (wrong.iou, wrong.dice, wrong.ap_50) == (0, 0, 0)


def test_ids_up_to_the_last_of_16_bits_do_not_mix():
    true = np.array([[65535, 65535, 1]], np.uint16)
    predicted = np.array([[1, 1, 65535]], np.uint16)
    assert sorted(object_iou(true, predicted)) == [1, 1]
