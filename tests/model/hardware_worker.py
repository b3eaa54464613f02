"""One training process, started by `test_hardware_distributed.py`.

    python hardware_worker.py FOLDER STRATEGY [DIE_AFTER_EPOCH]

Trains a small network with batch normalisation on a fixed set of batches under `one-device`,
`mirrored` (two logical CPU devices) or `multi-worker` (as `TF_CONFIG` says) and writes what it
has learnt to FOLDER/<strategy><index>.npz.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
import tensorflow as tf

from model.hardware.distributed import fit
from model.hardware.machine import look
from model.hardware.planning import Plan, plan
from model.hardware.strategy import apply, leave, plain_copy, share_of, synchronise_batch_norm
from segtrail.errors import SegtrailError
from segtrail.settings.hardware import Hardware

BATCH, STEPS, EPOCHS = 8, 6, 3
EXIT_REFUSED = 9


def build() -> keras.Model:
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", use_bias=False)(inputs)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.ReLU()(x)
    return keras.Model(inputs, keras.layers.Conv2D(1, 1, dtype="float32")(x))


def images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(count, 8, 8, 3)).astype(np.float32)
    return x, (x.sum(-1, keepdims=True) > 0).astype(np.float32)


def binary_cross_entropy(y: Any, logits: Any) -> Any:
    """A scalar, as the losses of recipes are."""
    return keras.ops.mean(keras.ops.binary_crossentropy(y, logits, from_logits=True))


def main(folder: str, strategy: str, die_after: str = "") -> None:
    if strategy == "mirrored":
        # the plan refuses to mirror over CPUs; here they stand in for GPUs
        devices = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            devices[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        chosen = Plan("mirrored", ("CPU:0", "CPU:1"), "float32", False, ())
    else:
        precision = os.environ.get("PRECISION", "auto")
        chosen = plan(Hardware(strategy=strategy, precision=precision), look(tensorflow=True))
    scope = apply(chosen, BATCH)
    index, workers = (chosen.cluster.index if chosen.cluster else 0), chosen.workers
    keras.utils.set_random_seed(1)
    with scope.scope():
        network = build()
        assert synchronise_batch_norm(network) == 1
        network.compile(
            keras.optimizers.AdamW(0.01, weight_decay=0.01),
            share_of(binary_cross_entropy, chosen.replicas),
            metrics=[keras.metrics.BinaryAccuracy("accuracy", threshold=0)],
        )
    batches = tf.data.Dataset.from_tensor_slices(images(BATCH * STEPS, seed=0)).repeat()
    batches = batches.shard(workers, index).batch(BATCH // workers, drop_remainder=True)
    # 17: the last batch has one image, fewer than there are workers
    validation = tf.data.Dataset.from_tensor_slices(images(17, seed=1)).batch(BATCH)
    history = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            history.append(logs)
            print(f"epoch {epoch} of {strategy} {index}", flush=True)
            if die_after and epoch == int(die_after):
                os.kill(os.getpid(), 9)

    fit(
        network, batches, epochs=EPOCHS, steps_per_epoch=STEPS,
        validation_data=validation, callbacks=[Watch()],
    )  # fmt: skip
    copy = plain_copy(network, build)
    assert not hasattr(copy.weights[0].value, "values"), "the copy is still distributed"
    weights = {f"w{number}": value for number, value in enumerate(copy.get_weights())}
    np.savez(Path(folder) / f"{strategy}{index}.npz", history=json.dumps(history), **weights)
    if chosen.chief and chosen.cluster:
        time.sleep(15)  # it has a model to export, while the others have no more to do
    leave(scope)
    print(f"iterations {int(network.optimizer.iterations.numpy())}", flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except SegtrailError as e:
        print(f"refused: {e}", flush=True)
        sys.exit(EXIT_REFUSED)
