"""The U-Net, with plain skips or with ones that the way up has a say in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from model.networks.blocks import Convolutions, drop, to_logits
from segtrail.settings.network import AttentionUnet, Unet

Skip = Callable[[Any, Any, int], Any]


def build(options: Unet, channels: int, outputs: int) -> keras.Model:
    """Returns a U-Net (Ronneberger et al., 2015) for images of any size.

    Two 3x3 convolutions a level, filters doubling from `base_filters`, max pooling down;
    upsampling (nearest neighbour) or transposed convolution, and concatenation up. With
    `stem_stride` 2 the first convolution halves the image and the logits are resized back.

    Args:
        options: See there.
        channels: Of the input.
        outputs: Logit planes.

    Returns:
        A `keras.Model` from float32 `[N, H, W, channels]`, H and W multiples of `down_scale`,
        to float32 logits `[N, H, W, outputs]`.
    """
    inputs, x = body(options, channels, lambda _, skip, __: skip)
    if options.last_block_filters:
        x = _kind(options).unit(x, options.last_block_filters, 3, "last", "")
    return keras.Model(inputs, to_logits(x, outputs, options.stem_stride, "logits"), name="unet")


def body(options: Unet | AttentionUnet, channels: int, skipped: Skip) -> tuple[Any, Any]:
    """Returns the input, and the features of the last block.

    Args:
        options: See there.
        channels: Of the input.
        skipped: From the features from below, those of the way down at the same size, and the
            level, to what of the latter is concatenated.
    """
    kind, within = _kind(options), options.dropout_place == "within"

    def block(x: Any, level: int, name: str, down: bool, stride: int = 1) -> Any:
        rate = options.dropout_at(level)
        filters = options.base_filters << level
        x = kind.block(x, filters, name, stride, dropout=rate if within else 0)
        return x if within or not down else drop(x, rate, f"{name}_dropout")

    inputs = keras.Input((None, None, channels), name="normalised")
    x, skips = inputs, []
    for level in range(options.depth):
        x = block(x, level, f"down{level}", True, 1 if level else options.stem_stride)
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool{level}")(x)
    x = block(x, options.depth, "bottom", True)
    for level in reversed(range(options.depth)):
        x = _enlarged(x, options, kind, level)
        x = layers.Concatenate(name=f"up{level}_join")([x, skipped(x, skips[level], level)])
        x = block(x, level, f"up{level}", False)
    return inputs, x


def _kind(options: Unet | AttentionUnet) -> Convolutions:
    return Convolutions(options.batch_norm, options.has_bias, options.activation)


def _enlarged(x: Any, options: Unet | AttentionUnet, kind: Convolutions, level: int) -> Any:
    name, filters = f"up{level}_resize", options.base_filters << level
    if options.decoder == "transposed":
        return kind.transpose(x, filters, options.up_kernel or 2, name)
    x = layers.UpSampling2D(name=name)(x)
    return kind.unit(x, filters, options.up_kernel, name, "") if options.up_kernel else x
