"""`recipes.<name>.preprocessing` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, model_validator

from segtrail.settings.base import Strict

_STRIDES = range(16, 1025)


def _stride(given: object) -> int | list[int]:
    """Reads `160` or `[160, 80]`; of a union pydantic would tell the errors of both."""
    if type(given) is int and given in _STRIDES:
        return given
    if isinstance(given, list) and len(given) == 2:
        both = [each for each in given if type(each) is int and each in _STRIDES]
        if len(both) == 2:
            return both
    raise ValueError(
        f"got {given!r}; expected an integer from {_STRIDES[0]} to {_STRIDES[-1]}, "
        "or two of them, [down, across]"
    )


SixteenBit = Literal["used-bits", "full-range", "percentiles"]
Side = Annotated[int, Field(ge=32, le=2048)]
Stride = Annotated[int | list[int], PlainValidator(_stride, json_schema_input_type=int | list[int])]


class Preprocessing(Strict):
    """What the transform graph and the tiling do; read by the transform stage.

    Lengths are in pixels of the image that the network sees, `scale` times smaller or of the
    size `resize`.
    """

    colour: Literal["grey", "rgb"] = Field(
        default="grey", description="what the network sees: one channel or three"
    )
    sixteen_bit: SixteenBit = Field(
        default="used-bits",
        description="which levels of a 16-bit image become 0 to 255: those up to its highest "
        "bit in use, all 65536, or those between its 0.1 and 99.9 percentiles",
    )
    invert_bright: bool = Field(
        default=True, description="bright images become dark ones; by default not with rgb"
    )
    intensity: Literal["linear", "sqrt"] = Field(
        default="linear",
        description="sqrt: square roots of the grey levels, so that what is faint beside "
        "something bright is seen",
    )
    normalisation: Literal["image", "dataset"] = Field(
        default="image",
        description="whose mean and standard deviation: each image's, or the training images'",
    )
    scale: Literal[1, 2, 4] = Field(
        default=1, description="blocks of so many pixels a side are averaged before anything else"
    )
    resize: Annotated[list[Side], Field(min_length=2, max_length=2)] | None = Field(
        default=None,
        description="[height, width] that every image gets before anything else, instead of "
        "scale; a mask is answered at the image's own size",
    )
    tile: Annotated[int, Field(ge=32, le=1024, multiple_of=16)] = Field(
        default=192,
        description="side of the squares that images are cut into; a multiple of the network's "
        "down-scaling",
    )
    stride: Stride = Field(
        default=160,
        description=f"from tile to tile, or [down, across]; {_STRIDES[0]} to {_STRIDES[-1]}, and "
        "not above tile",
    )
    border_width: Annotated[int, Field(ge=1, le=15)] = Field(
        default=2,
        description="a border pixel has two objects within so many pixels; masks: instances",
    )
    strata: Literal["slice", "size"] = Field(
        default="slice",
        description="among what training.oversample evens out: the slices, or within them the "
        "sizes of the images, which tell one microscope from another",
    )

    @property
    def strides(self) -> tuple[int, int]:
        """Pixels from one tile to the next, down and across."""
        if isinstance(self.stride, int):
            return self.stride, self.stride
        down, across = self.stride
        return down, across

    @model_validator(mode="before")
    @classmethod
    def _colours_stay(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("colour") == "rgb":
            return {"invert_bright": False} | given
        return given

    @model_validator(mode="after")
    def _tiles_cover(self) -> Preprocessing:
        if max(self.strides) > self.tile:
            raise ValueError(
                f"stride ({self.stride}) must not be above tile ({self.tile}): "
                "pixels between the tiles would never be seen"
            )
        return self

    @model_validator(mode="after")
    def _one_size(self) -> Preprocessing:
        if self.resize is None:
            return self
        if self.scale != 1:
            raise ValueError(
                f"resize ({self.resize}) and scale ({self.scale}) both say how large the "
                "network's image is: give one of them"
            )
        if self.tile > min(self.resize):
            raise ValueError(
                f"tile ({self.tile}) must not be above a side of resize ({self.resize}), out of "
                "which the tiles are cut"
            )
        return self
