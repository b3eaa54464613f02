"""Weights from elsewhere: what is read, and what is refused."""

import hashlib
import socket

import numpy as np
import pytest

from segtrail.errors import ConfigError


@pytest.fixture(scope="module")
def encoder():
    """Keras's own InceptionV3, with random weights."""
    import keras

    keras.utils.set_random_seed(8)
    return keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=(None, None, 3)
    )


def loaded(path, channels=3, sha256=None):
    from model.networks.pretrained import inception_v3

    return inception_v3(channels, str(path), sha256)


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_a_local_file_gives_its_weights(encoder, tmp_path, suffix):
    path = tmp_path / f"encoder{suffix}"
    encoder.save(path) if suffix == ".keras" else encoder.save_weights(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    for mine, theirs in zip(
        loaded(path, sha256=sha256).get_weights(), encoder.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ConfigError, match="expected sha256 0000"):
        loaded(path, sha256="0" * 64)


def test_padding_leaves_the_features_of_the_middle_as_they_were(encoder):
    from model.networks.inception_unet import _padded

    x = np.random.default_rng(0).normal(size=(1, 299, 299, 3)).astype(np.float32)
    padded = _padded(encoder)
    assert [one.shape[1:3] for one in padded(np.zeros((1, 96, 160, 3), np.float32))] == [
        (3, 5), (48, 80), (24, 40), (12, 20), (6, 10),
    ]  # fmt: skip
    for mine, theirs in zip(padded.get_weights(), encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert np.isfinite(padded(x)[0]).all()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("weights.pkl", b"x", "expected none, imagenet or a file .weights.h5, .keras, .h5"),
        ("no.weights.h5", None, "no such file"),
        ("text.weights.h5", b"not hdf5", "not the weights of inception_v3"),
        ("text.keras", b"not a zip", "not the weights of inception_v3"),
        ("text.h5", b"", "not the weights of inception_v3"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(tmp_path, name, content, says):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"network\.weights") as caught:
        loaded(path)
    assert says in str(caught.value)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_the_weights_of_another_model_are_refused(tmp_path):
    import keras

    other = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)])
    path = tmp_path / "other.weights.h5"
    other.save_weights(path)
    with pytest.raises(ConfigError, match="not the weights of inception_v3") as caught:
        loaded(path)
    assert len(str(caught.value)) < 1000  # not a line for each layer


def test_weights_are_for_grey_and_colour_images_only(options_of):
    from model.networks.registry import build

    options = options_of({"name": "inception_unet", "weights": "x.weights.h5"})
    with pytest.raises(ConfigError, match="for images of 1 or 3 channels; these have 2"):
        build(options, 2, 1)


def test_imagenet_without_a_network_says_what_else_can_be_done(tmp_path, monkeypatch):
    from model.networks.pretrained import inception_v3

    def refused(*_, **__):
        raise OSError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    before = socket.getdefaulttimeout()
    with pytest.raises(ConfigError, match="cannot be downloaded") as caught:
        inception_v3(3, "imagenet", None)
    assert "network.weights: PATH.h5" in str(caught.value)
    assert socket.getdefaulttimeout() == before
