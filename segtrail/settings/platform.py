"""`platform` of `params.yaml`: the servers that `segtrail up` starts."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from segtrail.settings.base import Strict

Port = Annotated[int, Field(ge=1, le=65_535)]
PREFECT_VARIABLE = "PREFECT_API_DATABASE_CONNECTION_URL"
MLFLOW_VARIABLE = "MLFLOW_BACKEND_STORE_URI"


class Ports(Strict):
    """Where the servers listen; each needs one of its own."""

    prefect: Port = 4200
    mlflow: Port = 5000
    serving: Port = 8500

    @model_validator(mode="after")
    def _differ(self) -> Ports:
        given = [self.prefect, self.mlflow, self.serving]
        if len(set(given)) < len(given):
            raise ValueError(f"got {given} for prefect, mlflow and serving; expected three ports")
        return self


class Platform(Strict):
    """The servers of `segtrail up`. Passwords come from the environment alone."""

    host: str = Field(
        default="127.0.0.1",
        description="on which address Prefect and MLflow listen; neither has a password, so that "
        "any other than this machine's own lets in whoever reaches it",
    )
    ports: Ports = Ports()
    prefect_database: str = Field(
        default=PREFECT_VARIABLE,
        description="the environment variable that has Prefect's database, "
        "`postgresql+asyncpg://...`; where the default is not set: SQLite in `.prefect/`",
    )
    mlflow_database: str = Field(
        default=MLFLOW_VARIABLE,
        description="the environment variable that has MLflow's database, `postgresql://...`; "
        "where the default is not set: the workspace's `mlflow.db`",
    )
    artifacts: str | None = Field(
        default=None,
        description="where the MLflow server keeps artifacts, `s3://bucket/prefix`; without it "
        "`mlruns/`",
    )

    @field_validator("host")
    @classmethod
    def _an_address(cls, given: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", given):
            raise ValueError(
                f"got {given!r}; expected an IPv4 address or a host's name, such as 127.0.0.1"
            )
        return given

    @field_validator("prefect_database", "mlflow_database")
    @classmethod
    def _a_variable(cls, given: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", given):  # which may hold a password
            raise ValueError(
                "expected the name of an environment variable, not an address: params.yaml is in "
                "git, and a password in it is known to all who read it"
            )
        return given

    @field_validator("artifacts")
    @classmethod
    def _a_bucket(cls, given: str | None) -> str | None:
        if given is not None and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/[^\s?#@]*)?", given):
            raise ValueError("expected s3://bucket or s3://bucket/prefix; keys of the store come "
                             "from the environment")  # fmt: skip
        return given
