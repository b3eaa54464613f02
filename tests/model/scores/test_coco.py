"""Average precision of a ranked list."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.scores.coco import Ranking
from model.scores.objects import THRESHOLDS

ranked = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12)


def average_precision(confidence, iou, weight, wanted):
    """Each object overlaps another true one."""
    return Ranking(confidence, iou, np.arange(len(iou))).average_precision(weight, wanted)


def by_the_book(rows, wanted, threshold):
    """The definition, point by point: for each recall the best precision from there on."""
    rows = sorted(rows, key=lambda row: -row[0])
    points, hits = [], 0
    for place, (_, iou) in enumerate(rows, 1):
        hits += iou >= threshold
        points.append((hits / wanted, hits / place))
    best = [max((p for r, p in points if r >= recall), default=0.0)
            for recall in np.linspace(0, 1, 101)]  # fmt: skip
    return np.mean(best)


@given(ranked, st.integers(0, 5))
def test_it_is_the_mean_of_the_best_precisions(rows, missed):
    rows = [(c, iou) for c, iou in dict(rows).items()]
    wanted = sum(iou >= 0.5 for _, iou in rows) + missed
    if not wanted:
        return
    confidence, iou = (np.array(each) for each in zip(*rows, strict=True))
    got = average_precision(confidence, iou, np.ones(len(rows)), wanted)
    for hundredths in THRESHOLDS:
        expected = by_the_book(rows, wanted, hundredths / 100)
        assert got[f"coco_ap_{hundredths}"] == pytest.approx(expected)
    assert got["coco_ap"] == pytest.approx(np.mean([got[f"coco_ap_{t}"] for t in THRESHOLDS]))


@given(ranked, st.integers(1, 3))
def test_an_image_that_counts_twice_is_two_images(rows, times):
    confidence, iou = (np.array(each) for each in zip(*dict(rows).items(), strict=True))
    n = len(confidence)
    once = average_precision(confidence, iou, np.full(n, float(times)), times * n)
    every = average_precision(
        np.repeat(confidence, times), np.repeat(iou, times), np.ones(times * n), times * n
    )
    assert once == pytest.approx(every)


def test_knowing_what_is_unsure_is_worth_something():
    iou = np.array([0.9, 0.9, 0.1])
    honest = average_precision(np.array([0.9, 0.8, 0.2]), iou, np.ones(3), 2)
    boastful = average_precision(np.array([0.5, 0.4, 0.99]), iou, np.ones(3), 2)
    assert honest["coco_ap_50"] == 1 > boastful["coco_ap_50"]


def test_an_overlap_of_just_the_threshold_counts_once_a_true_object():
    confidence, iou, one = np.array([0.9, 0.8, 0.7]), np.array([0.5, 0.5, 0.75]), np.ones(3)
    halves = Ranking(confidence, iou, np.array([4, 4, 5])).average_precision(one, 2)
    apart = Ranking(confidence, iou, np.array([4, 6, 5])).average_precision(one, 3)
    assert apart["coco_ap_50"] == 1
    assert apart["coco_ap_75"] == pytest.approx(34 / 101 / 3)  # found third, to a recall of 1/3
    first, second = 51 / 101, 50 / 101  # of the recalls: up to 1/2, and beyond
    assert halves["coco_ap_50"] == pytest.approx(first * 1 + second * 2 / 3)


def test_nothing_there_and_nothing_said():
    none = np.zeros(0)
    assert average_precision(none, none, none, 0)["coco_ap"] == 1
    assert average_precision(none, none, none, 3)["coco_ap"] == 0
    assert average_precision(np.ones(1), np.zeros(1), np.ones(1), 0)["coco_ap"] == 0
