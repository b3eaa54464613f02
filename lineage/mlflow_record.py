"""What MLflow remembers of a run and of a registered version, read without writing."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lineage import mlflow_sqlite
from lineage.mlflow_facts import Recorded, Run, Version, iso, metric_row
from segtrail import faults, telemetry
from segtrail.errors import LineageError, UnreachableError
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

T = TypeVar("T")

DIGEST_TAG = "segtrail.model_digest"
CHAMPION, CANARY = "champion", "canary"


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
    mlflow_sqlite.path_of(workspace.mlflow_uri)
    return client(workspace)


def gives_no_answer(error: BaseException | None) -> bool:
    """Whether an error says that MLflow's server could not be reached, after minutes of trying."""
    return str(getattr(error, "message", "")).startswith(faults.MLFLOW_AWAY)


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

    def ask(client: MlflowClient) -> Run:
        info = client.get_run(run_id).info
        deleted = info.lifecycle_stage == "deleted"
        times = iso(info.start_time), iso(info.end_time)
        return Run(run_id, str(info.status), *times, deleted)

    return _read(
        workspace, f"MLflow run {run_id}", lambda path: mlflow_sqlite.run(path, run_id), ask
    )


def recorded(workspace: Workspace, run_id: str) -> Recorded:
    """Returns what a run recorded.

    Raises:
        LineageError: MLflow knows no such run.
    """

    def ask(client: MlflowClient) -> Recorded:
        found = client.get_run(run_id)
        histories = {key: client.get_metric_history(run_id, key) for key in found.data.metrics}
        metrics = {
            key: sorted(metric_row(m.step, m.timestamp, m.value) for m in history)
            for key, history in histories.items()
        }
        uri = str(found.info.artifact_uri)
        return Recorded(dict(found.data.params), metrics, dict(found.data.tags), uri)

    return _read(
        workspace, f"MLflow run {run_id}", lambda path: mlflow_sqlite.recorded(path, run_id), ask
    )


def version(workspace: Workspace, name: str, number: int) -> Version:
    """Returns one registered version of a recipe's model.

    Raises:
        LineageError: It is not registered.
    """
    return _read(
        workspace,
        f"MLflow model {name} version {number}",
        lambda path: mlflow_sqlite.version(path, name, number, DIGEST_TAG),
        lambda client: as_version(client.get_model_version(name, str(number))),
    )


def champion(workspace: Workspace, name: str) -> int | None:
    """Returns the version that the alias `champion` names, or None."""
    return aliased(workspace, name, CHAMPION)


def aliased(workspace: Workspace, name: str, alias: str) -> int | None:
    """Returns the version that an alias names, or None.

    Raises:
        LineageError: MLflow's store is not there, or does not answer.
    """
    return _read(
        workspace,
        f"MLflow alias {alias} of {name}",
        lambda path: mlflow_sqlite.aliased(path, name, alias),
        lambda client: _aliased(client, name, alias),
    )


def model_tag(workspace: Workspace, name: str, key: str) -> str | None:
    """Returns a tag of the registered model, or None.

    Raises:
        LineageError: MLflow's store is not there, or does not answer.
    """
    return _read(
        workspace,
        f"MLflow model {name}",
        lambda path: mlflow_sqlite.model_tag(path, name, key),
        lambda client: _model_tag(client, name, key),
    )


def as_version(found: ModelVersion) -> Version:
    """Returns what segtrail reads of MLflow's model version."""
    digest = found.tags.get(DIGEST_TAG)
    return Version(int(found.version), digest, found.run_id or None, found.source or None)


def _model_tag(client: MlflowClient, name: str, key: str) -> str | None:
    from mlflow.exceptions import MlflowException

    try:
        found: str | None = client.get_registered_model(name).tags.get(key)
    except MlflowException as e:
        if e.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return found


def _aliased(client: MlflowClient, name: str, alias: str) -> int | None:
    from mlflow.exceptions import MlflowException

    try:
        return int(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as e:
        if e.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _read(
    workspace: Workspace,
    what: str,
    of_file: Callable[[Path], T],
    of_client: Callable[[MlflowClient], T],
) -> T:
    """Reads from the file that MLflow's store is, where it is one, or else asks MLflow."""
    if (path := mlflow_sqlite.path_of(workspace.mlflow_uri)) is not None:
        with contextlib.suppress(sqlite3.OperationalError):  # of another MLflow: ask that
            return of_file(path)
    client = reader(workspace)
    from mlflow.exceptions import MlflowException

    try:
        return of_client(client)
    except MlflowException as e:
        if gives_no_answer(e):
            uri = workspace.mlflow_uri
            raise UnreachableError(f"{what}: MLflow at {uri} gives no answer") from None
        raise LineageError(f"{what}: {e.message}") from None
