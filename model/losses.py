"""Losses over the foreground and border planes."""

from __future__ import annotations

from typing import Any

from segtrail.recipe import Training

BORDER_WEIGHT = 5.0  # border pixels are few: about 1 % of a tile


def make_loss(training: Training) -> Any:
    """Returns the loss of a recipe, a function of `y_true` and logits, both `[N, H, W, 2]`.

    `bce`: mean binary cross-entropy of both planes, border pixels counting five times.
    `bce_dice`: the same plus 1 - Dice of the foreground plane, soft, over the batch:
    Dice = (2 Σ p·y + 1) / (Σ p + Σ y + 1).
    """
    from keras import ops

    def bce(y: Any, logits: Any) -> Any:
        # max(x, 0) - x*y + log(1 + exp(-|x|)): no overflow at any logit
        each = ops.relu(logits) - logits * y + ops.log1p(ops.exp(-ops.abs(logits)))
        weight = ops.concatenate(
            [ops.ones_like(y[..., :1]), 1 + (BORDER_WEIGHT - 1) * y[..., 1:]], -1
        )
        return ops.mean(each * weight)

    def bce_dice(y: Any, logits: Any) -> Any:
        p, t = ops.sigmoid(logits[..., 0]), y[..., 0]
        dice = (2 * ops.sum(p * t) + 1) / (ops.sum(p) + ops.sum(t) + 1)
        return bce(y, logits) + 1 - dice

    return {"bce": bce, "bce_dice": bce_dice}[training.loss]


def foreground_iou() -> Any:
    """Returns a Keras metric: IoU of the foreground plane at probability 0.5, over all pixels."""
    import keras

    class ForegroundIoU(keras.metrics.BinaryIoU):
        """`BinaryIoU` of the first plane, from logits."""

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return super().update_state(
                y_true[..., 0], keras.ops.sigmoid(y_pred[..., 0]), sample_weight
            )

    return ForegroundIoU(target_class_ids=[1], threshold=0.5, name="iou")
