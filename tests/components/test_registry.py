"""Registering with a real MLflow on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from components import registry
from lineage import mlflow_record
from segtrail.errors import LineageError
from segtrail.workspace import Workspace

DIGEST, OTHER = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path, str]:
    root = tmp_path_factory.mktemp("registry")
    workspace = Workspace(root, root)
    model = root / "model"
    (model / "variables").mkdir(parents=True)
    (model / "saved_model.pb").write_bytes(b"graph")
    (model / "variables" / "variables.index").write_bytes(b"index")
    client = mlflow_record.client(workspace)
    location = (workspace.mlflow_artifacts / "demo").as_uri()
    experiment = client.create_experiment("demo", artifact_location=location)
    run = client.create_run(experiment)
    client.set_terminated(run.info.run_id)
    return workspace, model, run.info.run_id


def test_a_model_gets_one_version_however_often_it_is_registered(registered) -> None:
    workspace, model, run_id = registered
    first = registry.register(workspace, "demo", model, run_id, DIGEST)
    again = registry.register(workspace, "demo", model, run_id, DIGEST)
    other = registry.register(workspace, "demo", model, run_id, OTHER)
    assert (again, other) == (first, first + 1)
    version = mlflow_record.version(workspace, "demo", first)
    assert version.model_digest == DIGEST
    assert version.run_id == run_id


def test_the_artifacts_are_the_model_s_files(registered) -> None:
    workspace, model, run_id = registered
    registry.register(workspace, "demo", model, run_id, DIGEST)
    copies = [p.read_bytes() for p in workspace.mlflow_artifacts.rglob("saved_model.pb")]
    assert copies
    assert set(copies) == {b"graph"}


def test_an_upload_that_was_cut_off_is_not_registered(registered, monkeypatch) -> None:
    from mlflow import MlflowClient

    workspace, model, run_id = registered
    digest = "c" * 64
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "finalize_logged_model", _die)
        with pytest.raises(KeyboardInterrupt):
            registry.register(workspace, "demo", model, run_id, digest)
    assert registry.find(workspace, "demo", digest) is None
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", _die)
        with pytest.raises(KeyboardInterrupt):
            registry.register(workspace, "demo", model, run_id, digest)
    version = registry.register(workspace, "demo", model, run_id, digest)
    assert registry.find(workspace, "demo", digest) == version


def test_the_champion_is_what_the_alias_names(registered) -> None:
    workspace, model, run_id = registered
    assert registry.champion(workspace, "nobody") is None
    first = registry.register(workspace, "demo", model, run_id, DIGEST)
    other = registry.register(workspace, "demo", model, run_id, OTHER)
    for version in (first, other, other, first):
        registry.set_champion(workspace, "demo", version)
        assert registry.champion(workspace, "demo") == version


def test_what_mlflow_does_not_know_is_a_lineage_error(registered) -> None:
    workspace, _, run_id = registered
    found = mlflow_record.run(workspace, run_id)
    assert found.status == "FINISHED"
    assert found.started
    assert found.finished
    with pytest.raises(LineageError, match="0123"):
        mlflow_record.run(workspace, "0123")
    with pytest.raises(LineageError, match="version 99"):
        mlflow_record.version(workspace, "demo", 99)


def _die(*args: object, **kwargs: object) -> None:
    raise KeyboardInterrupt
