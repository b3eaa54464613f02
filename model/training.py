"""The training loop: a fixed number of steps with a cosine schedule."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from model.losses import make_loss, mean_iou
from segtrail.errors import StageError
from segtrail.progress import say
from segtrail.settings.training import Training
from segtrail.task import Task

WARM_UP_SHARE, FINAL_RATE, WEIGHT_DECAY = 0.05, 0.01, 1e-4


def fit(
    network: Any,
    batches: Any,
    validation: Any,
    options: Training,
    task: Task,
    on_metrics: Callable[[Mapping[str, float], int], None],
) -> list[dict[str, float]]:
    """Trains in place with AdamW; returns the metrics of each `validate_every` steps.

    The rate rises over the first twentieth of the steps and then falls as a cosine to a
    hundredth (Loshchilov and Hutter, 2017 and 2019).

    Args:
        network: A `keras.Model` giving logits.
        batches: Endless `tf.data` training batches.
        validation: `tf.data` validation batches.
        options: Steps, rate, loss.
        task: What the network's planes are.
        on_metrics: Called with the metrics and the step.

    Raises:
        StageError: The loss is no longer a number.
    """
    import keras

    schedule = keras.optimizers.schedules.CosineDecay(
        options.learning_rate / 100,
        max(options.steps - int(options.steps * WARM_UP_SHARE), 1),
        alpha=FINAL_RATE,
        warmup_target=options.learning_rate,
        warmup_steps=int(options.steps * WARM_UP_SHARE),
    )
    network.compile(
        keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY),
        make_loss(options, task),
        metrics=[mean_iou(len(task.classes))],
    )
    every = min(options.validate_every, options.steps)
    epochs, rest = divmod(options.steps, every)
    history: list[dict[str, float]] = []
    started = time.monotonic()

    class Report(keras.callbacks.Callback):
        """Hands the metrics on and says how far it is."""

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            step = min((epoch + 1) * every, options.steps)
            values = {key: float(value) for key, value in (logs or {}).items()}
            _check_finite(values, step, options)
            history.append({"step": float(step)} | values)
            on_metrics(values, step)
            spent = time.monotonic() - started
            say(
                f"step {step} of {options.steps}: loss {values['loss']:.3f}, "
                f"validation loss {values['val_loss']:.3f}, IoU {values['val_iou']:.3f}; "
                f"{spent / 60:.1f} min, about {spent * (options.steps / step - 1) / 60:.1f} left"
            )

    # Keras warns at the end of each validation, whose number of batches it does not know
    warnings.filterwarnings("ignore", message="Your input ran out of data")
    # the iterator is made once, so that each epoch goes on where the last one stopped
    endless = batches.repeat()
    network.fit(
        endless, epochs=epochs, steps_per_epoch=every, validation_data=validation,
        callbacks=[Report()], verbose=0, shuffle=False,
    )  # fmt: skip
    if rest:
        network.fit(
            endless, epochs=epochs + 1, initial_epoch=epochs, steps_per_epoch=rest,
            validation_data=validation, callbacks=[Report()], verbose=0, shuffle=False,
        )  # fmt: skip
    return history


def _check_finite(values: Mapping[str, float], step: int, options: Training) -> None:
    bad = [key for key, value in values.items() if not np.isfinite(value)]
    if bad:
        raise StageError(
            f"training broke down by step {step}: {', '.join(bad)} is not a number",
            f"lower training.learning_rate (now {options.learning_rate}) in params.yaml",
        )
