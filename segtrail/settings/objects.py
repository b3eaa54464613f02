"""`recipes.<name>.objects` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from segtrail.settings.base import Fraction, Strict


class Objects(Strict):
    """The one definition of an object: see `model.objects`."""

    threshold: Fraction = 0.5
    border_threshold: Fraction = 0.5
    grow: Annotated[int, Field(ge=0, le=32)] = 2
    min_size: Annotated[int, Field(ge=0)] = 16
