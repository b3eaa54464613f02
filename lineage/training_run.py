"""Writes a training run to MLflow: parameters, curves, data digest, environment, files."""

from __future__ import annotations

import os
import platform
import socket
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from lineage import mlflow_record
from lineage.data_version import DataVersion
from model.hardware.machine import arithmetic_flags, look
from segtrail.errors import RejectedError
from segtrail.workspace import Workspace

PROCESS_TAG = "segtrail.process"


class TrainingRunRecord:
    """An MLflow run that is open while training goes on; failed when the block raises.

    Args:
        workspace: Whose MLflow.
        name: The recipe: the experiment's name.
        params: The recipe as resolved; nested keys become `training.steps` and so on.
        data: What is trained on.
        tags: More tags.
        resume: The run that was killed and goes on; None begins one.
    """

    def __init__(
        self,
        workspace: Workspace,
        name: str,
        params: Mapping[str, Any],
        data: DataVersion,
        tags: Mapping[str, str],
        resume: str | None = None,
    ) -> None:
        self._client: Any = mlflow_record.client(workspace)
        self.experiment_id = mlflow_record.experiment(self._client, workspace, name)
        close_orphans(self._client, self.experiment_id)
        tags = {**process_tags(), **tags}
        if resume is not None and self._reopen(resume, tags):
            self.run_id = resume
        else:
            # not left to MLflow, whose random names are all the same after a training's seed
            called = f"{name} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
            run = self._client.create_run(
                self.experiment_id, tags={"mlflow.runName": called, **tags}
            )
            self.run_id = run.info.run_id
            self._write(params, data)
        self._monitor = _system_metrics(workspace, self.run_id)

    def __enter__(self) -> Self:
        self._monitor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._monitor.finish()
        if mlflow_record.gives_no_answer(error):
            return  # it would be asked for minutes again; the next training closes the run
        self._client.set_terminated(self.run_id, status_after(kind))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Writes the values of one step in one call."""
        log_metrics(self._client, self.run_id, values, step)

    def file(self, path: Path, folder: str | None = None) -> None:
        """Keeps a copy of a file with the run, in a folder of its artifacts."""
        self._client.log_artifact(self.run_id, str(path), folder)

    def picture(self, name: str, png: bytes) -> None:
        """Keeps a picture with the run, to be seen while it goes on.

        Args:
            name: A path among its artifacts, such as `samples/step-000200.png`.
            png: The encoded file.
        """
        path = PurePosixPath(name)
        with tempfile.TemporaryDirectory() as folder:
            (file := Path(folder) / path.name).write_bytes(png)
            self.file(file, None if path.parent == PurePosixPath() else str(path.parent))

    def _reopen(self, run_id: str, tags: Mapping[str, str]) -> bool:
        """Returns whether a run is still there, having marked it as running here."""
        from mlflow.entities import RunTag
        from mlflow.exceptions import MlflowException

        try:
            self._client.update_run(run_id, status="RUNNING")
            self._client.log_batch(run_id, tags=[RunTag(k, v) for k, v in tags.items()])
        except MlflowException:
            return False
        return True

    def _write(self, params: Mapping[str, Any], data: DataVersion) -> None:
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag, Param

        from lineage.dataset_source import DvcDatasetSource

        rows = [Param(key, str(value)) for key, value in flatten(params).items()]
        self._client.log_batch(self.run_id, params=rows)
        source = DvcDatasetSource(data.dataset, data.dvc_md5, data.sha256_root)
        dataset = MetaDataset(source, name=data.dataset, digest=data.dvc_md5)
        self._client.log_inputs(
            self.run_id,
            [
                DatasetInput(
                    dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")]
                )
            ],
        )


def process_tags() -> dict[str, str]:
    """Returns the tags by which a run whose process was killed is known as such."""
    return {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}


def close_orphans(client: Any, experiment_id: str) -> None:
    """Marks runs of this machine whose process was killed as such."""
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        host, _, pid = run.data.tags.get(PROCESS_TAG, "").partition(":")
        if host == socket.gethostname() and pid.isdigit() and not _alive(int(pid)):
            client.set_terminated(run.info.run_id, "KILLED")


def log_metrics(client: Any, run_id: str, values: Mapping[str, float], step: int) -> None:
    """Writes the values of one step in one call."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    rows = [Metric(key, float(value), now, step) for key, value in values.items()]
    client.log_batch(run_id, metrics=rows)


def status_after(kind: type[BaseException] | None) -> str:
    """Returns MLflow's word for how a block ended."""
    if kind is None or issubclass(kind, RejectedError):  # an expected end
        return "FINISHED"
    return "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"


def _system_metrics(workspace: Workspace, run_id: str) -> Any:
    """Returns MLflow's own sampler of processor, memory, disk, network and GPU, not started."""
    import logging

    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)  # no GPU is no news
    return SystemMetricsMonitor(
        run_id, sampling_interval=10, resume_logging=True, tracking_uri=workspace.mlflow_uri
    )


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns `{"a.b": value}` of nested mappings."""
    out: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            out |= flatten(value, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = value
    return out


def environment() -> dict[str, Any]:
    """Returns what the training ran on: versions, processor, GPUs."""
    import keras
    import numpy
    import tensorflow as tf

    machine = look(tensorflow=True)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": numpy.__version__,
        "processor": machine.cpu or platform.processor(),
        "cpu_flags": arithmetic_flags(machine.cpu_flags),
        "cores": os.cpu_count(),
        "usable_cores": machine.cpus,
        "gpus": [gpu.name for gpu in machine.usable_gpus],
    }


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
