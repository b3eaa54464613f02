"""The metrics of training against numpy."""

import numpy as np
import pytest

from model.metrics import make_metrics
from segtrail.settings.training import Training
from segtrail.task import Task

NUCLEI = Task("instances", ("nucleus",), ((1,),))
CELLS = Task("classes", ("cytoplasm", "nucleus"), ((1,), (2,)))
EYES = Task("multilabel", ("disc", "cup"), ((1,), (2,)))


def drawn(planes, seed=0):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 2, (2, 8, 9, planes)).astype(np.float32)
    return y, generator.normal(0, 2, y.shape).astype(np.float32)


def after(task, parts, loss="bce_dice"):
    made = make_metrics(Training(steps=1, loss=loss), task)
    for y, logits in parts:
        for metric in made:
            metric.update_state(y, logits)
    return {metric.name: float(metric.result()) for metric in made}, made


def overlap(a, b):
    both, either = (a & b).sum((0, 1, 2)), (a | b).sum((0, 1, 2))
    return both / either, 2 * both / (both + either)


def test_they_are_of_the_classes_over_all_batches_and_not_of_the_border():
    parts = [drawn(2, seed) for seed in (1, 2)]
    y, p = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    for task, classes in ((NUCLEI, 1), (EYES, 2)):
        got, _ = after(task, parts)
        iou, dice = overlap(y[..., :classes] > 0.5, p[..., :classes] > 0)
        assert got["iou"] == pytest.approx(iou.mean(), abs=1e-6)
        assert got["dice"] == pytest.approx(dice.mean(), abs=1e-6)
        each = {f"iou_{name}" for name in EYES.classes} | {f"dice_{n}" for n in EYES.classes}
        assert set(got) == {"iou", "dice"} | (each if classes == 2 else set())
        if classes == 2:
            assert [got["iou_disc"], got["iou_cup"]] == pytest.approx(list(iou), abs=1e-6)
            assert [got["dice_disc"], got["dice_cup"]] == pytest.approx(list(dice), abs=1e-6)


@pytest.mark.parametrize("loss", ["bce_dice", "cross_entropy"])
def test_classes_that_exclude_each_other_are_scored_as_they_are_answered(loss):
    from model.heads import chosen, probabilities

    y, x = drawn(2, seed=5)
    head = "softmax" if loss == "cross_entropy" else "sigmoid"
    shown = np.asarray(chosen(probabilities(x, head), head, True, 0.5))
    assert not shown.all(-1).any()
    got, _ = after(CELLS, [(y, x)], loss)
    iou, _ = overlap(y > 0.5, shown)
    assert got["iou_nucleus"] == pytest.approx(iou[1], abs=1e-6)


def test_of_several_heads_the_mean_of_the_logits_counts():
    y, x = drawn(2)
    got, _ = after(NUCLEI, [(y, np.concatenate([x * 3, -x], -1))])
    alone, _ = after(NUCLEI, [(y, x)])
    assert got == pytest.approx(alone)


def test_they_start_anew():
    y, x = drawn(2)
    _, made = after(EYES, [(y, x)])
    for metric in made:
        metric.reset_state()
    for metric in made:
        metric.update_state(y, y * 8 - 4)
    assert [float(metric.result()) for metric in made] == pytest.approx([1] * 6, abs=1e-6)


def test_they_follow_a_training_of_keras():
    import keras

    from model.losses import make_loss

    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (32, 16, 16, 1)).astype(np.float32)
    y = np.concatenate([x > 0, x > 1], -1).astype(np.float32)
    inputs = keras.Input((16, 16, 1))
    network = keras.Model(inputs, keras.layers.Conv2D(2, 1)(inputs))
    options = Training(steps=1)
    network.compile("sgd", make_loss(options, EYES), metrics=make_metrics(options, EYES))
    history = network.fit(x, y, batch_size=8, epochs=2, validation_data=(x, y), verbose=0).history
    names = {"iou", "dice", "iou_disc", "dice_disc", "iou_cup", "dice_cup"}
    assert set(history) == {"loss", "val_loss", *names, *(f"val_{name}" for name in names)}
    logits = network.predict(x, verbose=0)
    expected, _ = after(EYES, [(y, logits)])
    for name, value in expected.items():
        assert history[f"val_{name}"][-1] == pytest.approx(value, abs=1e-5)
