"""Writes a search to MLflow: a run of the study, and in it a run of each trial."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self

from lineage.data_version import DataVersion
from lineage.training_run import (
    TrainingRunRecord,
    flatten,
    log_metrics,
    process_tags,
    status_after,
)
from segtrail.workspace import Workspace

PARENT_TAG = "mlflow.parentRunId"
STUDY_TAG, TRIAL_TAG, STATE_TAG = "segtrail.study", "segtrail.trial", "segtrail.trial_state"
State = Literal["complete", "pruned", "failed", "killed"]
# MLflow has no word for a run that was given up
_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "killed": "KILLED"}


class StudyRecord(TrainingRunRecord):
    """The MLflow run of a study, open while trials run.

    Args:
        workspace: Whose MLflow.
        name: The recipe: the experiment's name.
        study: The study's name.
        params: What is searched and what is not.
        data: What the trials train on.
        resume: The run of the study so far; None begins one.
    """

    def __init__(
        self,
        workspace: Workspace,
        name: str,
        study: str,
        params: Mapping[str, Any],
        data: DataVersion,
        resume: str | None = None,
    ) -> None:
        tags = {STUDY_TAG: study, "mlflow.runName": f"tune {study}", "segtrail.recipe": name}
        super().__init__(workspace, name, params, data, tags, resume)
        self._study = study

    def trial(self, title: str, params: Mapping[str, Any]) -> TrialRecord:
        """Begins the run of a trial.

        Args:
            title: What to call it, such as `trial 3`.
            params: The values that it tries.
        """
        return TrialRecord(
            self._client, self.experiment_id, self.run_id, self._study, title, params
        )


class TrialRecord:
    """The MLflow run of one trial; a block that raises leaves it failed, or killed."""

    def __init__(
        self,
        client: Any,
        experiment_id: str,
        parent: str,
        study: str,
        title: str,
        params: Mapping[str, Any],
    ) -> None:
        from mlflow.entities import Param

        self._client, self._ended = client, False
        tags = {PARENT_TAG: parent, STUDY_TAG: study, TRIAL_TAG: title, **process_tags()}
        self.run_id: str = client.create_run(experiment_id, tags=tags, run_name=title).info.run_id
        rows = [Param(key, str(value)) for key, value in flatten(params).items()]
        client.log_batch(self.run_id, params=rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._ended:
            self.end("killed" if status_after(kind) == "KILLED" else "failed")

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Writes the values of one validation in one call."""
        log_metrics(self._client, self.run_id, values, step)

    def end(self, state: State, **facts: str) -> None:
        """Ends the run.

        Args:
            state: How the trial ended, which becomes a tag; a pruned one is `KILLED` in MLflow.
            facts: More tags, under `segtrail.`
        """
        from mlflow.entities import RunTag

        tags = {STATE_TAG: state} | {f"segtrail.{key}": value for key, value in facts.items()}
        self._client.log_batch(self.run_id, tags=[RunTag(k, v[:5000]) for k, v in tags.items()])
        self._client.set_terminated(self.run_id, _STATUS[state])
        self._ended = True
