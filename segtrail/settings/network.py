"""`recipes.<name>.network` of `params.yaml`: one class a network, with the options that it has."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from segtrail.settings.base import Strict
from segtrail.settings.published import expand_preset

Rate = Annotated[float, Field(ge=0, lt=1)]
# a tag in brackets is no part of a key: see `segtrail.params_errors`
Dropout = Annotated[
    Annotated[Rate, Tag("[number]")] | Annotated[list[Rate], Tag("[list]")],
    Discriminator(lambda given: "[list]" if isinstance(given, list) else "[number]"),
]
WholeMegapixels = Annotated[
    float,
    Field(
        ge=0.02,
        le=64,
        description="images up to so many million pixels, at the size that the network sees, are "
        "segmented whole; larger ones in overlapping tiles of that area, blended",
    ),
]
DEFAULT = "unet"


class _Levels(Strict):
    """What the networks have that double their filters at each of `depth` halvings."""

    base_filters: Annotated[int, Field(ge=2, le=128)] = 16
    depth: Annotated[int, Field(ge=1, le=6)] = 4
    stem_stride: Literal[1, 2] = Field(
        default=1, description="2: the first convolution halves the image, a third of the work"
    )
    batch_norm: bool = True
    activation: Literal["relu", "elu"] = "relu"
    dropout: Dropout = Field(
        default=0.0, description="of the deepest level, or a list: of each, the finest first"
    )
    whole_megapixels: WholeMegapixels = 2.0

    @model_validator(mode="after")
    def _one_rate_a_level(self) -> _Levels:
        if isinstance(self.dropout, list) and len(self.dropout) != self.depth + 1:
            raise ValueError(
                f"dropout has {len(self.dropout)} rates; expected {self.depth + 1}: one for each "
                f"of the depth ({self.depth}) levels and one for the deepest"
            )
        return self

    @model_validator(mode="after")
    def _tiles_overlap(self) -> _Levels:
        least = (2 * (self.down_scale + max(self.down_scale, 16))) ** 2 / 1e6
        if self.whole_megapixels < least:
            raise ValueError(
                f"whole_megapixels ({self.whole_megapixels}) makes tiles too small for a network "
                f"whose input comes in steps of {self.down_scale} pixels; expected at least "
                f"{math.ceil(least * 100) / 100}"
            )
        return self

    @property
    def down_scale(self) -> int:
        """What the sides of an input must be a multiple of."""
        return self.stem_stride * 2**self.depth

    def dropout_at(self, level: int) -> float:
        """Returns the rate at a level, from 0 to `depth`."""
        if isinstance(self.dropout, list):
            return self.dropout[level]
        return self.dropout if level == self.depth else 0.0


class _Plain(_Levels):
    """What the networks have whose blocks are plain convolutions."""

    bias: bool | None = Field(
        default=None, description="of the convolutions; by default where nothing is normalised"
    )
    decoder: Literal["upsampled", "transposed"] = "upsampled"

    @property
    def has_bias(self) -> bool:
        """Whether convolutions have a bias."""
        return not self.batch_norm if self.bias is None else self.bias


class _Up(_Plain):
    up_kernel: Literal[2, 3] | None = Field(
        default=None,
        description="of the convolution that halves the filters on the way up; by default there "
        "is none after upsampling, and the transposed one has 2",
    )
    dropout_place: Literal["after", "within"] = Field(
        default="after",
        description="after: the blocks of the way down; within: between the two convolutions of "
        "every block",
    )


class Unet(_Up):
    """The U-Net of Ronneberger et al. (2015), with padded convolutions."""

    name: Literal["unet"] = "unet"
    last_block_filters: Annotated[int, Field(ge=1, le=128)] | None = Field(
        default=None, description="of one more 3x3 convolution before the logits"
    )


class ResidualUnet(_Levels):
    """The residual U-Net of Zhang et al. (2018)."""

    name: Literal["residual_unet"]


class AttentionUnet(_Up):
    """The attention U-Net of Oktay et al. (2018)."""

    name: Literal["attention_unet"]


class UnetPlusPlus(_Plain):
    """U-Net++ of Zhou et al. (2018)."""

    name: Literal["unet_plus_plus"]
    deep_supervision: bool = Field(default=True, description="one head for each depth")


class InceptionUnet(Strict):
    """A U-Net whose way down is InceptionV3 (Szegedy et al., 2016)."""

    name: Literal["inception_unet"]
    base_filters: Annotated[int, Field(ge=2, le=128)] = Field(
        default=16, description="of the finest of the five levels on the way up"
    )
    weights: Annotated[str, Field(min_length=1)] = Field(
        default="none",
        description="of the encoder: none, imagenet (a download), or a file .weights.h5, .keras "
        "or .h5, as seen from the folder that segtrail runs in",
    )
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="of that file; without it another file is another model unseen"
    )
    whole_megapixels: WholeMegapixels = 2.0

    @model_validator(mode="after")
    def _digest_of_a_file(self) -> InceptionUnet:
        if self.weights_sha256 and self.weights in ("none", "imagenet"):
            raise ValueError(
                f"weights_sha256 is of a local file, but weights is {self.weights!r}; "
                "expected a path"
            )
        return self

    @property
    def down_scale(self) -> int:
        """What the sides of an input must be a multiple of."""
        return 32


def _name_of(given: Any) -> str | None:
    if isinstance(given, dict):
        return f"[{given.get('name', DEFAULT)}]"
    name = getattr(given, "name", None)
    return None if name is None else f"[{name}]"


Network = Annotated[
    Annotated[Unet, Tag("[unet]")]
    | Annotated[ResidualUnet, Tag("[residual_unet]")]
    | Annotated[AttentionUnet, Tag("[attention_unet]")]
    | Annotated[UnetPlusPlus, Tag("[unet_plus_plus]")]
    | Annotated[InceptionUnet, Tag("[inception_unet]")],
    Discriminator(_name_of),
    BeforeValidator(expand_preset),
]
