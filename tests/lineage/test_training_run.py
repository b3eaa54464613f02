"""What MLflow knows of a training, and of one that was killed and went on."""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lineage import mlflow_record
from lineage.data_version import DataVersion
from lineage.training_run import TrainingRunRecord
from segtrail.errors import RejectedError
from segtrail.workspace import Workspace
from serving.launch import free_port

DATA = DataVersion("plates", "0" * 32 + ".dir", "1" * 64, files={})
RECIPE = {"training": {"steps": 40, "loss_options": {"dice_weight": 2.0}}, "classes": ["cell"]}


def open_record(workspace, resume=None):
    return TrainingRunRecord(workspace, "cells", RECIPE, DATA, {"segtrail.recipe": "cells"}, resume)


def die_in_training(folder: str, to) -> None:
    with open_record(Workspace(Path(folder), Path(folder))) as run:
        run.metrics({"val_iou": 0.5, "loss": 1.0}, 20)
        to.send(run.run_id)
        os.kill(os.getpid(), signal.SIGKILL)


def killed_training(workspace) -> str:
    """Returns the run of a training whose process was killed."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=die_in_training, args=(str(workspace.root), theirs))
    process.start()
    theirs.close()
    run_id = mine.recv()
    process.join()
    return run_id


def test_a_server_that_gave_no_answer_is_not_asked_again(tracked, monkeypatch):
    """A call to it takes minutes; the run is closed by the next training, as a killed one is."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nobody = MlflowClient(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(MlflowException, match="API request to"), open_record(tracked) as run:
        monkeypatch.setattr(run, "_client", nobody)
        asked = []
        monkeypatch.setattr(nobody, "set_terminated", lambda *_: asked.append(1))
        run.metrics({"loss": 1.0}, 20)
    assert not asked
    assert mlflow_record.client(tracked).get_run(run.run_id).info.status == "RUNNING"


def test_a_run_holds_recipe_data_curves_pictures_and_the_machine(tracked, tmp_path):
    with open_record(tracked) as run:
        for step in (20, 40):
            run.metrics({"val_iou": step / 100, "loss": 1 / step}, step)
        run.picture("samples/step-000020.png", b"\x89PNG one")
        run.picture("samples/step-000040.png", b"\x89PNG two")
        (tmp_path / "network.txt").write_text("layers")
        run.file(tmp_path / "network.txt")
        client = mlflow_record.client(tracked)
        during = client.get_run(run.run_id)
        assert during.info.status == "RUNNING"
    found = client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {
        "training.steps": "40", "training.loss_options.dice_weight": "2.0", "classes": "['cell']"
    }  # fmt: skip
    assert [(m.step, m.value) for m in client.get_metric_history(run.run_id, "val_iou")] == [
        (20, 0.2), (40, 0.4),
    ]  # fmt: skip
    (given,) = found.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("plates", DATA.dvc_md5)
    assert [tag.value for tag in given.tags] == ["training"]
    assert {a.path for a in client.list_artifacts(run.run_id)} == {"samples", "network.txt"}
    pictures = client.list_artifacts(run.run_id, "samples")
    assert [a.path for a in pictures] == ["samples/step-000020.png", "samples/step-000040.png"]
    shown = client.download_artifacts(run.run_id, "samples/step-000040.png", str(tmp_path))
    assert Path(shown).read_bytes() == b"\x89PNG two"


@pytest.mark.slow
def test_the_machine_is_sampled_while_a_training_runs(tracked, monkeypatch):
    import time

    with open_record(tracked) as run:
        client = mlflow_record.client(tracked)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = client.get_run(run.run_id).data.metrics
            if "system/cpu_utilization_percentage" in found:
                break
            time.sleep(1)
    assert "system/cpu_utilization_percentage" in found
    assert "system/system_memory_usage_megabytes" in found


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_the_run_of_a_killed_training_goes_on_under_its_id(tracked):
    run_id = killed_training(tracked)
    client = mlflow_record.client(tracked)
    assert client.get_run(run_id).info.status == "RUNNING"  # nobody was there to say more

    with open_record(tracked, resume=run_id) as run:
        assert run.run_id == run_id
        assert client.get_run(run_id).info.status == "RUNNING"
        run.metrics({"val_iou": 0.7, "loss": 0.5}, 40)
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED"
    assert found.info.end_time >= found.info.start_time
    assert [m.step for m in client.get_metric_history(run_id, "val_iou")] == [20, 40]
    assert len(client.search_runs([found.info.experiment_id])) == 1


def test_a_killed_training_that_begins_anew_is_told_as_killed(tracked):
    killed = killed_training(tracked)
    with open_record(tracked) as run:
        pass
    client = mlflow_record.client(tracked)
    assert client.get_run(killed).info.status == "KILLED"
    assert run.run_id != killed


def test_a_run_that_was_deleted_is_not_resumed(tracked):
    with open_record(tracked) as run:
        pass
    mlflow_record.client(tracked).delete_run(run.run_id)
    with open_record(tracked, resume=run.run_id) as other:
        assert other.run_id != run.run_id


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (RejectedError, "FINISHED")],
)
def test_what_ends_a_training_is_its_status(tracked, error, status):
    with pytest.raises(error), open_record(tracked) as run:
        raise error("no")
    assert mlflow_record.client(tracked).get_run(run.run_id).info.status == status
