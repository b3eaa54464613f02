"""What the networks are made of."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

BATCH_NORM_MOMENTUM = 0.9  # with Keras's 0.99 the averages lag far behind in short trainings
FLOAT = "float32"  # of what is not to lose digits where training is in mixed precision


@keras.saving.register_keras_serializable("segtrail")
class Enlarge(layers.Layer):
    """From float32 `[N, H, W, C]` to `[N, factor * H, factor * W, C]`, bilinear.

    Keras's own `UpSampling2D` cannot do that in a graph for images of any size.
    """

    def __init__(self, factor: int, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the result; sides may be unknown."""
        n, height, width, channels = input_shape
        sides = [side and side * self.factor for side in (height, width)]
        return (n, *sides, channels)

    def compute_output_spec(self, x: Any) -> Any:
        """Returns what `call` gives, which is not run for it: it needs to know the sides."""
        return keras.KerasTensor(self.compute_output_shape(x.shape), x.dtype)

    def call(self, x: Any) -> Any:
        """Returns the larger images."""
        sides = [side * self.factor for side in ops.shape(x)[1:3]]
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            # Keras's own compares the sides with 0, which a graph that learns them later refuses
            return tf.image.resize(x, sides, "bilinear")
        return ops.image.resize(x, sides, "bilinear")

    def get_config(self) -> dict[str, Any]:
        """Returns what the layer is made from."""
        return super().get_config() | {"factor": self.factor}


class Convolutions:
    """Makes convolution, normalisation and activation of one kind.

    Args:
        batch_norm: Whether there is normalisation.
        bias: Whether convolutions have one.
        activation: `relu` or `elu`.
    """

    def __init__(self, batch_norm: bool, bias: bool, activation: str) -> None:
        self.batch_norm = batch_norm
        self.bias = bias
        self.activation = activation

    def convolve(self, x: Any, filters: int, kernel: int, name: str, stride: int = 1) -> Any:
        """Returns a convolution of `x`, padded."""
        return layers.Conv2D(
            filters, kernel, strides=stride, padding="same", use_bias=self.bias,
            kernel_initializer="he_normal", name=name,
        )(x)  # fmt: skip

    def normalise(self, x: Any, name: str) -> Any:
        """Returns `x` normalised, if there is normalisation."""
        if not self.batch_norm:
            return x
        return layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=name)(x)

    def activate(self, x: Any, name: str) -> Any:
        """Returns the activation of `x`."""
        return layers.Activation(self.activation, name=name)(x)

    def unit(self, x: Any, filters: int, kernel: int, name: str, part: str, stride: int = 1) -> Any:
        """Returns convolution, normalisation and activation; layers are `<name>_conv<part>` …"""
        x = self.convolve(x, filters, kernel, f"{name}_conv{part}", stride)
        return self.activate(self.normalise(x, f"{name}_norm{part}"), f"{name}_{part}")

    def block(self, x: Any, filters: int, name: str, stride: int = 1, dropout: float = 0) -> Any:
        """Returns two units of 3x3, between them dropout."""
        x = self.unit(x, filters, 3, name, "1", stride)
        x = drop(x, dropout, f"{name}_dropout")
        return self.unit(x, filters, 3, name, "2")

    def transpose(self, x: Any, filters: int, kernel: int, name: str) -> Any:
        """Returns `x` at twice its size by a transposed convolution, without activation."""
        return layers.Conv2DTranspose(
            filters, kernel, strides=2, padding="same", use_bias=self.bias, name=name
        )(x)


def drop(x: Any, rate: float, name: str) -> Any:
    """Returns `x` after dropout, if there is any."""
    return layers.Dropout(rate, name=name)(x) if rate else x


def to_logits(x: Any, outputs: int, stride: int, name: str, kernel: int = 1) -> Any:
    """Returns float32 logits at the size of the image, of which `x` is a `stride`-th."""
    x = layers.Conv2D(outputs, kernel, padding="same", dtype=FLOAT, name=name)(x)
    return Enlarge(stride, dtype=FLOAT, name=f"{name}_full")(x) if stride > 1 else x
