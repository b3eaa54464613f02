"""Builds networks by the name in their options.

Light: Keras, and a network's module, are imported when one is built.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from segtrail.settings.network import Network

if TYPE_CHECKING:
    import keras

_MODULES = {
    "unet": "model.networks.unet",
    "residual_unet": "model.networks.residual_unet",
    "attention_unet": "model.networks.attention_unet",
    "unet_plus_plus": "model.networks.unet_plus_plus",
    "inception_unet": "model.networks.inception_unet",
}


def build(options: Network, channels: int, outputs: int) -> keras.Model:
    """Returns a new network for images of any size that is a multiple of `down_scale`.

    Args:
        options: The `network` section of a recipe.
        channels: Of the input, 1 or more.
        outputs: P, the logit planes: `Task.planes`.

    Returns:
        A `keras.Model` from float32 `[N, H, W, channels]`, each channel of about mean 0 and
        deviation 1, to float32 logits `[N, H, W, P]`, also in mixed precision.

    Raises:
        ConfigError: Pre-trained weights cannot be had or do not fit.
    """
    network: keras.Model = import_module(_MODULES[options.name]).build(options, channels, outputs)
    return network


def supervised(network: keras.Model) -> keras.Model:
    """Returns a model on the same weights that gives each head's logits, for deep supervision.

    Returns:
        A `keras.Model` to float32 `[N, H, W, P * D]`, head after head (`model.heads` splits
        them); `network` itself if it has one head.
    """
    from model.networks import supervision

    return supervision.supervised(network)
