"""The MLflow registry: gives a SavedModel its version number and its alias.

A version carries the model's digest as a tag, written in the same transaction that makes the
version, so that registering the same model twice, or again after a crash, finds it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lineage import mlflow_record
from lineage.ledger_head import TAG
from lineage.mlflow_record import CANARY, CHAMPION, DIGEST_TAG
from segtrail.errors import LineageError, StageError
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_TYPE = "segmentation"


def register(workspace: Workspace, name: str, model_dir: Path, run_id: str, digest: str) -> int:
    """Registers a SavedModel as the next version of `name`; returns the version number.

    Args:
        workspace: Whose MLflow to register with.
        name: The recipe: the name of the experiment and of the registered model.
        model_dir: The SavedModel, which is copied into MLflow's artifacts.
        run_id: The training run.
        digest: Hex SHA-256 that names the model: see `segtrail.saved_model.digest`.

    Raises:
        StageError: MLflow refused.
    """
    from mlflow.exceptions import MlflowException

    client = mlflow_record.client(workspace)
    try:
        if (known := find(workspace, name, digest)) is not None:
            return known
        model_id = _logged_model(client, workspace, name, model_dir, run_id, digest)
        _ensure_registered_model(client, name)
        made = client.create_model_version(
            name,
            source=_source(client, workspace, model_id),
            run_id=run_id,
            tags={DIGEST_TAG: digest},
            model_id=model_id,
        )
    except MlflowException as e:
        raise StageError(
            f"MLflow at {workspace.mlflow_uri} did not register {model_dir}: {e.message}"
        ) from None
    return int(made.version)


def find(workspace: Workspace, name: str, digest: str) -> int | None:
    """Returns the version of `name` with this digest, or None."""
    found = mlflow_record.client(workspace).search_model_versions(f"name = '{name}'")
    while True:
        for item in found:
            version = mlflow_record.as_version(item)
            if version.model_digest == digest:
                return version.version
        if not found.token:
            return None
        found = mlflow_record.client(workspace).search_model_versions(
            f"name = '{name}'", page_token=found.token
        )


def set_champion(workspace: Workspace, name: str, version: int | None) -> None:
    """Points the alias `champion` at a version; None takes it away."""
    _point(workspace, name, CHAMPION, version)


def champion(workspace: Workspace, name: str) -> int | None:
    """Returns the version that the alias `champion` names, or None."""
    return mlflow_record.champion(workspace, name)


def set_canary(workspace: Workspace, name: str, version: int | None) -> None:
    """Points the alias `canary` at a version; None takes it away."""
    _point(workspace, name, CANARY, version)


def canary(workspace: Workspace, name: str) -> int | None:
    """Returns the version that the alias `canary` names, or None."""
    return mlflow_record.aliased(workspace, name, CANARY)


def ledger_head(workspace: Workspace, name: str) -> str | None:
    """Returns what MLflow keeps as the head of the recipe's ledger: see `lineage.ledger_head`."""
    return mlflow_record.model_tag(workspace, name, TAG)


def keep_ledger_head(workspace: Workspace, name: str, head: str) -> bool:
    """Has MLflow keep it with the registered model; returns whether there is one already.

    Raises:
        LineageError: MLflow's store is not there, or refused.
    """
    from mlflow.exceptions import MlflowException

    try:
        mlflow_record.reader(workspace).set_registered_model_tag(name, TAG, head)
    except MlflowException as e:
        if e.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise LineageError(f"MLflow model {name}: {e.message}") from None
    return True


def _point(workspace: Workspace, name: str, alias: str, version: int | None) -> None:
    if mlflow_record.aliased(workspace, name, alias) == version:
        return
    client = mlflow_record.client(workspace)
    if version is None:
        client.delete_registered_model_alias(name, alias)
    else:
        client.set_registered_model_alias(name, alias, str(version))


def _logged_model(
    client: MlflowClient,
    workspace: Workspace,
    name: str,
    model_dir: Path,
    run_id: str,
    digest: str,
) -> str:
    """Returns the id of a complete logged model with this digest; uploads it when needed."""
    experiment = mlflow_record.experiment(client, workspace, name)
    for known in client.search_logged_models(
        [experiment], filter_string=f"tags.`{DIGEST_TAG}` = '{digest}'"
    ):
        if str(known.status) == "READY":
            return str(known.model_id)
    made = client.create_logged_model(
        experiment,
        name=name,
        source_run_id=run_id,
        tags={DIGEST_TAG: digest},
        model_type=MODEL_TYPE,
    )
    client.log_model_artifacts(made.model_id, str(model_dir))
    client.finalize_logged_model(made.model_id, "READY")
    return str(made.model_id)


def _source(client: MlflowClient, workspace: Workspace, model_id: str) -> str:
    if workspace.mlflow_uri.startswith("http"):
        return f"models:/{model_id}"
    # MLflow's SQL store would look `models:/` up in the process's global tracking URI
    return str(client.get_logged_model(model_id).artifact_location)


def _ensure_registered_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as e:
        if e.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
