"""Scores of pixels, against brute force and at the edges."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from sklearn import metrics as sklearn_metrics

from model.scores.pixels import score_pixels

CLASSES = ["a", "b", "c"]
planes = hnp.arrays(bool, (6, 7, 3))


@given(planes, planes)
def test_the_foreground_is_the_union_of_the_classes(true, predicted):
    a, b = true.any(-1), predicted.any(-1)
    both = 2 * (a & b).sum() / (a.sum() + b.sum()) if (a | b).any() else 1
    assert score_pixels(true, predicted, CLASSES)["dice_foreground"] == pytest.approx(both)
    assert "dice_foreground" not in score_pixels(true[..., :1], predicted[..., :1], ["a"])


@settings(deadline=None)  # scikit-learn takes its time
@given(planes, planes)
def test_scores_equal_scikit_learns(true, predicted):
    got = score_pixels(true, predicted, CLASSES)
    theirs = {
        "iou": sklearn_metrics.jaccard_score,
        "dice": sklearn_metrics.f1_score,
        "precision": sklearn_metrics.precision_score,
        "recall": sklearn_metrics.recall_score,
    }
    for name, of_them in theirs.items():
        each = []
        for k, of in enumerate(CLASSES):
            a, b = true[..., k].ravel(), predicted[..., k].ravel()
            each.append(of_them(a, b, zero_division=1.0))
            if a.any() == b.any() or name in ("precision", "recall"):
                assert got[f"{name}_{of}"] == pytest.approx(each[-1])
        assert got[name] == pytest.approx(np.mean([got[f"{name}_{of}"] for of in CLASSES]))


@pytest.mark.parametrize(
    ("there", "said", "iou", "precision", "recall"),
    [(0, 0, 1, 1, 1), (0, 5, 0, 0, 1), (5, 0, 0, 1, 0), (4, 2, 0.5, 1, 0.5), (2, 4, 0.5, 0.5, 1)],
)
def test_a_class_that_is_not_there_or_not_said(there, said, iou, precision, recall):
    true, predicted = np.zeros((2, 1, 8, 1), bool)
    true[0, :there], predicted[0, :said] = True, True
    got = score_pixels(true, predicted, ["a"])
    assert (got["iou_a"], got["precision_a"], got["recall_a"]) == (iou, precision, recall)
    assert got["dice_a"] == 2 * iou / (1 + iou)


def test_a_pixel_is_right_when_all_its_classes_are():
    true = np.zeros((2, 2, 2), bool)
    said = true.copy()
    said[0, 0], said[0, 1, 1] = True, True
    assert score_pixels(true, said, ["a", "b"])["pixel_accuracy"] == 0.5
