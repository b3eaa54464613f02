"""How far a network sees: by how many pixels an input can lie away and still have a say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
from keras import layers

from model.networks.blocks import Enlarge

_POINTWISE = (
    layers.Activation, layers.ReLU, layers.ELU, layers.Dropout, layers.BatchNormalization,
    layers.Concatenate, layers.Add, layers.Average, layers.Multiply, layers.Identity,
)  # fmt: skip


class _Sight(NamedTuple):
    """What a tensor sees along an axis, in pixels of the input.

    Attributes:
        before: How far towards lower indices.
        after: How far towards higher ones.
        jump: From one of its own pixels to the next.
    """

    before: float
    after: float
    jump: float


def radius(network: keras.Model) -> int | None:
    """Returns how many pixels away from an output pixel an input pixel can change it, at most.

    The sum of the windows along the longest path, on each side, in pixels of the input (Araujo,
    Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill, 2019).

    Args:
        network: One input, one output.

    Returns:
        Pixels; None if some layer is not known to see only so far, or the network is not made
        of layers in Keras's functional way.
    """
    if not getattr(network, "inputs", None):
        return None
    (seen,) = _outputs(network, [_Sight(0, 0, 1)]) or (None,)
    return None if seen is None else round(max(seen.before, seen.after))


def _outputs(network: keras.Model, inputs: list[_Sight]) -> list[_Sight] | None:
    """Returns what each output sees; None if a layer is not known."""
    known = {id(tensor): sight for tensor, sight in zip(network.inputs, inputs, strict=True)}
    for node in _nodes(network):
        given = [known[id(tensor)] for tensor in node.input_tensors]
        if not given:
            continue  # an input
        layer = node.operation
        if isinstance(layer, keras.Model):
            found = _outputs(layer, given)
        else:
            one = _through(layer, given)
            found = None if one is None else [one]
        if found is None:
            return None
        known |= {id(tensor): sight for tensor, sight in zip(node.outputs, found, strict=True)}
    return [known[id(tensor)] for tensor in network.outputs]


def _nodes(network: keras.Model) -> list[Any]:
    """Returns the calls of layers, each after those that it needs."""
    by_depth: Mapping[int, list[Any]] = network._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def _through(layer: Any, given: list[_Sight]) -> _Sight | None:
    """Returns what a layer's output sees, its input's sides being multiples of its stride."""
    seen = _Sight(max(s.before for s in given), max(s.after for s in given), given[0].jump)
    if isinstance(layer, layers.Conv2DTranspose):
        kernel, stride = max(layer.kernel_size), max(layer.strides)
        after = max(kernel - stride, 0) // 2
        return _enlarged(seen, stride, kernel - 1 - after, after)
    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
        reach = (max(layer.kernel_size) - 1) * max(layer.dilation_rate)
        return _windowed(seen, reach, max(layer.strides))
    if isinstance(layer, layers.MaxPooling2D | layers.AveragePooling2D):
        return _windowed(seen, max(layer.pool_size) - 1, max(layer.strides))
    if isinstance(layer, layers.UpSampling2D) and layer.interpolation == "nearest":
        return _enlarged(seen, max(layer.size), max(layer.size) - 1, 0)
    if isinstance(layer, Enlarge):  # its pixels lie between the centres of those of the input
        factor = layer.factor
        return _enlarged(seen, factor, (3 * factor - 1) // 2, (factor + 1) // 2)
    return seen if isinstance(layer, _POINTWISE) else None


def _windowed(seen: _Sight, reach: int, stride: int) -> _Sight:
    """Through windows of `reach` + 1 pixels: padding is half before, the odd one after."""
    before = max(reach + 1 - stride, 0) // 2
    return _Sight(
        seen.before + before * seen.jump,
        seen.after + (reach - before) * seen.jump,
        seen.jump * stride,
    )


def _enlarged(seen: _Sight, factor: int, before: int, after: int) -> _Sight:
    """To `factor` times the size; `before` and `after` count pixels of the result."""
    jump = seen.jump / factor
    return _Sight(seen.before + before * jump, seen.after + after * jump, jump)
