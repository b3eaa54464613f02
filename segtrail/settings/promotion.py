"""`recipes.<name>.promotion` of `params.yaml`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

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
    two_people: bool = Field(
        default=False,
        description="whether the approval of the person who promotes does not count, so that no "
        "candidate serves by one person's word; needs approvals of 1 or more",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.two_people and not self.approvals:
            raise ValueError("two_people asks nobody as long as approvals is 0; give approvals: 1")
        return self
