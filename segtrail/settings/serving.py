"""`recipes.<name>.serving` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from segtrail.settings.base import Strict


class Serving(Strict):
    """Where the champion is asked for, and what a candidate must do to be served."""

    target: str = Field(
        default="127.0.0.1:8500",
        pattern=r"^[^\s:/]+:\d{1,5}$",
        description="host:port, gRPC",
    )
    golden_images: Annotated[int, Field(ge=1, le=64)] = Field(
        default=5, description="test images that a server must answer as evaluation did"
    )

    @field_validator("target")
    @classmethod
    def _port_exists(cls, target: str) -> str:
        if not 1 <= int(target.rpartition(":")[2]) <= 65_535:
            raise ValueError(f"got {target!r}; the port should be between 1 and 65535")
        return target
