"""`Model.fit` on several machines.

Keras 3's own `fit` fails under a `MultiWorkerMirroredStrategy`
(https://github.com/keras-team/keras/issues/20585): it takes a worker's share of a batch for a
tensor. Its optimizers and metrics do sum over the replicas of any strategy, so the loop here
runs Keras's own `train_step` and `test_step` on each replica and needs nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.hardware.strategy import worker_errors


def fit(
    model: Any,
    batches: Any,
    *,
    epochs: int,
    steps_per_epoch: int,
    validation_data: Any,
    callbacks: Sequence[Any],
    initial_epoch: int = 0,
) -> None:
    """Trains as `model.fit` does, on one device, several, or several workers.

    On several workers each must call it with the same arguments and its own share of the
    batches. Metrics are those of all workers, the same on each, so that callbacks that stop or
    lower the rate decide alike. A callback that reads a metric's variable must do so on every
    worker: that is a sum over all of them.

    Args:
        model: Compiled, and built under its strategy's scope.
        batches: Endless `tf.data` batches of a fixed size; on several workers those of this
            worker, `batch_size / workers` examples each.
        epochs: The number of the last epoch, as in `model.fit`.
        steps_per_epoch: Batches of an epoch.
        validation_data: `tf.data` batches of all workers together, in the same order on each.
        callbacks: Keras callbacks. They are not told of single batches on several workers.
        initial_epoch: How many epochs were trained before.

    Raises:
        StageError: Another worker was lost.
    """
    import tensorflow as tf

    if model.distribute_strategy.num_replicas_in_sync > 1:
        model.test_step = _of_images(model, model.test_step)
    if not isinstance(model.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
        model.fit(
            batches, epochs=epochs, steps_per_epoch=steps_per_epoch, initial_epoch=initial_epoch,
            validation_data=validation_data, callbacks=list(callbacks), verbose=0, shuffle=False,
        )  # fmt: skip
        return
    with worker_errors():
        epoch_numbers = range(initial_epoch, epochs)
        _loop(model, batches, epoch_numbers, steps_per_epoch, validation_data, callbacks)


def _loop(
    model: Any,
    batches: Any,
    epochs: range,
    steps_per_epoch: int,
    validation_data: Any,
    callbacks: Sequence[Any],
) -> None:
    import keras
    import tensorflow as tf

    strategy = model.distribute_strategy

    @tf.function(reduce_retracing=True)
    def train_step(iterator: Any) -> None:
        strategy.run(model.train_step, (next(iterator),))

    @tf.function(reduce_retracing=True)
    def test_step(batch: Any) -> None:
        strategy.run(model.test_step, (batch,))

    def told() -> dict[str, float]:
        return {name: float(value) for name, value in model.get_metrics_result().items()}

    listeners = keras.callbacks.CallbackList(
        list(callbacks), add_history=True, model=model,
        epochs=epochs.stop, steps=steps_per_epoch, verbose=0,
    )  # fmt: skip
    model.stop_training = False
    training = iter(_own(batches, strategy))
    validation = strategy.experimental_distribute_dataset(_sharded_by_element(validation_data))
    listeners.on_train_begin()
    logs: dict[str, float] = {}
    for epoch in epochs:
        model.reset_metrics()
        listeners.on_epoch_begin(epoch)
        for _ in range(steps_per_epoch):
            train_step(training)
        logs = told()
        model.reset_metrics()
        listeners.on_test_begin()
        for batch in validation:
            test_step(batch)
        logs |= {f"val_{name}": value for name, value in told().items()}
        listeners.on_test_end(logs)
        listeners.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    model.optimizer.finalize_variable_values(model.trainable_weights)
    listeners.on_train_end(logs)


def _of_images(model: Any, test_step: Any) -> Any:
    """Returns a `test_step` that passes over a replica's share when no image is in it.

    The last batch may have fewer images than there are replicas, and TensorFlow's oneDNN gives a
    convolution of no images a wrong shape (2.21, on Intel's processors, [0, H, W, channels in]).
    """
    import tensorflow as tf

    def step(data: Any) -> Any:
        def some() -> Any:
            test_step(data)
            return tf.constant(True)

        tf.cond(tf.shape(tf.nest.flatten(data)[0])[0] > 0, some, lambda: tf.constant(False))
        return model.get_metrics_result()

    return step


def _own(batches: Any, strategy: Any) -> Any:
    """Returns this worker's batches, shared out to its devices."""
    import tensorflow as tf

    def for_devices(context: tf.distribute.InputContext) -> Any:
        devices = context.num_replicas_in_sync // context.num_input_pipelines
        size = tf.nest.flatten(batches.element_spec)[0].shape[0]
        return batches if devices == 1 else batches.rebatch(size // devices)

    return strategy.distribute_datasets_from_function(for_devices)


def _sharded_by_element(dataset: Any) -> Any:
    """Returns a dataset of which each worker takes every n-th element.

    By default TensorFlow would give each worker other files, and fail where there are fewer.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)
