"""The attention U-Net."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from model.networks.blocks import Convolutions, to_logits
from model.networks.unet import body
from segtrail.settings.network import AttentionUnet


def build(options: AttentionUnet, channels: int, outputs: int) -> keras.Model:
    """Returns an attention U-Net (Oktay et al., 2018) for images of any size.

    A U-Net whose skips x are weighted, pixel by pixel, by what comes from below, g, made as
    large as x first: `x * sigmoid(psi(relu(W_x x + W_g g)))` with 1x1 convolutions, the
    additive gate. As in most of its implementations each of the three is normalised where the
    network is, and x and g meet at the size of x (the paper lets them meet at that of g).

    Args:
        options: See there.
        channels: Of the input.
        outputs: Logit planes.

    Returns:
        A `keras.Model` from float32 `[N, H, W, channels]`, H and W multiples of `down_scale`,
        to float32 logits `[N, H, W, outputs]`.
    """
    kind = Convolutions(options.batch_norm, options.has_bias, "relu")

    def gated(below: Any, skip: Any, level: int) -> Any:
        name, filters = f"gate{level}", max((options.base_filters << level) // 2, 1)

        def projected(x: Any, planes: int, part: str) -> Any:
            x = kind.convolve(x, planes, 1, f"{name}_{part}")
            return kind.normalise(x, f"{name}_{part}_norm")

        terms = [projected(below, filters, "below"), projected(skip, filters, "skip")]
        both = kind.activate(layers.Add(name=f"{name}_sum")(terms), f"{name}_relu")
        weight = layers.Activation("sigmoid", name=f"{name}_weight")(projected(both, 1, "psi"))
        return layers.Multiply(name=name)([skip, weight])

    inputs, x = body(options, channels, gated)
    logits = to_logits(x, outputs, options.stem_stride, "logits")
    return keras.Model(inputs, logits, name="attention_unet")
