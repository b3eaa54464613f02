"""A workspace with an MLflow store, whose tables are made once: that takes seconds."""

import shutil

import pytest

from lineage import mlflow_record
from segtrail.workspace import Workspace


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """An `mlflow.db` without a run; not to be changed."""
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow_record.client(Workspace(folder, folder)).search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def tracked(empty_store, tmp_path) -> Workspace:
    """A folder with an MLflow store of its own."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return Workspace(tmp_path, tmp_path)
