"""The architectures are the published ones, to the last parameter."""

import numpy as np
import pytest
from pydantic import TypeAdapter

from segtrail.settings.network import Network
from segtrail.settings.published import PUBLISHED


def build(given, channels, outputs):
    from model.networks.registry import build

    return build(TypeAdapter(Network).validate_python(given), channels, outputs)


def trained(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


@pytest.mark.parametrize("preset", PUBLISHED)
def test_a_preset_has_the_published_number_of_parameters(preset):
    published = PUBLISHED[preset]
    network = build({"preset": preset}, published.channels, published.outputs)
    found = trained(network) if published.trainable else network.count_params()
    assert found == published.parameters


@pytest.mark.parametrize(
    ("given", "channels", "outputs", "parameters"),
    [
        # the recipes' own, as they were when networks had no name
        ({"base_filters": 16, "depth": 4}, 1, 2, 1_966_770),
        ({"base_filters": 16, "depth": 4}, 3, 2, 1_967_058),
        # github.com/venkat8900/Unet_Image_Cell_Segmentation: 32 filters, transposed
        (
            {"base_filters": 32, "batch_norm": False, "decoder": "transposed"},
            3, 1, 7_760_097,
        ),
    ],
)  # fmt: skip
def test_options_give_other_known_counts(given, channels, outputs, parameters):
    assert build(given, channels, outputs).count_params() == parameters


def test_the_residual_unet_is_of_the_published_size():
    # Zhang et al. (2018) give 7.8 million for 64 to 512 filters, which leaves no room for the
    # 1x1 convolutions past the units that their figure has
    network = build({"name": "residual_unet", "base_filters": 64, "depth": 3}, 3, 1)
    past = [w for w in network.trainable_weights if "_past" in w.path]
    assert len(past) == 3 * 7
    assert round((trained(network) - sum(int(np.prod(w.shape)) for w in past)) / 1e6, 1) == 7.8


def test_grey_images_are_given_three_times_where_the_weights_are_for_three_channels(tmp_path):
    import keras

    path = tmp_path / "encoder.weights.h5"
    encoder = keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=(None, None, 3)
    )
    encoder.save_weights(path)
    network = build({"name": "inception_unet", "weights": str(path)}, 1, 1)
    assert network.input_shape == (None, None, None, 1)
    assert network.count_params() == PUBLISHED["inception-unet"].parameters
    loaded = network.get_layer("inception_v3").get_weights()
    for mine, theirs in zip(loaded, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
