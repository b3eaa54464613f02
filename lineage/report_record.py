"""Keeps a report beside the training run that it is about, in MLflow."""

from __future__ import annotations

from pathlib import Path

from lineage import mlflow_record
from segtrail.workspace import Workspace

FOLDER = "report"


def keep(workspace: Workspace, run_id: str, path: Path) -> None:
    """Logs a file as an artifact of a run, under `report/`; an earlier one is replaced.

    Raises:
        LineageError: MLflow's store is not there.
        MlflowException: It cannot be reached, or knows no such run.
    """
    mlflow_record.reader(workspace).log_artifact(run_id, str(path), FOLDER)
