"""Deep supervision: training each head of a network by itself (Lee et al., 2015)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from model.networks.blocks import FLOAT


def head_name(number: int) -> str:
    """Returns the name of the layer that gives the logits of a head, counted from 1."""
    return f"head{number}"


def supervised(network: keras.Model) -> keras.Model:
    """Returns a model on the same weights that gives the logits of every head.

    Returns:
        A `keras.Model` to float32 `[N, H, W, P * D]`, head after head, the shallowest first;
        `network` itself if it has one head.
    """
    outputs = _outputs(network)
    if not outputs:
        return network
    joined = layers.Concatenate(dtype=FLOAT, name="heads")(outputs)
    return keras.Model(network.input, joined, name=f"{network.name}_supervised")


def _outputs(network: keras.Model) -> list[Any]:
    known = {layer.name: layer for layer in network.layers}
    names = [head_name(number) for number in range(1, len(known) + 1)]
    return [known[name].output for name in names if name in known]
