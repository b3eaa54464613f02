"""Networks as published, by name: `network: {preset: <name>}` in `params.yaml`.

Each has the architecture of its source to the last parameter (`tests/model/networks` counts
them), but the batch normalisation's momentum, and gives logits. Options beside `preset` win.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from segtrail.words import near


@dataclass(frozen=True)
class Published:
    """One architecture.

    Args:
        options: Of `segtrail.settings.network.Network`.
        channels: Of its input, for which the parameters are counted.
        outputs: Planes.
        parameters: As published; those that are trained if `trainable`.
        source: Where it is from.
        trainable: Whether the published count leaves out the moving averages.
    """

    options: Mapping[str, Any]
    channels: int
    outputs: int
    parameters: int
    source: str
    trainable: bool = False


_64 = MappingProxyType({"name": "unet", "base_filters": 64, "up_kernel": 3, "bias": True})

PUBLISHED: Mapping[str, Published] = MappingProxyType({
    "nuclei-starter": Published(
        {
            "name": "unet", "base_filters": 16, "batch_norm": False, "activation": "elu",
            "decoder": "transposed", "dropout_place": "within",
            "dropout": [0.1, 0.1, 0.2, 0.2, 0.3],
        },
        channels=3, outputs=1, parameters=1_941_105,
        source="Keras U-Net starter, Kaggle Data Science Bowl 2018",
    ),
    "unet-64": Published(
        {**_64}, channels=3, outputs=2, parameters=34_527_106, trainable=True,
        source="64-filter U-Net with batch normalisation and upsampled decoder, optic disc and cup",
    ),
    "unet-64-two-filters": Published(
        {
            **_64, "batch_norm": False, "up_kernel": 2, "last_block_filters": 2,
            "dropout": [0.0, 0.0, 0.0, 0.5, 0.5],
        },
        channels=1, outputs=1, parameters=31_031_685,
        source="github.com/zhixuhao/unet, ISBI 2012",
    ),
    "attention-unet-64": Published(
        {**_64, "name": "attention_unet"},
        channels=3, outputs=1, parameters=34_878_573, trainable=True,
        source="github.com/LeeJunHyun/Image_Segmentation, after Oktay et al. (2018)",
    ),
    "unet-plus-plus-32": Published(
        {"name": "unet_plus_plus", "base_filters": 32, "bias": True, "deep_supervision": False},
        channels=3, outputs=1, parameters=9_163_329, trainable=True,
        source="github.com/4uiiurz1/pytorch-nested-unet, after Zhou et al. (2018)",
    ),
    "inception-unet": Published(
        {"name": "inception_unet"},
        channels=3, outputs=1, parameters=29_933_105,
        source="github.com/qubvel/segmentation_models, Unet('inceptionv3')",
    ),
})  # fmt: skip


def expand_preset(given: Any) -> Any:
    """Returns the options of a network section with those of its `preset`, if it names one.

    Raises:
        ValueError: No such preset, or an option beside it that does not go with it.
    """
    if not isinstance(given, dict) or "preset" not in given:
        return given
    rest = {key: value for key, value in given.items() if key != "preset"}
    preset = given["preset"]
    if not isinstance(preset, str) or preset not in PUBLISHED:
        raise ValueError(
            f"no preset {preset!r}; there are {', '.join(sorted(PUBLISHED))}."
            + near(str(preset), PUBLISHED)
        )
    options = PUBLISHED[preset].options
    network = options["name"]
    if rest.get("name", network) != network:
        article = "an" if network.startswith(("a", "i")) else "a"
        raise ValueError(f"preset {preset} is {article} {network}: leave out name")
    rates, depth = options.get("dropout"), rest.get("depth")
    theirs = len(rates) - 1 if isinstance(rates, list) and "dropout" not in rest else depth
    if isinstance(depth, int) and depth != theirs:
        raise ValueError(
            f"preset {preset} has dropout rates for depth: {theirs}; with depth: {depth} write "
            f"dropout too, one rate or {depth + 1}"
        )
    return {**options, **rest}
