"""Per-image scores against brute force and known cases."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.matching import object_iou, rand_f, score_classes, score_objects

labels = hnp.arrays(np.uint16, (9, 11), elements=st.integers(0, 4))
planes = hnp.arrays(bool, (6, 7, 3))
CLASSES = ["a", "b", "c"]


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


def test_a_pixel_is_right_when_all_its_classes_are():
    true = np.zeros((2, 2, 2), bool)
    said = true.copy()
    said[0, 0], said[0, 1, 1] = True, True
    assert score_classes(true, said, ["a", "b"])["pixel_accuracy"] == 0.5


@given(labels, labels)
def test_ap_equals_brute_force(true, predicted):
    got = score_objects(true, predicted)
    assert got.ap_50 == pytest.approx(brute_force(true, predicted))
    assert got.count_true == len(np.unique(true[true > 0]))


@given(labels, planes)
def test_a_perfect_answer_scores_one(true, true_planes):
    assert score_objects(true, true).ap_50 == 1
    assert set(score_classes(true_planes, true_planes, CLASSES).values()) == {1.0}


@given(planes, planes)
def test_each_class_is_scored_on_its_own_plane_and_the_mean_is_over_classes(true, predicted):
    got = score_classes(true, predicted, CLASSES)
    for k, name in enumerate(CLASSES):
        a, b = set(np.flatnonzero(true[..., k])), set(np.flatnonzero(predicted[..., k]))
        assert got[f"iou_{name}"] == (len(a & b) / len(a | b) if a | b else 1)
        iou = got[f"iou_{name}"]
        assert got[f"dice_{name}"] == pytest.approx(2 * iou / (1 + iou))
    assert got["iou"] == pytest.approx(np.mean([got[f"iou_{name}"] for name in CLASSES]))
    assert got["dice"] == pytest.approx(np.mean([got[f"dice_{name}"] for name in CLASSES]))


def test_an_empty_image_is_right_only_when_nothing_is_predicted():
    empty = np.zeros((4, 4), np.uint16)
    one = empty.copy()
    one[1:3, 1:3] = 1
    assert score_objects(empty, empty).ap_50 == 1
    assert score_objects(empty, one).ap_50 == 0
    both = score_classes((empty > 0)[..., None], (one > 0)[..., None], ["a"])
    assert both.pop("pixel_accuracy") == 12 / 16
    assert set(both.values()) == {0.0}


def test_a_class_that_is_neither_there_nor_predicted_counts_as_right():
    true = np.zeros((4, 4, 2), bool)
    predicted = true.copy()
    true[:2, :, 0], predicted[:1, :, 0] = True, True
    got = score_classes(true, predicted, ["a", "b"])
    assert (got["iou_a"], got["iou_b"], got["iou"]) == (0.5, 1.0, 0.75)


def test_ids_up_to_the_last_of_16_bits_do_not_mix():
    true = np.array([[65535, 65535, 1]], np.uint16)
    predicted = np.array([[1, 1, 65535]], np.uint16)
    assert sorted(object_iou(true, predicted)) == [1, 1]


def pairs_of_pixels(true, predicted):
    """The Rand F-score by its words: each pair of true foreground pixels."""
    a, b = true[true > 0], predicted[true > 0]
    both = of_true = of_predicted = 0
    for i in range(len(a)):
        for j in range(i):
            both += a[i] == a[j] and b[i] == b[j]
            of_true += a[i] == a[j]
            of_predicted += b[i] == b[j]
    if not of_true + of_predicted:
        return 1.0
    precision = both / of_predicted if of_predicted else 0.0
    recall = both / of_true if of_true else 0.0
    return 2 * precision * recall / (precision + recall) if both else 0.0


@settings(deadline=None)
@given(hnp.arrays(np.uint16, (5, 6), elements=st.integers(0, 3)), labels)
def test_rand_f_equals_brute_force(true, predicted):
    predicted = predicted[:5, :6]
    assert rand_f(true, predicted) == pytest.approx(pairs_of_pixels(true, predicted))


def test_rand_f_of_known_cases():
    true = np.zeros((10, 10), np.uint16)
    assert rand_f(true, true) == 1  # nothing to be judged
    true[:, :4], true[:, 6:] = 1, 2
    assert rand_f(true, true) == 1
    assert rand_f(true, true + 3) == 1  # whatever the ids are, and where there is no object
    merged = np.ones_like(true)
    # of two objects of 40 pixels: pairs in one, 2 * 40 * 39; in the merged one, 80 * 79
    recall, precision = 1, 2 * 40 * 39 / (80 * 79)
    assert rand_f(true, merged) == pytest.approx(2 * precision * recall / (precision + recall))
    alone = np.arange(100, dtype=np.uint16).reshape(10, 10)
    assert rand_f(true, alone) == 0


@given(planes, planes)
def test_the_foreground_is_the_union_of_the_classes(true, predicted):
    a, b = true.any(-1), predicted.any(-1)
    both = 2 * (a & b).sum() / (a.sum() + b.sum()) if (a | b).any() else 1
    assert score_classes(true, predicted, CLASSES)["dice_foreground"] == pytest.approx(both)
    assert "dice_foreground" not in score_classes(true[..., :1], predicted[..., :1], ["a"])
