"""The losses against numpy and Keras, and at logits where others break."""

import numpy as np
import pytest

from model.losses import deep, make_loss
from segtrail.settings.loss import SOFTMAX, LossOptions
from segtrail.settings.training import Training
from segtrail.task import Task

NUCLEI = Task("instances", ("nucleus",), ((1,),))
CELLS = Task("classes", ("cytoplasm", "nucleus"), ((1,), (2,)))
SIGMOID = ["bce", "bce_dice", "focal", "tversky", "focal_tversky"]
OPTIONS = LossOptions()


def drawn(planes, seed=0, exclusive=False):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 2, (2, 8, 9, planes)).astype(np.float32)
    if exclusive:
        y = np.eye(planes + 1, dtype=np.float32)[generator.integers(0, planes + 1, (2, 8, 9))]
        y = y[..., 1:]
    return y, generator.normal(0, 2, y.shape).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def softmax(x):
    e = np.exp(np.concatenate([np.zeros_like(x[..., :1]), x], -1).astype(np.float64))
    return e / e.sum(-1, keepdims=True)


def cross_entropy(y, logits):
    p = sigmoid(logits)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def dice(y, p):
    return (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)


def loss(name, task, y, logits, **options):
    made = make_loss(Training(steps=1, loss=name, loss_options=LossOptions(**options)), task)
    return float(made(y, logits))


def test_cross_entropy_counts_border_pixels_so_many_times():
    y, logits = drawn(2)
    each = cross_entropy(y, logits)
    for weight in (1.0, 5.0, 8.5):
        weights = np.where((y == 1) & (np.arange(2) == 1), weight, 1)
        got = loss("bce", NUCLEI, y, logits, border_weight=weight)
        assert got == pytest.approx((each * weights).mean(), rel=1e-5)
        assert loss("bce", CELLS, y, logits, border_weight=weight) == pytest.approx(
            each.mean(), rel=1e-5
        )


def test_dice_is_the_mean_over_the_classes_and_not_over_the_border():
    y, logits = drawn(2)
    p = sigmoid(logits)
    for task, scores in (
        (NUCLEI, [dice(y[..., 0], p[..., 0])]),
        (CELLS, [dice(y[..., k], p[..., k]) for k in (0, 1)]),
    ):
        plain = loss("bce", task, y, logits)
        for weight in (1.0, 2.5):
            extra = loss("bce_dice", task, y, logits, dice_weight=weight) - plain
            assert extra == pytest.approx(weight * (1 - np.mean(scores)), abs=1e-5)


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


def test_softmax_cross_entropy_is_over_classes_and_background():
    y, logits = drawn(2, exclusive=True)
    p = softmax(logits)
    truth = np.concatenate([1 - y.sum(-1, keepdims=True), y], -1)
    right = (truth * p).sum(-1)
    assert loss("cross_entropy", CELLS, y, logits) == pytest.approx(-np.log(right).mean(), rel=1e-5)
    for gamma in (0.5, 2.0):
        expected = (-np.log(right) * (1 - right) ** gamma).mean()
        got = loss("categorical_focal", CELLS, y, logits, focal_gamma=gamma)
        assert got == pytest.approx(expected, rel=1e-4)
    extra = loss("cross_entropy_dice", CELLS, y, logits) - loss("cross_entropy", CELLS, y, logits)
    expected = 1 - np.mean([dice(y[..., k], p[..., k + 1]) for k in (0, 1)])
    assert extra == pytest.approx(expected, abs=1e-5)


def test_the_formulas_are_keras_where_keras_clips_nothing():
    import keras

    y, x = drawn(1, seed=3)
    task = Task("multilabel", ("a",), ((1,),))
    focal = keras.losses.BinaryFocalCrossentropy(from_logits=True, gamma=2.0)
    assert loss("focal", task, y, x) == pytest.approx(float(focal(y, x)), rel=1e-4)
    y, x = drawn(2, seed=3, exclusive=True)
    categorical = keras.losses.CategoricalCrossentropy(from_logits=True)
    every = np.concatenate([np.zeros_like(x[..., :1]), x], -1)
    truth = np.concatenate([1 - y.sum(-1, keepdims=True), y], -1)
    got = loss("cross_entropy", CELLS, y, x)
    assert got == pytest.approx(float(categorical(truth, every)), rel=1e-5)


def test_a_focal_loss_without_focus_is_cross_entropy():
    y, logits = drawn(2)
    assert loss("focal", NUCLEI, y, logits, focal_gamma=0.0) == pytest.approx(
        loss("bce", NUCLEI, y, logits), rel=1e-6
    )
    y, logits = drawn(2, exclusive=True)
    assert loss("categorical_focal", CELLS, y, logits, focal_gamma=0.0) == pytest.approx(
        loss("cross_entropy", CELLS, y, logits), rel=1e-6
    )


def test_tversky_weighs_false_positives_by_alpha():
    y, logits = drawn(2)
    p = sigmoid(logits)
    for alpha, power in ((0.3, 0.75), (0.5, 1.0), (0.8, 2.0)):
        indices = []
        for k in (0, 1):
            a, b = y[..., k], p[..., k]
            both = (a * b).sum()
            wrong = alpha * (b * (1 - a)).sum() + (1 - alpha) * (a * (1 - b)).sum()
            indices.append((both + 0.5) / (both + wrong + 0.5))
        lacks = 1 - np.array(indices)
        got = loss("tversky", CELLS, y, logits, tversky_alpha=alpha)
        assert got == pytest.approx(lacks.mean(), rel=1e-5)
        got = loss("focal_tversky", NUCLEI, y, logits, tversky_alpha=alpha,
                   focal_tversky_power=power)  # fmt: skip
        assert got == pytest.approx((lacks**power).mean(), rel=1e-5)


@pytest.mark.parametrize("name", [*SIGMOID, *SOFTMAX])
def test_no_logit_breaks_a_loss_or_its_gradient(name):
    import tensorflow as tf

    y, _ = drawn(2, exclusive=True)
    for scale in (0.0, 20.0, 1e4):
        for sign in (-1, 1):  # hopelessly wrong, and more than right
            x = tf.constant(sign * scale * (2 * y - 1))
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = make_loss(Training(steps=1, loss=name), CELLS)(y, x)
            gradient = tape.gradient(value, x).numpy()
            assert np.isfinite(value)
            assert np.isfinite(gradient).all()
            hopeless = scale > 0 and sign < 0
            if hopeless and "tversky" not in name:  # ratios of sums are flat at both ends
                toward = -gradient[y == 1]
                assert (toward > 0).all(), "a pixel that is hopelessly wrong must still learn"


@pytest.mark.parametrize("name", [*SIGMOID, *SOFTMAX])
def test_a_better_answer_costs_less_and_the_right_one_next_to_nothing(name):
    y, _ = drawn(2, exclusive=True)
    costs = [loss(name, CELLS, y, (2 * y - 1) * sure) for sure in (-4.0, 0.0, 4.0, 25.0)]
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) == 4
    assert costs[-1] < 1e-4


@pytest.mark.parametrize("name", [*SIGMOID, *SOFTMAX])
def test_of_several_heads_the_mean_is_the_loss(name):
    y, x = drawn(2, exclusive=True)
    others = [x, x * 2, -x]
    expected = np.mean([loss(name, CELLS, y, head) for head in others])
    assert loss(name, CELLS, y, np.concatenate(others, -1)) == pytest.approx(expected, rel=1e-5)


def test_half_precision_logits_are_summed_in_single_precision():
    y, x = np.ones((4, 200, 200, 1), np.float32), np.zeros((4, 200, 200, 1), np.float16)
    task = Task("multilabel", ("a",), ((1,),))  # 160,000 pixels: more than a float16 holds
    assert loss("bce_dice", task, y, x) == pytest.approx(np.log(2) + 1 / 3, abs=1e-4)


def test_channels_that_are_no_multiple_of_the_planes_are_refused():
    with pytest.raises(ValueError, match="multiple of 2"):
        deep(lambda y, x: 0, 2)(np.zeros((1, 2, 2, 2)), np.zeros((1, 2, 2, 3), np.float32))
