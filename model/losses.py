"""Losses over the planes of classes and border."""

from __future__ import annotations

from typing import Any

from segtrail.settings.training import Training
from segtrail.task import Task

BORDER_WEIGHT = 5.0  # border pixels are few: about 1 % of a tile


def make_loss(training: Training, task: Task) -> Any:
    """Returns the loss of a recipe, a function of `y_true` and logits, both `[N, H, W, P]`.

    `bce`: mean binary cross-entropy of all planes, border pixels counting five times.
    `bce_dice`: the same plus 1 - the mean over the classes of the Dice of their planes, soft,
    over the batch: Dice = (2 Σ p·y + 1) / (Σ p + Σ y + 1).

    Args:
        training: Which of the two.
        task: What the P planes are: K classes, and with objects the border.
    """
    from keras import ops

    classes = len(task.classes)

    def bce(y: Any, logits: Any) -> Any:
        # max(x, 0) - x*y + log(1 + exp(-|x|)): no overflow at any logit
        each = ops.relu(logits) - logits * y + ops.log1p(ops.exp(-ops.abs(logits)))
        if not task.has_objects:
            return ops.mean(each)
        weight = ops.concatenate(
            [ops.ones_like(y[..., :classes]), 1 + (BORDER_WEIGHT - 1) * y[..., classes:]], -1
        )
        return ops.mean(each * weight)

    def dice(y: Any, logits: Any, k: int) -> Any:
        p, t = ops.sigmoid(logits[..., k]), y[..., k]
        return (2 * ops.sum(p * t) + 1) / (ops.sum(p) + ops.sum(t) + 1)

    def bce_dice(y: Any, logits: Any) -> Any:
        return bce(y, logits) + 1 - sum(dice(y, logits, k) for k in range(classes)) / classes

    return {"bce": bce, "bce_dice": bce_dice}[training.loss]


def mean_iou(classes: int) -> Any:
    """Returns a Keras metric, `iou`: the mean over the classes of IoU at 0.5, over all pixels.

    Args:
        classes: K; the planes after the first K are not looked at.
    """
    import keras

    class MeanIoU(keras.metrics.Metric):
        """The mean of one `BinaryIoU` a plane, from logits."""

        def __init__(self) -> None:
            super().__init__(name="iou")
            self.each = [
                keras.metrics.BinaryIoU(target_class_ids=[1], threshold=0.5) for _ in range(classes)
            ]

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            for k, metric in enumerate(self.each):
                probability = keras.ops.sigmoid(y_pred[..., k])
                metric.update_state(y_true[..., k], probability, sample_weight)

        def result(self) -> Any:
            return keras.ops.mean(keras.ops.stack([metric.result() for metric in self.each]))

        def reset_state(self) -> None:
            for metric in self.each:
                metric.reset_state()

    return MeanIoU()
