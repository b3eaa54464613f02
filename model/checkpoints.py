"""Where a training stands, so that a killed one goes on from its last epoch.

A checkpoint is the state after an epoch: all variables of the network and of the optimizer, as
plain arrays, and the metrics so far. Everything else follows from these: the data by skipping
what was drawn, the callbacks by hearing the metrics again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segtrail.errors import StageError
from segtrail.files import atomic_folder, read_json, write_json

_STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch.

    Attributes:
        epoch: How many epochs are done.
        history: The metrics of each of them.
        notes: What the caller wants to find again, such as a run's id.
    """

    folder: Path
    epoch: int
    history: list[dict[str, float]]
    notes: dict[str, Any]

    def values(self, name: str) -> list[npt.NDArray[Any]]:
        """Returns the arrays that were saved under a name, none if none were."""
        path = self.folder / f"{name}.npz"
        if not path.exists():
            return []
        with np.load(path, allow_pickle=False) as stored:
            return [stored[each] for each in _names(len(stored.files))]

    def restore(self, name: str, variables: Sequence[Any]) -> None:
        """Gives variables the values that were saved under a name.

        Raises:
            StageError: They are not those that were saved.
        """
        values = self.values(name)
        if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
            raise StageError(
                f"{self.folder}: expected the values of {len(variables)} variables; found "
                f"{len(values)}, or others",
                f"remove {self.folder.parent} and train again",
            )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


class Checkpoints:
    """The checkpoints of one training, of which only the newest is kept.

    Args:
        folder: Of this training alone: its name should tell what the training depends on.
        writes: False for a worker that leaves the writing to another.
    """

    def __init__(self, folder: Path, writes: bool = True) -> None:
        self.folder = folder
        self._writes = writes

    def save(
        self,
        arrays: Mapping[str, Sequence[Any]],
        epoch: int,
        history: list[dict[str, float]],
        notes: dict[str, Any],
    ) -> None:
        """Writes a checkpoint and then removes the ones before it.

        Args:
            arrays: Variables or arrays, by a name of the caller's.
            epoch: How many epochs are done.
            history: Their metrics.
            notes: JSON values to find again.
        """
        if not self._writes:
            return
        before = list(self.folder.glob("*epoch-*"))  # a kill leaves hidden ones
        target = self.folder / f"epoch-{epoch:06d}"
        with atomic_folder(target) as out:
            for name, values in arrays.items():
                named: dict[str, Any] = dict(
                    zip(_names(len(values)), map(_as_array, values), strict=True)
                )
                np.savez(out / f"{name}.npz", **named)
            write_json(out / _STATE, {"epoch": epoch, "history": history, "notes": notes})
        for folder in before:
            if folder != target:
                shutil.rmtree(folder, ignore_errors=True)

    def newest(self) -> Checkpoint | None:
        """Returns the last checkpoint that was written whole."""
        for folder in sorted(self._folders(), reverse=True):
            state = read_json(folder / _STATE)
            return Checkpoint(folder, state["epoch"], state["history"], state["notes"])
        return None

    def remove(self) -> None:
        """Removes them all."""
        if self._writes:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _folders(self) -> Iterator[Path]:
        return (f for f in self.folder.glob("epoch-*") if (f / _STATE).exists())


def _as_array(value: Any) -> npt.NDArray[Any]:
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)


def _names(count: int) -> list[str]:
    return [f"v{number:05d}" for number in range(count)]
