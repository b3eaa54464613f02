"""What MLflow remembers of a run and of a registered version, read without writing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from segtrail import telemetry
from segtrail.errors import LineageError
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

DIGEST_TAG = "segtrail.model_digest"
CHAMPION, CANARY = "champion", "canary"


@dataclass(frozen=True)
class Run:
    """A training run: its id, state, and times (UTC, ISO 8601; None while unknown)."""

    run_id: str
    status: str
    started: str | None
    finished: str | None


@dataclass(frozen=True)
class Version:
    """A registered model version: its number, digest tag and run."""

    version: int
    model_digest: str | None
    run_id: str | None


def client(workspace: Workspace) -> MlflowClient:
    """Returns a client of the workspace's tracking server and registry."""
    telemetry.switch_off()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=workspace.mlflow_uri, registry_uri=workspace.mlflow_uri)


def reader(workspace: Workspace) -> MlflowClient:
    """Like `client`, but never makes a store that is not there.

    Raises:
        LineageError: The workspace's SQLite file does not exist.
    """
    uri = workspace.mlflow_uri
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not path.exists():
        raise LineageError(f"{path}: MLflow's store is not there")
    return client(workspace)


def experiment(client: MlflowClient, workspace: Workspace, name: str) -> str:
    """Returns the id of a recipe's experiment, which is made when it is not there."""
    if (found := client.get_experiment_by_name(name)) is not None:
        return str(found.experiment_id)
    local = workspace.mlflow_uri.startswith("sqlite:")
    location = (workspace.mlflow_artifacts / name).as_uri() if local else None
    return str(client.create_experiment(name, artifact_location=location))


def run(workspace: Workspace, run_id: str) -> Run:
    """Returns what MLflow knows of a run.

    Raises:
        LineageError: It knows no such run.
    """
    from mlflow.exceptions import MlflowException

    try:
        info = reader(workspace).get_run(run_id).info
    except MlflowException as e:
        raise LineageError(f"MLflow run {run_id}: {e.message}") from None
    return Run(run_id, str(info.status), _iso(info.start_time), _iso(info.end_time))


def version(workspace: Workspace, name: str, number: int) -> Version:
    """Returns one registered version of a recipe's model.

    Raises:
        LineageError: It is not registered.
    """
    from mlflow.exceptions import MlflowException

    try:
        found = reader(workspace).get_model_version(name, str(number))
    except MlflowException as e:
        raise LineageError(f"MLflow model {name} version {number}: {e.message}") from None
    return as_version(found)


def champion(workspace: Workspace, name: str) -> int | None:
    """Returns the version that the alias `champion` names, or None."""
    return aliased(workspace, name, CHAMPION)


def aliased(workspace: Workspace, name: str, alias: str) -> int | None:
    """Returns the version that an alias names, or None.

    Raises:
        LineageError: MLflow's store is not there, or does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        return int(reader(workspace).get_model_version_by_alias(name, alias).version)
    except MlflowException as e:
        if e.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise LineageError(f"MLflow alias {alias} of {name}: {e.message}") from None


def as_version(found: ModelVersion) -> Version:
    """Returns what segtrail reads of MLflow's model version."""
    return Version(int(found.version), found.tags.get(DIGEST_TAG), found.run_id or None)


def _iso(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
