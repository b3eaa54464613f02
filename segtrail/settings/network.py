"""`recipes.<name>.network` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from segtrail.settings.base import Strict


class Network(Strict):
    """A compact U-Net."""

    name: Literal["unet"] = "unet"
    base_filters: Annotated[int, Field(ge=2, le=128)] = 16
    depth: Annotated[int, Field(ge=1, le=6)] = 4
    stem_stride: Literal[1, 2] = 1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
