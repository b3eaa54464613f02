"""A U-Net on InceptionV3."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from model.networks.blocks import BATCH_NORM_MOMENTUM, Convolutions, to_logits
from model.networks.pretrained import inception_v3
from segtrail.settings.network import InceptionUnet

_JOINS = ("mixed2", "mixed7")  # the last features at an eighth and a sixteenth of the size
_DECODED = 5  # halvings


def build(options: InceptionUnet, channels: int, outputs: int) -> keras.Model:
    """Returns a U-Net whose way down is InceptionV3 (Szegedy et al., 2016), for any image size.

    The way up has five levels of upsampling (nearest neighbour) and two 3x3 convolutions with
    normalisation, of 16 times `base_filters` down to `base_filters`; the skips are the last
    features of the encoder at each size, as in the public segmentation-models packages. The
    encoder's convolutions and poolings are padded, unlike Google's, so that sizes halve
    exactly; that leaves its weights as they are.

    Args:
        options: Filters of the way up, weights of the encoder.
        channels: Of the input; with weights, which are for three channels, a single one is
            given three times.
        outputs: Logit planes.

    Returns:
        A `keras.Model` from float32 `[N, H, W, channels]`, H and W multiples of 32, to float32
        logits `[N, H, W, outputs]`.

    Raises:
        ConfigError: The weights cannot be had or do not fit.
    """
    inputs = keras.Input((None, None, channels), name="normalised")
    x = inputs
    if options.weights != "none" and channels == 1:
        x = layers.Concatenate(name="grey_to_rgb")([x, x, x])
    encoder = _padded(inception_v3(x.shape[-1], options.weights, options.weights_sha256))
    x, *skips = encoder(x)
    kind = Convolutions(batch_norm=True, bias=False, activation="relu")
    for level in reversed(range(_DECODED)):
        x = layers.UpSampling2D(name=f"up{level}_resize")(x)
        if skips:
            x = layers.Concatenate(name=f"up{level}_join")([x, skips.pop()])
        x = kind.block(x, options.base_filters << level, f"up{level}")
    return keras.Model(inputs, to_logits(x, outputs, 1, "logits", kernel=3), name="inception_unet")


def _padded(inception: keras.Model) -> keras.Model:
    """Returns the encoder with padded layers and the same weights.

    Its outputs are the last features, and those at a half, a quarter, an eighth and a sixteenth
    of the size.
    """
    numbers = {layer.name: number for number, layer in enumerate(inception.layers)}

    def changed(layer: Any) -> Any:
        config = layer.get_config()
        if config.get("padding") == "valid":
            config["padding"] = "same"
        if "momentum" in config:
            config["momentum"] = BATCH_NORM_MOMENTUM
        if layer.name not in (*_JOINS, inception.layers[-1].name):
            # Keras counts on over all networks of a process, so that its own names differ
            config["name"] = f"{type(layer).__name__.lower()}_{numbers[layer.name]}"
        return type(layer).from_config(config)

    padded = keras.models.clone_model(inception, clone_function=changed)
    padded.set_weights(inception.get_weights())
    # the first two sizes end where max pooling follows; later ones where blocks are joined
    pools = [layer for layer in padded.layers if isinstance(layer, layers.MaxPooling2D)]
    skips = [pool.input for pool in pools[:2]]
    skips += [padded.get_layer(name).output for name in _JOINS]
    return keras.Model(padded.inputs, [padded.outputs[0], *skips], name="inception_v3")
