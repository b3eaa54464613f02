"""What a training needs, from the recipe and what the stages before have made."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from model.hardware.machine import look
from model.hardware.planning import Plan, plan
from model.hardware.strategy import apply, plain_copy, synchronise_batch_norm
from model.networks.registry import build
from model.training_data import training_batches, validation_batches
from segtrail.artifacts import TRAIN, VALIDATION, TransformGraph
from segtrail.colour import CHANNELS
from segtrail.files import read_json
from segtrail.recipe import Recipe
from segtrail.task import Task

_VALIDATION_TILES = 160  # enough to see how training goes; the test split decides


@dataclass(frozen=True)
class Session:
    """A network and its data, ready for `model.training.fit`.

    Attributes:
        plan: What of the machine is used.
        strategy: The `tf.distribute` strategy that the network was built under.
        graph: The layer of the transform graph.
        network: Untrained, giving logits.
        make: Builds the same network anew.
        batches: From a number of steps to the training batches after them.
        validation: The validation batches.
    """

    plan: Plan
    strategy: Any
    graph: Any
    network: Any
    make: Callable[[], Any]
    batches: Callable[[int], Any]
    validation: Any

    def served_network(self) -> Any:
        """Returns the trained network in float32 and for one device."""
        if self.plan.replicas == 1 and self.plan.precision == "float32":
            return self.network
        return plain_copy(self.network, self.make)


def prepare(recipe: Recipe, task: Task, transform: TransformGraph) -> Session:
    """Seeds everything random and builds network and batches.

    Call it before anything else uses TensorFlow: devices are chosen, and other workers joined,
    at the start.

    Raises:
        ConfigError: The recipe asks for hardware that is not there.
        StageError: Another worker did not come.
    """
    # TensorFlow's own allocator keeps its pages: a tenth less time than malloc on CPU
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")

    import keras
    import tensorflow as tf
    import tensorflow_transform as tft

    options, planes = recipe.training, len(task.planes)
    chosen = plan(options.hardware, look(tensorflow=True))
    strategy = apply(chosen, options.batch_size)
    keras.utils.set_random_seed(options.seed)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    make = partial(build, recipe.network, CHANNELS[recipe.preprocessing.colour], planes)
    with strategy.scope():
        network = make()
        if chosen.replicas > 1:
            synchronise_batch_norm(network)
    graph = tft.TFTransformOutput(str(transform.graph)).transform_features_layer()
    share = (chosen.cluster.index, chosen.workers) if chosen.cluster else (0, 1)
    batches = partial(
        training_batches,
        transform.tiles(TRAIN), graph, recipe.preprocessing, options, planes, share,
    )  # fmt: skip
    tiles = sum(read_json(transform.statistics)["tiles"][VALIDATION].values())
    validation = validation_batches(
        transform.tiles(VALIDATION), graph, recipe.preprocessing, options.batch_size, planes,
        every=-(-tiles // _VALIDATION_TILES),
    )  # fmt: skip
    return Session(chosen, strategy, graph, network, make, batches, validation)
