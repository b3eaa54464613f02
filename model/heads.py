"""From logits to probabilities to classes: one definition for loss, metrics and serving graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from segtrail.settings.loss import Head


def probabilities(logits: Any, head: Head) -> Any:
    """Returns the probability of each plane.

    `sigmoid`: each plane on its own: one class, several that may overlap, or foreground and
    border. `softmax`: classes that exclude each other and the background, whose logit is 0, so
    that K planes stand for K + 1 outcomes (which loses nothing: softmax sees differences only).

    Args:
        logits: float `[..., P]`.
        head: See `segtrail.settings.loss.head_of`.

    Returns:
        float `[..., P]`, between 0 and 1; of `softmax` the sum over the planes is at most 1,
        and what it lacks is the background's.
    """
    from keras import ops

    if head == "sigmoid":
        return ops.sigmoid(logits)
    return ops.stack(plane_probabilities(ops.unstack(logits, axis=-1), head), axis=-1)


def plane_probabilities(logits: Sequence[Any], head: Head) -> list[Any]:
    """Returns what `probabilities` does, plane by plane: on CPU several times as fast."""
    from keras import ops

    if head == "sigmoid":
        return [ops.sigmoid(plane) for plane in logits]
    _, exponentials, total = shifted_exponentials(logits)
    return [each / total for each in exponentials]


def shifted_exponentials(logits: Sequence[Any]) -> tuple[Any, list[Any], Any]:
    """Returns what a softmax head is made of; nothing overflows at any logit.

    Returns:
        The highest logit m of a pixel, the background's 0 among them, as a constant; each
        plane's exp(logit - m); and their sum with the background's exp(-m).
    """
    from keras import ops

    highest = ops.stop_gradient(reduce(ops.maximum, logits[1:], ops.relu(logits[0])))
    exponentials = [ops.exp(plane - highest) for plane in logits]
    return highest, exponentials, sum(exponentials, ops.exp(-highest))


def chosen(probability: Any, head: Head, exclusive: bool, threshold: float) -> Any:
    """Returns where each class is: what the mask of an answer shows.

    Classes that may overlap are where their own probability is above the threshold. Of classes
    that exclude each other a pixel has the most probable one, the first if several share the
    highest probability; provided that, with a sigmoid head, its probability is above the
    threshold, or with a softmax head the sum over all classes is: where two classes meet
    neither may reach one half, though background is out of the question.

    Args:
        probability: float `[..., K]`, of the classes alone.
        head: What made them.
        exclusive: Whether a pixel has one class at most.
        threshold: Between 0 and 1.

    Returns:
        bool `[..., K]`.
    """
    from keras import ops

    planes = ops.unstack(probability, axis=-1)
    return ops.stack(chosen_planes(planes, head, exclusive, threshold), axis=-1)


def chosen_planes(
    probability: Sequence[Any], head: Head, exclusive: bool, threshold: float
) -> list[Any]:
    """Returns what `chosen` does, plane by plane."""
    from keras import ops

    if not exclusive or len(probability) == 1:
        return [plane > threshold for plane in probability]
    highest = reduce(ops.maximum, probability)
    certain = sum(probability) if head == "softmax" else highest
    free = certain > threshold
    found = []
    for plane in probability:
        found.append(ops.logical_and(free, plane == highest))
        free = ops.logical_and(free, plane != highest)
    return found


def mean_of_heads(logits: Any, planes: int) -> Any:
    """Returns the mean over the D heads of a deeply supervised network.

    Args:
        logits: float `[..., P * D]`, head after head.
        planes: P.

    Returns:
        float `[..., P]`; the input itself if D is 1.

    Raises:
        ValueError: The channels are no multiple of P.
    """
    from keras import ops

    heads = split_heads(logits, planes)
    return heads[0] if len(heads) == 1 else ops.mean(ops.stack(heads), axis=0)


def split_heads(logits: Any, planes: int) -> list[Any]:
    """Returns the D parts `[..., P]` of logits `[..., P * D]`.

    Raises:
        ValueError: The channels are no multiple of P.
    """
    channels = logits.shape[-1]
    if channels % planes:
        raise ValueError(
            f"expected logits with a multiple of {planes} channels, one a plane and head; "
            f"received {channels}"
        )
    if channels == planes:
        return [logits]
    return [logits[..., start : start + planes] for start in range(0, channels, planes)]
