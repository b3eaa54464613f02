"""Puts a plan into effect."""

from __future__ import annotations

import faulthandler
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from model.hardware.planning import FLOAT32, MIRRORED, MULTI_WORKER, Plan
from model.hardware.rendezvous import PATIENCE_S, meet
from segtrail.errors import ConfigError, StageError
from segtrail.progress import say


def apply(plan: Plan, batch_size: int) -> Any:
    """Sets Keras's precision and returns the `tf.distribute` strategy to train under.

    Call it before anything else uses TensorFlow: workers can only be joined at the start.
    Networks and optimizers belong inside `strategy.scope()`; for one device that is TensorFlow's
    default strategy, whose scope changes nothing.

    Args:
        plan: From `model.hardware.planning.plan`.
        batch_size: Of all replicas together.

    Raises:
        ConfigError: The batch cannot be shared out evenly.
        StageError: Another worker did not come, or plans otherwise.
    """
    import keras
    import tensorflow as tf

    if batch_size % plan.replicas:
        raise ConfigError(
            f"training.batch_size ({batch_size}) must be a multiple of {plan.replicas}, the number "
            f"of replicas that share each batch: {plan.summary}"
        )
    keras.config.set_dtype_policy(plan.precision)
    gpus = tf.config.list_physical_devices("GPU")
    if plan.strategy == MULTI_WORKER:
        return _join(plan)
    if plan.strategy == MIRRORED:
        return tf.distribute.MirroredStrategy(list(plan.devices))
    if gpus and len(gpus) > 1:  # or TensorFlow would fill the memory of those it does not use
        tf.config.set_visible_devices(gpus[:1], "GPU")
    elif gpus and not plan.devices[0].startswith("GPU"):
        tf.config.set_visible_devices([], "GPU")
    return tf.distribute.get_strategy()


def _join(plan: Plan) -> Any:
    import tensorflow as tf

    assert plan.cluster is not None
    meet(plan.cluster)
    say(f"joining {plan.workers} workers; without an answer this ends after {PATIENCE_S:.0f} s")
    # the wait is in native code that holds Python's lock, where only this timer gets through
    faulthandler.dump_traceback_later(PATIENCE_S, exit=True)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    finally:
        faulthandler.cancel_dump_traceback_later()
    agree(strategy, f"{plan.precision} on {len(plan.devices)} devices", "the hardware")
    return strategy


def agree(strategy: Any, mine: str, what: str) -> None:
    """Checks that every worker holds the same, such as the step that it would resume from.

    Workers that differ would train different things, or wait for each other without end.

    Args:
        strategy: Any; where there is one process nothing is checked.
        mine: What this worker holds, in words.
        what: What that is about.

    Raises:
        StageError: Another worker holds something else, or was lost.
    """
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    digest = tf.constant([zlib.crc32(mine.encode())], tf.int64)
    with worker_errors():
        found = strategy.gather(strategy.run(lambda: digest), axis=0).numpy()
    if len(set(found.tolist())) > 1:
        raise StageError(
            f"the workers differ in {what}; this one has: {mine}",
            "make them alike; docs/hardware.md tells what they share",
        )


def synchronise_batch_norm(network: Any) -> int:
    """Lets batch normalisation see the whole batch instead of each replica's share.

    Without it the running averages would differ from worker to worker, since Keras averages
    them over nothing. With it a training on several replicas is that of one device with the
    whole batch, but for Dice and Tversky terms, which are ratios over a replica's share.

    Args:
        network: A `keras.Model`, before it is compiled.

    Returns:
        How many layers were changed.
    """
    import keras

    changed = 0
    for layer in _layers(network):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
            changed += 1
    return changed


def share_of(loss: Callable[[Any, Any], Any], replicas: int) -> Callable[[Any, Any], Any]:
    """Returns a loss whose sum over the replicas is the mean of `loss` over them.

    Keras sums the gradients of the replicas, and scales a loss for that where it takes the mean
    itself, but not one that comes as a scalar: that would train, and be told, as many times as
    large as on one device.

    Args:
        loss: From truth and prediction of a replica's share of a batch to a scalar.
        replicas: How many share a batch.
    """
    if replicas == 1:
        return loss

    def share(y: Any, predicted: Any) -> Any:
        from keras import ops

        # the last validation batch may have fewer images than there are replicas
        empty = ops.equal(ops.shape(y)[0], 0)
        return ops.where(empty, 0.0, loss(y, predicted)) / replicas

    return share


def leave(strategy: Any) -> None:
    """Waits until every worker has come here; nothing to do for a single process.

    The last thing a worker does: the chief still exports when the others have nothing left to
    do, and a worker that ends early counts as lost.

    Raises:
        StageError: Another worker was lost instead.
    """
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    with worker_errors():
        strategy.reduce("SUM", strategy.run(lambda: tf.constant(1)), axis=None)


@contextmanager
def worker_errors() -> Iterator[None]:
    """Turns what TensorFlow raises when another worker is lost into a `StageError`."""
    import tensorflow as tf

    try:
        yield
    except (
        tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
        tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError,
    ) as e:  # fmt: skip
        said = next((line for line in e.message.splitlines() if "rror" in line), e.message)
        raise StageError(
            f"training lost another worker: {said[:300]}",
            "start segtrail train on every worker again: it resumes after the last epoch",
        ) from None


def plain_copy(network: Any, build: Callable[[], Any]) -> Any:
    """Returns the network in float32 for one device, which is what is exported and served.

    Args:
        network: Trained, under any strategy and precision.
        build: Makes the same network anew.
    """
    import keras
    import tensorflow as tf

    if tf.distribute.has_strategy():
        raise RuntimeError("plain_copy must be called outside of every strategy's scope")
    keras.config.set_dtype_policy(FLOAT32)
    copy = build()
    copy.set_weights(network.get_weights())
    return copy


def _layers(network: Any) -> Iterator[Any]:
    for layer in getattr(network, "layers", ()):
        yield layer
        yield from _layers(layer)
