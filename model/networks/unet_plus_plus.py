"""U-Net++, with a head for each depth."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from model.networks.blocks import FLOAT, Convolutions, to_logits
from model.networks.supervision import head_name
from segtrail.settings.network import UnetPlusPlus


def build(options: UnetPlusPlus, channels: int, outputs: int) -> keras.Model:
    """Returns a U-Net++ (Zhou et al., 2018) for images of any size.

    Node (i, j) is a block of two 3x3 convolutions at level i; it joins all nodes before it at
    its level with node (i + 1, j - 1), enlarged. With `deep_supervision` each node (0, j > 0),
    the end of a U-Net of depth j, has a head; the network gives the mean of their logits, the
    paper's accurate mode with the mean taken before the sigmoid, not after it.

    Args:
        options: See there.
        channels: Of the input.
        outputs: Logit planes.

    Returns:
        A `keras.Model` from float32 `[N, H, W, channels]`, H and W multiples of `down_scale`,
        to float32 logits `[N, H, W, outputs]`.
    """
    kind = Convolutions(options.batch_norm, options.has_bias, options.activation)

    def block(x: Any, i: int, j: int, stride: int = 1) -> Any:
        rate = options.dropout_at(i)
        return kind.block(x, options.base_filters << i, f"node{i}_{j}", stride, dropout=rate)

    def enlarged(x: Any, i: int, j: int) -> Any:
        name = f"node{i}_{j}_resize"
        if options.decoder == "transposed":
            return kind.transpose(x, options.base_filters << i, 2, name)
        return layers.UpSampling2D(name=name)(x)

    inputs = keras.Input((None, None, channels), name="normalised")
    nodes = {(0, 0): block(inputs, 0, 0, options.stem_stride)}
    for depth in range(1, options.depth + 1):
        below = layers.MaxPooling2D(name=f"pool{depth - 1}")(nodes[depth - 1, 0])
        nodes[depth, 0] = block(below, depth, 0)
        for j in range(1, depth + 1):
            i = depth - j
            before = [nodes[i, k] for k in range(j)]
            up = enlarged(nodes[i + 1, j - 1], i, j)
            joined = layers.Concatenate(name=f"node{i}_{j}_join")([*before, up])
            nodes[i, j] = block(joined, i, j)

    def head(j: int, name: str) -> Any:
        return to_logits(nodes[0, j], outputs, options.stem_stride, name)

    if not options.deep_supervision or options.depth == 1:
        return keras.Model(inputs, head(options.depth, "logits"), name="unet_plus_plus")
    logits = [
        layers.Identity(dtype=FLOAT, name=head_name(j))(head(j, f"logits{j}"))
        for j in range(1, options.depth + 1)
    ]
    mean = layers.Average(dtype=FLOAT, name="logits")(logits)
    return keras.Model(inputs, mean, name="unet_plus_plus")
