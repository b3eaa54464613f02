"""MLflow's store read as a file says what MLflow itself says."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest

from lineage import mlflow_record, mlflow_sqlite, run_digests
from lineage.mlflow_facts import Recorded, Run, Version
from segtrail.errors import LineageError
from segtrail.workspace import Workspace

NAME = "demo"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """A store that MLflow wrote: a run with all that a run may have, and two versions."""
    root = tmp_path_factory.mktemp("store")
    workspace = Workspace(root, root)
    client = mlflow_record.client(workspace)
    experiment = mlflow_record.experiment(client, workspace, NAME)
    run = client.create_run(experiment, tags={"segtrail.recipe": NAME, "empty": ""}).info.run_id
    client.log_param(run, "training.steps", 3)
    client.log_param(run, "name", "ü, and a\nsecond line")
    for step, value in enumerate((0.1, 1 / 3, math.nan, math.inf, -math.inf, 1e-300)):
        client.log_metric(run, "loss", value, timestamp=1_760_000_000_000 + step, step=step)
    client.log_metric(run, "iou", 0.8, timestamp=1_760_000_000_000, step=1)
    client.log_metric(run, "iou", 0.7, timestamp=1_760_000_000_000, step=1)
    client.log_text(run, "a", "folder/a file.txt")
    client.log_text(run, "<p>", "report/report.html")
    client.set_terminated(run)
    client.create_registered_model(NAME)
    for version in (1, 2):
        uri = (root / f"model {version}").as_uri()
        tags = {mlflow_record.DIGEST_TAG: str(version) * 64}
        client.create_model_version(NAME, uri, run, tags=tags)
    client.set_registered_model_alias(NAME, "champion", "2")
    client.set_registered_model_tag(NAME, "key", "value")
    return workspace, run


def both(store, monkeypatch, ask):
    """Returns what is read of the file, and what MLflow answers."""
    of_file = ask()
    with monkeypatch.context() as patch:
        patch.setattr(mlflow_sqlite, "path_of", lambda uri: None)
        return of_file, ask()


def test_the_same_as_mlflow_says(store, monkeypatch) -> None:
    workspace, run = store
    for ask, kind in (
        (lambda: mlflow_record.run(workspace, run), Run),
        (lambda: mlflow_record.recorded(workspace, run), Recorded),
        (lambda: mlflow_record.version(workspace, NAME, 1), Version),
        (lambda: mlflow_record.aliased(workspace, NAME, "champion"), int),
        (lambda: mlflow_record.aliased(workspace, NAME, "canary"), type(None)),
        (lambda: mlflow_record.model_tag(workspace, NAME, "key"), str),
        (lambda: mlflow_record.model_tag(workspace, NAME, "other"), type(None)),
        (lambda: mlflow_record.model_tag(workspace, "other", "key"), type(None)),
    ):
        of_file, of_mlflow = both(store, monkeypatch, ask)
        assert of_file == of_mlflow
        assert isinstance(of_file, kind)


def test_what_there_is_not(store, monkeypatch) -> None:
    workspace, _ = store
    for ask in (
        lambda: mlflow_record.run(workspace, "0" * 32),
        lambda: mlflow_record.recorded(workspace, "0" * 32),
        lambda: mlflow_record.version(workspace, NAME, 9),
    ):
        with pytest.raises(LineageError, match=r"MLflow (run|model demo)"):
            ask()


def test_digests_of_a_run(store) -> None:
    workspace, run = store
    found = run_digests.digests(workspace, run)
    assert {section: set(found[section]) for section in found} == {
        "parameters": {"training.steps", "name"}, "metrics": {"loss", "iou"},
        "tags": {"segtrail.recipe", "empty"},  # not the name, which people change
        "artifacts": {"folder/a file.txt"},  # not the report, which is made anew
    }  # fmt: skip
    assert len(run_digests.root(found)) == 64
    assert list(run_digests.differences(found, found)) == []
    other = {**found, "metrics": {"loss": "0" * 64, "dice": "1" * 64}, "tags": {}}
    assert list(run_digests.differences(found, other)) == [
        "the metric dice is gone", "the metric iou was added", "the metric loss was changed",
    ]  # fmt: skip


def test_reading_writes_nothing(store) -> None:
    workspace, run = store
    path = workspace.root / "mlflow.db"
    before = path.read_bytes()
    mlflow_record.recorded(workspace, run)
    assert path.read_bytes() == before


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, tmp_path)
    with pytest.raises(LineageError, match="MLflow's store is not there"):
        mlflow_record.run(workspace, "0")
    (tmp_path / "mlflow.db").write_text("no database at all, but long enough to be asked\n" * 20)
    with pytest.raises(LineageError, match="cannot be read as MLflow's store"):
        mlflow_record.run(workspace, "0")


def test_tables_of_another_mlflow_are_left_to_mlflow(store, tmp_path, monkeypatch) -> None:
    workspace, run = store
    strange = tmp_path / "strange.db"
    with sqlite3.connect(strange) as db:
        db.execute("CREATE TABLE alembic_version (version_num TEXT)")
        db.execute("CREATE TABLE runs (id TEXT)")
    with pytest.raises(sqlite3.OperationalError):
        mlflow_sqlite.run(strange, run)
    monkeypatch.setattr(mlflow_sqlite, "path_of", lambda uri: strange)
    assert mlflow_record.run(workspace, run).status == "FINISHED"  # MLflow was asked, and knows
