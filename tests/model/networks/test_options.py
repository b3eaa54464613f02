"""The `network` section: one clear error whatever is wrong with it."""

from pathlib import Path

import pytest
import yaml

from segtrail.errors import ConfigError
from segtrail.params import dump, load_params
from segtrail.settings.published import PUBLISHED

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def read(tmp_path):
    """Reads a `params.yaml` whose demo recipe has another network."""

    def run(network):
        raw = yaml.safe_load((ROOT / "params.yaml").read_text())
        raw["recipes"]["demo"]["network"] = network
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(raw))
        return load_params(path).recipes["demo"].network

    return run


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ({"name": "unett"}, "network.name: got 'unett'; expected one of unet, residual_unet"),
        ({"name": "atention_unet"}, "Did you mean 'attention_unet'?"),
        ({"name": 3}, "network.name: got 3; expected one of unet"),
        ({"name": None}, "network.name: got None; expected one of unet"),
        ({"depht": 3}, "network.depht: unknown key; allowed here: activation, base_filters"),
        ({"depht": 3}, "Did you mean 'depth'?"),
        ("unet", "network: got 'unet'; expected keys and values"),
        (None, "network: got None; expected keys and values"),
        (["unet"], "network: got ['unet']; expected keys and values"),
        (
            {"name": "inception_unet", "depth": 3},
            "network.depth: unknown key; allowed here: base_filters, name, weights",
        ),
        (
            {"name": "residual_unet", "decoder": "upsampled"},
            "'decoder' is an option of unet, attention_unet, unet_plus_plus.",
        ),
        ({"deep_supervision": True}, "'deep_supervision' is an option of unet_plus_plus."),
        ({"dropout": "x"}, "network.dropout: got 'x'; input should be a valid number"),
        ({"dropout": [0.1, 2, 0, 0, 0]}, "network.dropout.1: got 2; input should be less than 1"),
        ({"dropout": [0.1]}, "dropout has 1 rates; expected 5"),
        ({"activation": "rely"}, "got 'rely'; input should be 'relu' or 'elu' Did you mean 'relu'"),
        ({"up_kernel": 5}, "network.up_kernel: got 5; input should be 2 or 3"),
        ({"preset": "unet-46"}, "no preset 'unet-46'; there are attention-unet-64"),
        ({"preset": "unet-46"}, "Did you mean 'unet-64'?"),
        ({"preset": ["unet-64"]}, "no preset ['unet-64']"),
        ({"depth": 6}, "training.crop (96) must be a multiple of 64, the down-scaling of the"),
        (
            {"name": "inception_unet", "weights": "imagenet", "weights_sha256": "0" * 64},
            "weights_sha256 is of a local file, but weights is 'imagenet'",
        ),
        ({"name": "inception_unet", "weights_sha256": "0"}, "network.weights_sha256: got '0'"),
    ],
)
def test_what_is_wrong_is_said_once(read, network, says):
    with pytest.raises(ConfigError) as caught:
        read(network)
    message = str(caught.value)
    assert says in message
    assert "[" not in message.split("network", 1)[1].split(":")[0]
    assert len(message.splitlines()) == 2  # the file, and one problem


def test_a_section_without_a_name_is_a_unet(read):
    assert read({"base_filters": 8, "depth": 3}).name == "unet"
    assert read({}).name == "unet"


@pytest.mark.parametrize("preset", PUBLISHED)
def test_a_preset_stands_for_its_options_and_others_win(read, preset):
    options = read({"preset": preset})
    assert dump(options).items() >= PUBLISHED[preset].options.items()
    assert "preset" not in dump(options)
    assert read(dump(options)) == options
    smaller = read({"preset": preset, "base_filters": 4})
    assert dump(smaller) == dump(options) | {"base_filters": 4}


def test_dropout_of_one_rate_is_of_the_deepest_level(read):
    one = read({"depth": 2, "dropout": 0.5})
    assert [one.dropout_at(level) for level in range(3)] == [0, 0, 0.5]
    each = read({"depth": 2, "dropout": [0.1, 0, 0.2]})
    assert [each.dropout_at(level) for level in range(3)] == [0.1, 0, 0.2]
