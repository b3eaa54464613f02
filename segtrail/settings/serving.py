"""`recipes.<name>.serving` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from segtrail.addresses import check_host_and_port
from segtrail.settings.base import Strict

CANARY_SUFFIX = "-canary"
_RETIRED = {"golden_images"}


def canary_of(recipe: str) -> str:
    """Returns the name under which a model server serves the canary of a recipe."""
    return recipe + CANARY_SUFFIX


class Tls(Strict):
    """How commands reach `target` over TLS; `{}` trusts the authorities that gRPC brings along.

    Paths of PEM files, relative to the workspace or absolute; params.yaml is in git, so that no key
    belongs into it.
    """

    ca: str | None = Field(
        default=None, description="certificates of the authorities that vouch for the server"
    )
    certificate: str | None = Field(
        default=None, description="the client's own, where the server asks for one; with `key`"
    )
    key: str | None = Field(default=None, description="of `certificate`, without a passphrase")
    name: str | None = Field(
        default=None, description="in the server's certificate, where it is not that of `target`"
    )

    @field_validator("ca", "certificate", "key")
    @classmethod
    def _a_path(cls, given: str | None) -> str | None:
        if given is not None and ("-----BEGIN" in given or not given.strip()):
            raise ValueError(
                "expected the path of a PEM file, not its text: params.yaml is in git, and a key "
                "in it is known to all who read it"
                if given.strip()
                else "expected the path of a PEM file; got nothing"
            )
        return given

    @model_validator(mode="after")
    def _key_with_certificate(self) -> Tls:
        if (self.key is None) != (self.certificate is None):
            raise ValueError("key and certificate come together; one is missing")
        return self


class Serving(Strict):
    """Where the champion is asked for, and what a candidate must do to be served."""

    target: str = Field(
        default="127.0.0.1:8500",
        description="host:port, gRPC",
    )
    tls: Tls | None = Field(
        default=None, description="how `target` is reached over TLS; by default in clear"
    )
    hold_s: Annotated[float, Field(ge=0, le=600)] = Field(
        default=3.0,
        description="seconds that each state of a change of version stays in models.config, so "
        "that no server that polls it, and is not the one at `target`, misses one",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_retired(cls, given: Any) -> Any:
        """Passes over what earlier releases had, so that their workspaces go on serving."""
        if isinstance(given, dict):
            return {key: value for key, value in given.items() if key not in _RETIRED}
        return given

    @field_validator("target")
    @classmethod
    def _an_address(cls, target: str) -> str:
        if target.startswith("["):
            raise ValueError(
                f"got {target!r}; expected a name or an IPv4 address, such as localhost:8500"
            )
        check_host_and_port(target)
        return target
