"""Tiny networks of every kind."""

import numpy as np
import pytest
from pydantic import TypeAdapter

from segtrail.settings.network import Network

TINY = {"base_filters": 4, "depth": 2}
KINDS = {
    "unet": TINY,
    "unet-bare": {
        **TINY, "batch_norm": False, "activation": "elu", "decoder": "transposed",
        "dropout": [0.1, 0.1, 0.2], "dropout_place": "within", "last_block_filters": 2,
    },
    "unet-stem": {**TINY, "stem_stride": 2, "up_kernel": 3, "bias": True, "dropout": 0.2},
    "residual_unet": {**TINY, "name": "residual_unet", "dropout": [0.1, 0.0, 0.2]},
    "residual_unet-stem": {**TINY, "name": "residual_unet", "stem_stride": 2, "batch_norm": False},
    "attention_unet": {**TINY, "name": "attention_unet", "up_kernel": 3},
    "attention_unet-stem": {**TINY, "name": "attention_unet", "stem_stride": 2},
    "unet_plus_plus": {**TINY, "name": "unet_plus_plus"},
    "unet_plus_plus-stem": {**TINY, "name": "unet_plus_plus", "stem_stride": 2},
    "unet_plus_plus-one-head": {
        **TINY, "name": "unet_plus_plus", "deep_supervision": False, "decoder": "transposed",
    },
    "inception_unet": {"name": "inception_unet", "base_filters": 2},
}  # fmt: skip


@pytest.fixture(scope="session")
def options_of():
    """Reads a network section."""
    return TypeAdapter(Network).validate_python


def _params(names):
    slow = {"inception_unet"}  # 312 layers
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in names]


@pytest.fixture(params=_params(KINDS))
def options(request, options_of):
    """Options of each kind in turn."""
    return options_of(KINDS[request.param])


@pytest.fixture(params=_params(dict.fromkeys(kind.split("-")[0] for kind in KINDS)))
def one_a_name(request, options_of):
    """Options of each network in turn."""
    return options_of(KINDS[request.param])


@pytest.fixture
def blobs():
    """Noisy images with a bright square each, and where it is."""
    generator = np.random.default_rng(3)
    images = generator.normal(0, 0.3, (4, 32, 32, 1)).astype(np.float32)
    masks = np.zeros((4, 32, 32, 1), np.float32)
    for number, (row, column) in enumerate(generator.integers(2, 14, (4, 2))):
        masks[number, row : row + 14, column : column + 14] = 1
    return images + 2 * masks, masks
