"""What MLflow knows of a search: a run of the study, and in it one of each trial."""

import pytest

from lineage import mlflow_record
from lineage.data_version import DataVersion
from lineage.study_record import PARENT_TAG, STATE_TAG, StudyRecord

DATA = DataVersion("plates", "0" * 32 + ".dir", "1" * 64, files={})


def open_record(workspace, resume=None):
    return StudyRecord(workspace, "cells", "cells-1", {"sampler_seed": 1}, DATA, resume)


def trials_of(client, study):
    experiment = client.get_run(study.run_id).info.experiment_id
    found = client.search_runs([experiment], f"tags.{PARENT_TAG} = '{study.run_id}'")
    return sorted(found, key=lambda run: run.info.run_name)


def test_trials_are_nested_with_their_values_curves_and_how_they_ended(tracked, tmp_path):
    with open_record(tracked) as study:
        with study.trial("trial 1", {"training.learning_rate": 0.01}) as run:
            for step in (5, 10):
                run.metrics({"val_iou": step / 20, "loss": 1.0}, step)
            run.end("complete", score="0.5")
        with study.trial("trial 2", {"training.learning_rate": 0.5}) as run:
            run.metrics({"val_iou": 0.1, "loss": 2.0}, 5)
            run.end("pruned", why="below the median")
        study.metrics({"best_val_iou": 0.5}, 2)
        (tmp_path / "report.txt").write_text("table")
        study.file(tmp_path / "report.txt")
    client = mlflow_record.client(tracked)
    one, two = trials_of(client, study)
    assert (one.info.status, one.data.tags[STATE_TAG]) == ("FINISHED", "complete")
    assert (two.info.status, two.data.tags[STATE_TAG]) == ("KILLED", "pruned")
    assert two.data.tags["segtrail.why"] == "below the median"
    assert one.data.params == {"training.learning_rate": "0.01"}
    history = client.get_metric_history(one.info.run_id, "val_iou")
    assert [(m.step, m.value) for m in history] == [(5, 0.25), (10, 0.5)]
    parent = client.get_run(study.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best_val_iou"] == 0.5
    assert parent.inputs.dataset_inputs[0].dataset.digest == DATA.dvc_md5
    assert [a.path for a in client.list_artifacts(study.run_id)] == ["report.txt"]


@pytest.mark.parametrize(
    ("error", "status", "state"),
    [(ValueError, "FAILED", "failed"), (KeyboardInterrupt, "KILLED", "killed")],
)
def test_a_study_that_broke_off_goes_on_in_the_same_run(tracked, error, status, state):
    with pytest.raises(error), open_record(tracked) as study, study.trial("trial 1", {}):
        raise error
    client = mlflow_record.client(tracked)
    assert client.get_run(study.run_id).info.status == status
    assert [run.data.tags[STATE_TAG] for run in trials_of(client, study)] == [state]
    with open_record(tracked, resume=study.run_id) as again:
        assert again.run_id == study.run_id
        with again.trial("trial 2", {}) as run:
            run.end("complete")
    assert client.get_run(study.run_id).info.status == "FINISHED"
    assert [run.info.status for run in trials_of(client, again)] == [status, "FINISHED"]
