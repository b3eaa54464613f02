"""Losses over the planes of classes and border, on logits, safe at any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from model.heads import plane_probabilities, shifted_exponentials, split_heads
from segtrail.settings.loss import Head, head_of
from segtrail.settings.training import Training
from segtrail.task import Task

Loss = Callable[[Any, Any], Any]
Planes = Sequence[Any]  # P tensors [N, H, W]
PlaneLoss = Callable[[Planes, Planes], Any]

SMOOTH = 0.5  # pixels; a class that a batch lacks still pulls its probabilities down
_LEAST = 1e-7  # under a power, whose slope at 0 may be infinite


def make_loss(training: Training, task: Task) -> Loss:
    """Returns the loss of a recipe, a function of truth and logits.

    Sums and means are over all pixels of a batch; p is a plane's probability, y its truth.

    `bce`: binary cross-entropy, mean over the planes, a border pixel counting `border_weight`
    times. `focal`: the same, each term times (1 - q)^gamma, q being the probability of what is
    true (Lin et al., 2017). `cross_entropy` and `categorical_focal`: their counterparts over
    K classes and background, by softmax. `bce_dice` and `cross_entropy_dice`: plus
    `dice_weight` times 1 - the mean over the classes of Dice = (2 Σpy + 1) / (Σp + Σy + 1).
    `tversky`: 1 - the mean over all planes of
    T = (Σpy + 1/2) / (Σpy + alpha Σp(1-y) + (1-alpha) Σ(1-p)y + 1/2) (Salehi et al., 2017), so
    that alpha 1/2 is Dice; `focal_tversky`: the mean of (1 - T)^power (Abraham and Khan, 2019).

    Keras's own Dice and Tversky have no gradient where a batch lacks a class, and its focal
    losses clip probabilities, so that a pixel that is hopelessly wrong teaches nothing; these
    are of the same formulas, on logits.

    Args:
        training: `loss` and `loss_options`.
        task: What the P planes are: K classes, and with objects the border.

    Returns:
        From y float `[N, H, W, P]` and logits float `[N, H, W, P * D]`, of D heads one after
        the other, to a float32 scalar: see `deep`.
    """
    from keras import ops

    options, head, classes = training.loss_options, head_of(training.loss), len(task.classes)
    border_weight = options.border_weight if task.has_objects else 1.0
    binary = partial(_binary, classes=classes, border_weight=border_weight)
    dice = partial(_dice, head=head, classes=classes, weight=options.dice_weight)
    tversky = partial(_tversky_loss, head=head, alpha=options.tversky_alpha)
    made: dict[str, Sequence[PlaneLoss]] = {
        "bce": [binary],
        "bce_dice": [binary, dice],
        "focal": [partial(binary, gamma=options.focal_gamma)],
        "cross_entropy": [_categorical],
        "cross_entropy_dice": [_categorical, dice],
        "categorical_focal": [partial(_categorical, gamma=options.focal_gamma)],
        "tversky": [tversky],
        "focal_tversky": [partial(tversky, power=options.focal_tversky_power)],
    }
    parts = made[training.loss]

    def loss(y: Any, logits: Any) -> Any:
        # plane by plane: a plane is contiguous, so that CPUs work on it several times as fast
        truth, planes = ops.unstack(y, axis=-1), ops.unstack(logits, axis=-1)
        return sum([part(truth, planes) for part in parts])

    return deep(loss, len(task.planes))


def deep(loss: Loss, planes: int) -> Loss:
    """Returns the mean of `loss` over the heads of a deeply supervised network.

    Args:
        loss: From y and logits, both float32 `[N, H, W, P]`, to a scalar.
        planes: P.

    Returns:
        From y `[N, H, W, P]` and logits `[N, H, W, P * D]`, of any float type, to a float32
        scalar. With D = 1 it is `loss`.
    """
    from keras import ops

    def over_heads(y: Any, logits: Any) -> Any:
        y = ops.cast(y, "float32")
        heads = split_heads(ops.cast(logits, "float32"), planes)
        return sum(loss(y, head) for head in heads) / len(heads)

    return over_heads


def _binary(y: Planes, x: Planes, classes: int, border_weight: float, gamma: float = 0.0) -> Any:
    """Returns the mean binary cross-entropy of all planes, the border's pixels weighted."""
    from keras import ops

    total: Any = 0.0
    for k, (truth, plane) in enumerate(zip(y, x, strict=True)):
        each = ops.binary_crossentropy(truth, plane, from_logits=True)
        if gamma:
            said = ops.sigmoid(plane)
            wrong = said + truth * (1 - 2 * said)  # the probability of what is not true
            each = each * _power(wrong, gamma)
        if k >= classes and border_weight != 1:
            each = each * (1 + (border_weight - 1) * truth)
        total = total + ops.mean(each)
    return total / len(x)


def _categorical(y: Planes, x: Planes, gamma: float = 0.0) -> Any:
    """Returns the mean cross-entropy over K classes and background, whose logit is 0."""
    from keras import ops

    highest, exponentials, total = shifted_exponentials(x)
    each = highest + ops.log(total) - sum([t * plane for t, plane in zip(y, x, strict=True)])
    if gamma:
        right = (1 - sum(y)) * ops.exp(-highest)  # the background's part
        right = sum([t * e for t, e in zip(y, exponentials, strict=True)], right) / total
        each = each * _power(1 - right, gamma)
    return ops.mean(each)


def _dice(y: Planes, x: Planes, head: Head, classes: int, weight: float) -> Any:
    """Returns `weight` times 1 - the mean of the classes' Dice."""
    p = plane_probabilities(x[:classes], head)
    return weight * _mean([1 - index for index in _tversky(y[:classes], p, alpha=0.5)])


def _tversky_loss(y: Planes, x: Planes, head: Head, alpha: float, power: float = 1.0) -> Any:
    lacks = [1 - index for index in _tversky(y, plane_probabilities(x, head), alpha)]
    return _mean(lacks if power == 1 else [_power(lack, power) for lack in lacks])


def _tversky(y: Planes, p: Planes, alpha: float) -> list[Any]:
    """Returns the Tversky index of each plane, over the batch."""
    from keras import ops

    found = []
    for truth, said in zip(y, p, strict=True):
        both = ops.sum(truth * said)
        cost = alpha * (ops.sum(said) - both) + (1 - alpha) * (ops.sum(truth) - both)
        found.append((both + SMOOTH) / (both + cost + SMOOTH))
    return found


def _mean(values: list[Any]) -> Any:
    return sum(values) / len(values)


def _power(base: Any, exponent: float) -> Any:
    from keras import ops

    return ops.power(ops.maximum(base, _LEAST), exponent)
