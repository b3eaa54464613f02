"""Classes of which an image has one, in TensorFlow ops: `model.components.largest` in the graph."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from model.objects_graph import label_objects
from segtrail.settings.objects import Objects
from segtrail.task import Task

_COMPONENTS = Objects(grow=0, min_size=0)


def keep_largest(mask: Any, task: Task, of: Collection[str]) -> Any:
    """Returns a mask in which some classes have their largest component alone.

    Args:
        mask: uint8 `[H, W]`, as `model.serving_graph.draw` makes it.
        task: What the mask's values mean.
        of: Names of the classes.

    Returns:
        uint8 `[H, W]`.
    """
    import tensorflow as tf

    planes = []
    for k, name in enumerate(task.classes):
        value = k + 1 if task.masks == "classes" else 1 << k
        plane = (
            mask == value if task.masks == "classes" else tf.bitwise.bitwise_and(mask, value) > 0
        )
        if name in of:
            plane = _largest(plane)
        planes.append(tf.cast(plane, tf.uint8) * value)
    return tf.add_n(planes)


def _largest(plane: Any) -> Any:
    import tensorflow as tf

    labels, _ = label_objects(plane, tf.zeros_like(plane), _COMPONENTS)
    labels = tf.cast(labels, tf.int32)
    sizes = tf.math.bincount(tf.reshape(labels, [-1]))
    largest = tf.argmax(tf.concat([[0], sizes[1:]], 0), output_type=tf.int32)
    return tf.logical_and(plane, labels == largest)
