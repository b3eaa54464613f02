"""The training loop: epochs of a fixed number of steps, each with a validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from model.checkpoints import Checkpoints
from model.hardware import distributed
from model.hardware.planning import Plan
from model.hardware.strategy import share_of
from model.losses import make_loss
from model.metrics import make_metrics
from model.networks.registry import supervised
from model.schedules import learning_rate
from segtrail.progress import say
from segtrail.settings.training import MONITORS, Training
from segtrail.task import Task


def fit(
    network: Any,
    batches: Callable[[int], Any],
    validation: Any,
    options: Training,
    task: Task,
    plan: Plan,
    checkpoints: Checkpoints | None,
    tell: Callable[..., None],
    notes: dict[str, Any] | None = None,
    keepers: Sequence[Any] = (),
    watchers: Sequence[Any] = (),
) -> list[dict[str, float]]:
    """Trains in place with AdamW (Loshchilov and Hutter, 2019); returns each epoch's metrics.

    An epoch is `validate_every` steps, the last one perhaps fewer. With `checkpoints` the state
    is saved at the end of each, and a training that finds a state goes on from there, to the
    same weights as an unbroken one if the machine computes deterministically.

    Args:
        network: A `keras.Model` giving logits.
        batches: From a number of steps to the endless `tf.data` batches that come after them.
        validation: `tf.data` validation batches.
        options: Steps, schedule, loss, early stopping.
        task: What the network's planes are.
        plan: What of the machine is used; the network was built under its strategy.
        checkpoints: Of this very training; None saves nothing.
        tell: Called with each epoch's metrics and the step.
        notes: Saved with each checkpoint.
        keepers: More Keras callbacks, see `model.training_callbacks.Keeper`.
        watchers: Keras callbacks with nothing to save, called after all others.

    Raises:
        StageError: The loss is no longer a number.
    """
    import keras

    from model.training_callbacks import KeepBest, Report, Resume

    learner = compiled(network, options, task, plan)

    monitor, mode = MONITORS[options.monitor]
    best, listeners = KeepBest(options.monitor), []
    if options.keep == "best":
        listeners.append(best)
        keepers = [best, *keepers]
    if options.schedule.kind == "plateau":
        listeners.append(
            keras.callbacks.ReduceLROnPlateau(
                monitor, options.schedule.factor, options.schedule.patience, mode=mode
            )
        )
    if stop := options.early_stopping:
        listeners.append(
            keras.callbacks.EarlyStopping(monitor, stop.min_delta, stop.patience, mode=mode)
        )

    found = checkpoints.newest() if checkpoints else None
    history = list(found.history) if found else []
    resume = Resume(checkpoints, listeners, list(keepers), history, notes or {})
    stopped = False
    if found:
        stopped = found.notes["stopped"]
        say(f"resuming after step {history[-1]['step']:.0f} of {options.steps}")
        resume.start_from(found)
    done = len(history)
    report = Report(options, history, tell)
    # the one that saves comes last, when all others have heard the epoch
    callbacks = [report, *dict.fromkeys([*listeners, *keepers]), *watchers, resume]

    # Keras warns at the end of each validation, whose number of batches it does not know
    warnings.filterwarnings("ignore", message="Your input ran out of data")
    whole, rest = divmod(options.steps, options.validate_every)
    for last, steps in ((whole, options.validate_every), (whole + 1, rest)):
        if steps and len(history) < last and not stopped:
            # one iterator for all its epochs: each goes on where the last one stopped
            endless = batches(options.steps_after(len(history)))
            distributed.fit(
                learner, endless, initial_epoch=len(history), epochs=last, steps_per_epoch=steps,
                validation_data=validation, callbacks=callbacks,
            )  # fmt: skip
            stopped = learner.stop_training
    if stopped and history[-1]["step"] < options.steps:
        say(f"stopped early, after step {history[-1]['step']:.0f} of {options.steps}")
    if found and done == len(history):  # it was killed after its last epoch
        found.restore("state", [*learner.variables, *learner.optimizer.variables])
        for keeper in keepers:
            keeper.values = found.values(keeper.name)
    if options.keep == "best":
        best.restore(learner)
        say(f"keeping the weights after step {best_epoch(history, options)['step']:.0f}, the best")
    return history


def compiled(network: Any, options: Training, task: Task, plan: Plan) -> Any:
    """Returns what is trained: a model on the network's weights, its optimizer built.

    Args:
        network: Giving logits, built under the plan's strategy.
        options: Schedule and loss.
        task: What the network's planes are.
        plan: What of the machine is used.
    """
    import keras

    with network.distribute_strategy.scope():
        learner = supervised(network)
        learner.compile(
            keras.optimizers.AdamW(learning_rate(options), weight_decay=options.weight_decay),
            share_of(make_loss(options, task), plan.replicas),
            metrics=make_metrics(options, task),
            jit_compile=plan.jit_compile,
        )
        learner.optimizer.build(learner.trainable_variables)
    return learner


def kept_epoch(history: list[dict[str, float]], options: Training) -> dict[str, float]:
    """Returns the metrics of the epoch whose weights are exported."""
    return history[-1] if options.keep == "last" else best_epoch(history, options)


def best_epoch(history: list[dict[str, float]], options: Training) -> dict[str, float]:
    """Returns the metrics of the epoch whose validation was the best, the first if several were."""
    key, mode = MONITORS[options.monitor]
    return (max if mode == "max" else min)(history, key=lambda row: row[key])
