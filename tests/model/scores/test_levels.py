"""What served probabilities say."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given

from model.scores.levels import (
    calibration,
    calibration_error,
    count_levels,
    cross_entropy,
    sweep,
)

probabilities = hnp.arrays(np.uint8, (4, 5, 2))
planes = hnp.arrays(bool, (4, 5, 2))


@given(planes, probabilities)
def test_every_pixel_is_counted_once_a_class(true, probability):
    counts = count_levels(true, probability)
    assert counts.shape == (2, 2, 256)
    for k in range(2):
        for there in (0, 1):
            of = probability[..., k][true[..., k] == there]
            np.testing.assert_array_equal(counts[k, there], np.bincount(of, minlength=256))


@given(planes, probabilities)
def test_cross_entropy_is_the_mean_surprise(true, probability):
    p = np.clip(probability / 255, 0.5 / 255, 1 - 0.5 / 255)
    expected = -np.log(np.where(true, p, 1 - p)).mean()
    assert cross_entropy(count_levels(true, probability)) == pytest.approx(expected)


def test_a_certain_mistake_costs_much_but_not_infinitely():
    true = np.ones((1, 1, 1), bool)
    wrong, right = (np.full((1, 1, 1), p, np.uint8) for p in (0, 255))
    assert cross_entropy(count_levels(true, wrong)) == pytest.approx(np.log(510))
    assert cross_entropy(count_levels(true, right)) < 0.01


@given(planes, probabilities)
def test_the_sweep_has_the_iou_at_each_threshold(true, probability):
    thresholds, iou = sweep(count_levels(true, probability))
    for place in (0, 100, 127, 254):
        for k in range(2):
            a, b = true[..., k], probability[..., k] / 255 > thresholds[place]
            either = (a | b).sum()
            assert iou[k, place] == ((a & b).sum() / either if either else 1)


def test_a_model_that_says_what_happens_is_calibrated():
    generator = np.random.default_rng(1)
    probability = generator.integers(0, 256, (300, 300, 1)).astype(np.uint8)
    true = generator.random((300, 300, 1)) < probability / 255
    honest = count_levels(true, probability)
    said, there, share = calibration(honest)
    assert there == pytest.approx(said, abs=0.03)
    assert share.sum() == pytest.approx(1)
    assert calibration_error(honest) < 0.01
    boastful = count_levels(true, np.where(probability > 127, 255, 0).astype(np.uint8))
    assert calibration_error(boastful) == pytest.approx(0.25, abs=0.02)
    assert np.isnan(calibration(boastful)[0][4])


def test_nothing_at_all():
    assert cross_entropy(np.zeros((1, 2, 256), np.int64)) == 0
    assert calibration_error(np.zeros((1, 2, 256), np.int64)) == 0
    assert (sweep(np.zeros((1, 2, 256), np.int64))[1] == 1).all()
