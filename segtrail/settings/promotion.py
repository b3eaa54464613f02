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
    approvals: int = Field(
        default=0,
        ge=0,
        description="how many people must approve a candidate (`segtrail approve`) before it is "
        "promoted; who forced it past the gate does not count. With signatures: required, each "
        "approval is signed with that person's key",
    )
