"""`recipes.<name>.preprocessing` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from segtrail.settings.base import Strict


class Preprocessing(Strict):
    """What the transform graph and the tiling do; read by the transform stage.

    Lengths are in pixels of the image that the network sees, `scale` times smaller.
    """

    colour: Literal["grey", "rgb"] = "grey"
    invert_bright: bool = Field(
        default=True, description="bright images become dark ones; by default not with rgb"
    )
    normalisation: Literal["image", "dataset"] = "image"
    scale: Literal[1, 2, 4] = Field(
        default=1, description="blocks of so many pixels a side are averaged before anything else"
    )
    tile: Annotated[int, Field(ge=32, le=1024, multiple_of=16)] = 192
    stride: Annotated[int, Field(ge=16, le=1024)] = 160
    border_width: Annotated[int, Field(ge=1, le=15)] = 2

    @model_validator(mode="before")
    @classmethod
    def _colours_stay(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("colour") == "rgb":
            return {"invert_bright": False} | given
        return given

    @model_validator(mode="after")
    def _tiles_cover(self) -> Preprocessing:
        if self.stride > self.tile:
            raise ValueError(
                f"stride ({self.stride}) must not be above tile ({self.tile}): "
                "pixels between the tiles would never be seen"
            )
        return self
