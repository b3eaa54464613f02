"""`datasets.<name>` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from segtrail.settings.base import ALL, EACH, Fraction, Name, Seed, Strict
from segtrail.settings.operations import Inbox

MaskKind = Literal["instances", "classes", "multilabel"]


class Splits(Strict):
    """How the images of a delivery are dealt to the splits, within each cluster."""

    validation: Fraction = Field(default=0.1, description="part of the images")
    test: Fraction = Field(default=0.1, description="part of the images")
    seed: Seed = Field(default=1, description="decides among images that could change places")

    @model_validator(mode="after")
    def _leaves_training(self) -> Splits:
        if self.validation + self.test >= 0.9:
            raise ValueError("validation + test must leave at least 0.1 for training")
        return self


class Limits(Strict):
    """What one delivery may hold at most; more is refused before it is unpacked or decoded."""

    files: Annotated[int, Field(ge=1)] = Field(default=1_000_000, description="how many")
    file_mib: Annotated[int, Field(ge=1)] = Field(default=1024, description="of one file, unpacked")
    total_gib: Annotated[int, Field(ge=1)] = Field(
        default=64, description="of all files together, unpacked"
    )
    ratio: Annotated[int, Field(ge=1)] = Field(
        default=100, description="unpacked : packed, of files above 1 MiB"
    )
    megapixels: Annotated[int, Field(ge=1, le=67)] = Field(default=67, description="an image's")


class Dataset(Strict):
    """A body of images and masks under `data/<name>`."""

    adapter: Name = Field(description="how deliveries are laid out: see `segtrail ingest --help`")
    licence: str | None = Field(default=None, description="if not the publisher's")
    masks: MaskKind = Field(
        description="what a mask's values are: instance ids; class indices, 1 for the first of "
        "`classes`; or one bit a class, bit 0 for the first",
    )
    classes: list[Name] = Field(min_length=1, max_length=8, description="the foreground classes")
    splits: Splits
    slices: dict[str, Name] = Field(
        description="what people call each kind of image in the split ledger: what the adapter "
        "says, or else the modality (dark-grey, bright-grey, bright-colour, dark-colour)",
    )
    limits: Limits = Limits()
    inbox: Inbox | None = Field(default=None, description="where deliveries arrive by themselves")

    @field_validator("classes")
    @classmethod
    def _each_once(cls, classes: list[str]) -> list[str]:
        if len(set(classes)) < len(classes):
            raise ValueError(f"each class once; got {', '.join(classes)}")
        return classes

    @field_validator("slices")
    @classmethod
    def _two_are_taken(cls, slices: dict[str, str]) -> dict[str, str]:
        for name, stands_for in {ALL: "every image", EACH: "every slice by itself"}.items():
            if name in slices.values():
                raise ValueError(f"{name!r} stands for {stands_for}; call the slice something else")
        return slices

    @model_validator(mode="after")
    def _one_class_of_instances(self) -> Dataset:
        if self.masks == "instances" and len(self.classes) > 1:
            raise ValueError("masks: instances have one class; found " + ", ".join(self.classes))
        return self
