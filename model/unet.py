"""A compact U-Net."""

from __future__ import annotations

from typing import Any

from segtrail.settings.network import Network

BATCH_NORM_MOMENTUM = 0.9  # with Keras's 0.99 the averages lag far behind in short trainings


def build_unet(options: Network, channels: int, outputs: int) -> Any:
    """Returns a U-Net (Ronneberger et al., 2015) for images of any size.

    Two 3x3 convolutions with batch normalisation and ReLU a level, filters doubling from
    `base_filters`, max pooling down, nearest-neighbour upsampling and concatenation up. With
    `stem_stride` 2 the first convolution halves the image and the logits are resized back.

    Args:
        options: Filters, depth, stem, dropout (at the bottom level).
        channels: Of the input.
        outputs: Logit planes.

    Returns:
        A `keras.Model` from float32 `[N, H, W, channels]`, H and W multiples of `down_scale`,
        to float32 logits `[N, H, W, outputs]`.
    """
    import keras
    from keras import layers

    def block(x: Any, filters: int, name: str, stride: int = 1) -> Any:
        for number in (1, 2):
            x = layers.Conv2D(
                filters, 3, strides=stride if number == 1 else 1, padding="same",
                use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv{number}",
            )(x)  # fmt: skip
            x = layers.BatchNormalization(
                momentum=BATCH_NORM_MOMENTUM, name=f"{name}_norm{number}"
            )(x)
            x = layers.ReLU(name=f"{name}_relu{number}")(x)
        return x

    inputs = keras.Input((None, None, channels), name="normalised")
    x, skips = inputs, []
    for level in range(options.depth):
        stride = options.stem_stride if level == 0 else 1
        x = block(x, options.base_filters << level, f"down{level}", stride)
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool{level}")(x)
    x = block(x, options.base_filters << options.depth, "bottom")
    if options.dropout:
        x = layers.Dropout(options.dropout, name="dropout")(x)
    for level in reversed(range(options.depth)):
        x = layers.UpSampling2D(name=f"up{level}_resize")(x)
        x = layers.Concatenate(name=f"up{level}_join")([x, skips[level]])
        x = block(x, options.base_filters << level, f"up{level}")
    x = layers.Conv2D(outputs, 1, name="logits")(x)
    if options.stem_stride > 1:
        x = _enlarge(options.stem_stride, name="full")(x)
    return keras.Model(inputs, x, name="unet")


def down_scale(options: Network) -> int:
    """Returns what the sides of an input must be a multiple of."""
    return options.stem_stride * 2**options.depth


def _enlarge(factor: int, name: str) -> Any:
    """Returns a layer that makes images larger, bilinear.

    Keras's own `UpSampling2D` cannot do that in a graph for images of any size.
    """
    import tensorflow as tf
    from keras import layers

    class Enlarge(layers.Layer):
        """From float32 `[N, H, W, C]` to `[N, factor * H, factor * W, C]`."""

        def call(self, x: Any) -> Any:
            return tf.image.resize(x, tf.shape(x)[1:3] * factor, "bilinear")

    return Enlarge(name=name)
