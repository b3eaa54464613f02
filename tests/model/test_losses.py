"""The losses and the metric of training against numpy."""

import numpy as np
import pytest

from model.losses import BORDER_WEIGHT, make_loss, mean_iou
from segtrail.settings.training import Training
from segtrail.task import Task

NUCLEI = Task("instances", ("nucleus",), (1,))
CELLS = Task("classes", ("cytoplasm", "nucleus"), (1, 2))


def drawn(planes, seed=0):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 2, (2, 8, 9, planes)).astype(np.float32)
    return y, generator.normal(0, 2, y.shape).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cross_entropy(y, logits):
    p = sigmoid(logits.astype(np.float64))
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def dice(y, logits):
    p = sigmoid(logits)
    return (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)


def loss(name, task, y, logits):
    return float(make_loss(Training(steps=1, loss=name), task)(y, logits))


def test_cross_entropy_counts_border_pixels_five_times():
    y, logits = drawn(2)
    each = cross_entropy(y, logits)
    weight = np.where((y == 1) & (np.arange(2) == 1), BORDER_WEIGHT, 1)
    assert loss("bce", NUCLEI, y, logits) == pytest.approx((each * weight).mean(), rel=1e-5)
    assert loss("bce", CELLS, y, logits) == pytest.approx(each.mean(), rel=1e-5)


def test_dice_is_the_mean_over_the_classes_and_not_over_the_border():
    y, logits = drawn(2)
    for task, scores in (
        (NUCLEI, [dice(y[..., 0], logits[..., 0])]),
        (CELLS, [dice(y[..., k], logits[..., k]) for k in (0, 1)]),
    ):
        extra = loss("bce_dice", task, y, logits) - loss("bce", task, y, logits)
        assert extra == pytest.approx(1 - np.mean(scores), abs=1e-5)


def test_a_rare_class_weighs_as_much_as_a_frequent_one():
    y = np.zeros((1, 20, 20, 2), np.float32)
    y[:, :10, :, 0], y[:, 15:17, 3:5, 1] = 1, 1
    right = np.where(y > 0, 20.0, -20.0).astype(np.float32)
    lost = []
    for k in (0, 1):
        wrong = right.copy()
        wrong[..., k] = -20
        wrong_dice = loss("bce_dice", CELLS, y, wrong) - loss("bce", CELLS, y, wrong)
        lost.append(wrong_dice)
    assert lost[0] == pytest.approx(0.5, abs=0.01)
    assert lost[1] == pytest.approx(0.4, abs=0.01)  # of 4 pixels: (0 + 1) / (4 + 1) is left


def test_the_metric_is_the_mean_of_the_classes_iou_over_all_batches():
    metric, parts = mean_iou(2), [drawn(3, seed) for seed in (1, 2)]
    for y, logits in parts:
        metric.update_state(y, logits)
    y, p = (np.concatenate([part[i] for part in parts])[..., :2] for i in (0, 1))
    a, b = y > 0.5, p > 0
    expected = (a & b).sum((0, 1, 2)) / (a | b).sum((0, 1, 2))
    assert float(metric.result()) == pytest.approx(expected.mean(), abs=1e-6)
    metric.reset_state()
    metric.update_state(y, y * 8 - 4)
    assert float(metric.result()) == pytest.approx(1)
