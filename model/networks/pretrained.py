"""Weights that another training made: from a local file, or Keras's ImageNet ones."""

from __future__ import annotations

import socket
from pathlib import Path
from textwrap import shorten

import keras

from segtrail.errors import ConfigError
from segtrail.files import sha256_file

SUFFIXES = (".weights.h5", ".keras", ".h5")  # arrays alone are read of each; nothing is unpickled
_SILENCE = 30.0  # seconds without a byte, after which the network counts as not there


def inception_v3(channels: int, weights: str, sha256: str | None) -> keras.Model:
    """Returns Keras's InceptionV3 without its classifier.

    Args:
        channels: Of its input; 3 with weights.
        weights: `none`, `imagenet`, or a file with the weights of just this model, such as
            `keras.applications.InceptionV3(include_top=False).save_weights` writes.
        sha256: Of that file, if it is to be checked.

    Raises:
        ConfigError: The weights cannot be had or do not fit.
    """
    if weights != "none" and channels != 3:
        raise ConfigError(
            f"network.weights ({weights}) are for images of 1 or 3 channels; these have {channels}"
        )
    if weights == "imagenet":
        return _imagenet()
    network = keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=(None, None, channels)
    )
    if weights != "none":
        _load(network, Path(weights), sha256)
    return network


def _load(network: keras.Model, path: Path, sha256: str | None) -> None:
    field = f"network.weights: {path}"
    if not path.name.endswith(SUFFIXES):
        raise ConfigError(f"{field}: expected none, imagenet or a file {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise ConfigError(f"{field}: no such file", f"put it there; now looked for in {Path.cwd()}")
    found = sha256_file(path)
    if sha256 and found != sha256:
        raise ConfigError(f"{field}: expected sha256 {sha256}, found {found}")
    try:
        network.load_weights(path)
    # whatever h5py and Keras say of a damaged file or of another model's
    except Exception as e:
        raise ConfigError(
            f"{field}: not the weights of {network.name} without its classifier: {_first(e)}"
        ) from None


def _first(error: Exception) -> str:
    """Returns what an error says first: Keras goes on to list every layer of the network."""
    said = str(error).strip() or type(error).__name__
    return shorten(said.splitlines()[0], 300, placeholder=" …")


def _imagenet() -> keras.Model:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE)
    try:
        return keras.applications.InceptionV3(
            include_top=False, weights="imagenet", input_shape=(None, None, 3)
        )
    # Keras raises a bare Exception when it cannot download
    except Exception as e:
        raise ConfigError(
            f"network.weights: imagenet: cannot be downloaded: {e}",
            "fetch the file elsewhere and name it: network.weights: PATH.h5; or use weights: none",
        ) from None
    finally:
        socket.setdefaulttimeout(before)
