"""`recipes.<name>.promotion` of `params.yaml`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from segtrail.settings.base import Strict


class Promotion(Strict):
    """What a candidate that passed its gate needs besides, to be promoted."""

    signatures: Literal["optional", "required"] = Field(
        default="optional",
        description="required: nothing is promoted whose provenance is not signed by a key "
        "under trust/ in git, and an audit finds what is not signed broken",
    )
