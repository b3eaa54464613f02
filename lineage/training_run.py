"""Writes a training run to MLflow: parameters, curves, data digest, environment, files."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lineage import mlflow_record
from lineage.data_version import DataVersion
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
    """

    def __init__(
        self,
        workspace: Workspace,
        name: str,
        params: Mapping[str, Any],
        data: DataVersion,
        tags: Mapping[str, str],
    ) -> None:
        self._client: Any = mlflow_record.client(workspace)
        self.experiment_id = mlflow_record.experiment(self._client, workspace, name)
        self._close_orphans()
        process = f"{socket.gethostname()}:{os.getpid()}"
        run = self._client.create_run(self.experiment_id, tags={PROCESS_TAG: process, **tags})
        self.run_id: str = run.info.run_id
        self._write(params, data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.set_terminated(self.run_id, "FINISHED" if kind is None else "FAILED")

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Writes the values of one step in one call."""
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        rows = [Metric(key, float(value), now, step) for key, value in values.items()]
        self._client.log_batch(self.run_id, metrics=rows)

    def file(self, path: Path) -> None:
        """Keeps a copy of a file with the run."""
        self._client.log_artifact(self.run_id, str(path))

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

    def _close_orphans(self) -> None:
        """Marks runs of this machine whose process was killed as such."""
        for run in self._client.search_runs([self.experiment_id], "attributes.status = 'RUNNING'"):
            host, _, pid = run.data.tags.get(PROCESS_TAG, "").partition(":")
            if host == socket.gethostname() and pid.isdigit() and not _alive(int(pid)):
                self._client.set_terminated(run.info.run_id, "KILLED")


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

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": numpy.__version__,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
