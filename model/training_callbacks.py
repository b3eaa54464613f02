"""What happens at the end of each epoch: metrics told, the best kept, the state saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt

from model.checkpoints import Checkpoint, Checkpoints
from segtrail.errors import StageError
from segtrail.progress import say
from segtrail.settings.training import MONITORS, Training

OnMetrics = Callable[[Mapping[str, float], int], None]
_CHECK_EVERY = 16  # batches: reading the loss makes a GPU wait


class Report(keras.callbacks.Callback):
    """Refuses what is not a number, remembers the metrics and says how far it is."""

    def __init__(self, options: Training, history: list[dict[str, float]], tell: OnMetrics) -> None:
        super().__init__()
        self._options, self._history, self._tell = options, history, tell
        self._started = time.monotonic()
        self._done_before = len(history)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stops soon, not an epoch later, when the loss is not a number any more."""
        if batch % _CHECK_EVERY == 0 and not np.isfinite(float((logs or {})["loss"])):
            raise _broke_down("loss", len(self._history), self._options)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        options = self._options
        values = {key: float(value) for key, value in (logs or {}).items()}
        if bad := [key for key, value in values.items() if not np.isfinite(value)]:
            raise _broke_down(", ".join(bad), epoch, options)
        step = options.steps_after(epoch + 1)
        values["learning_rate"] = float(self.model.optimizer.learning_rate)
        self._history.append({"step": float(step)} | values)
        self._tell(values, step)
        spent = time.monotonic() - self._started
        left = spent / (len(self._history) - self._done_before)
        left *= -(-options.steps // options.validate_every) - len(self._history)
        say(
            f"step {step} of {options.steps}: loss {values['loss']:.3f}, "
            f"validation loss {values['val_loss']:.3f}, IoU {values['val_iou']:.3f}; "
            f"{spent / 60:.1f} min, about {left / 60:.1f} left"
        )


class Keeper(Protocol):
    """A callback with arrays that are saved with each checkpoint, under its name."""

    name: str
    values: list[npt.NDArray[Any]]


class KeepBest(keras.callbacks.Callback):
    """Holds a copy of the network's values of the best epoch."""

    name = "best"

    def __init__(self, monitor: str) -> None:
        super().__init__()
        self._key, mode = MONITORS[monitor]
        self._sign = 1.0 if mode == "max" else -1.0
        self._best = -np.inf
        self.values: list[npt.NDArray[Any]] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        value = self._sign * float((logs or {})[self._key])
        if value > self._best:
            self._best = value
            self.values = [np.copy(keras.ops.convert_to_numpy(v)) for v in self.model.variables]

    def restore(self, network: keras.Model) -> None:
        """Gives the network the values of the best epoch."""
        for variable, value in zip(network.variables, self.values, strict=True):
            variable.assign(value)


class Resume(keras.callbacks.Callback):
    """Brings all to where a checkpoint left it, and saves one at the end of each epoch.

    The other callbacks hear the metrics of the epochs that are done, so that patience is what
    it would be in an unbroken run; then the variables get their values.

    Args:
        checkpoints: Where they are; None saves nothing.
        listeners: The callbacks whose memory is of metrics.
        keepers: The callbacks whose memory is of arrays.
        history: Of the epochs done, as `Report` keeps it; grows.
        notes: What is saved with each checkpoint.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        listeners: list[keras.callbacks.Callback],
        keepers: list[Keeper],
        history: list[dict[str, float]],
        notes: dict[str, Any],
    ) -> None:
        super().__init__()
        self._checkpoints, self._listeners, self._keepers = checkpoints, listeners, keepers
        self._history, self._notes = history, notes
        self._from: Checkpoint | None = None

    def start_from(self, checkpoint: Checkpoint) -> None:
        """Has the training begin where `checkpoint` stands."""
        self._from = checkpoint

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        # listening lowers the rate once more, so the optimizer gets its values back
        before = [keras.ops.convert_to_numpy(v) for v in self.model.optimizer.variables]
        for epoch, row in enumerate(self._history):
            for listener in self._listeners:
                listener.on_epoch_end(epoch, {k: v for k, v in row.items() if k != "step"})
        for variable, value in zip(self.model.optimizer.variables, before, strict=True):
            variable.assign(value)
        if self._from is not None:
            self._from.restore("state", self._variables())
            for keeper in self._keepers:
                keeper.values = self._from.values(keeper.name)
            self._from = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if self._checkpoints is None:
            return
        arrays = {"state": self._variables()} | {k.name: k.values for k in self._keepers}
        notes = self._notes | {"stopped": bool(self.model.stop_training)}
        self._checkpoints.save(arrays, epoch + 1, self._history, notes)

    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.model.optimizer.variables]


def _broke_down(what: str, epoch: int, options: Training) -> StageError:
    return StageError(
        f"training broke down after step {epoch * options.validate_every}: {what} is not a number",
        f"lower training.learning_rate (now {options.learning_rate}) in params.yaml, or lengthen "
        "training.schedule.warm_up; with mixed_float16, try mixed_bfloat16",
    )
