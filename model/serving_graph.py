"""What the SavedModel does around the network: pixels to probabilities, and these to answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from model import heads
from model.bands_graph import in_bands, level_counts
from model.largest_graph import keep_largest
from model.objects_graph import label_objects
from model.preprocessing import LEVELS, normalise
from model.scaling import sees_every_pixel, to_image_rows_in_graph, to_network_size_in_graph
from model.tiling_graph import Tiling, in_tiles
from segtrail.settings.loss import Head
from segtrail.settings.objects import Objects
from segtrail.settings.preprocessing import Preprocessing
from segtrail.task import Task


@dataclass(frozen=True)
class Segmenter:
    """A trained network and what an image goes through before and after it.

    Attributes:
        graph: The layer of the transform graph.
        network: From float32 `[1, H, W, C]`, sides multiples of `tiling.multiple`, to logits.
        planes: How many probabilities a pixel gets.
        options: Of the recipe.
        head: What makes probabilities of logits.
        tiling: How large images are cut.
    """

    graph: Any
    network: Callable[[Any], Any]
    planes: int
    options: Preprocessing
    head: Head
    tiling: Tiling

    def segment(self, pixels: Any, finish: Callable[[Any], Any], spec: Any) -> Any:
        """Returns what `finish` makes of an image's probabilities, some pixels at a time.

        The image gets the network's size and is normalised by its own grey levels; it is
        reflected at its bottom and right edges up to what the network needs; the answer is cut
        back and gets the image's own size again.

        Args:
            pixels: uint8 `[H, W, C]`.
            finish: From float32 `[h, w, P]` to what is kept of each pixel, `[h, w, ...]`.
            spec: `tf.TensorSpec` of that.
        """
        import tensorflow as tf

        small = to_network_size_in_graph(pixels, self.options)
        counts = level_counts(small, LEVELS)

        def see(rows: Any, columns: Any) -> Any:
            tile = tf.gather(tf.gather(small, rows), columns, axis=1)
            x = normalise(self.graph, tile, counts)
            return heads.probabilities(self.network(x[tf.newaxis])[0], self.head)

        size = tf.shape(small)[0], tf.shape(small)[1]
        if sees_every_pixel(self.options):
            return in_tiles(see, finish, *size, self.planes, spec, self.tiling)
        values = tf.TensorSpec([None, None, self.planes], tf.float32)
        planes = in_tiles(see, tf.identity, *size, self.planes, values, self.tiling)
        height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]

        def band(*rows: Any) -> Any:
            return finish(to_image_rows_in_graph(planes, self.options, (height, width), rows))

        return in_bands(band, height, width, spec)


def draw(planes: Any, task: Task, objects: Objects, head: Head) -> Any:
    """Returns what an answer shows of each pixel, uint8 `[H, W, K + 1]`, with a border K + 2.

    The probability of each of the K classes, of which 255 is certain; the mask's value; and 1
    where there is a border. Where each class is, `model.heads.chosen` says.

    Args:
        planes: float32 `[H, W, P]`, probabilities of `task.planes`.
        task: What the planes are, and what the mask's values mean.
        objects: The thresholds.
        head: What made the probabilities.
    """
    import tensorflow as tf

    count, exclusive = len(task.classes), task.masks == "classes"
    values = [k + 1 if exclusive else 1 << k for k in range(count)]
    classes = planes[..., :count]
    chosen = heads.chosen(classes, head, exclusive, objects.threshold)
    mask = tf.reduce_sum(tf.cast(chosen, tf.int32) * values, -1, keepdims=True)
    border = planes[..., count:] > objects.border_threshold
    drawn = [tf.round(classes * 255), mask, border]
    return tf.concat([tf.cast(part, tf.uint8) for part in drawn], -1)


def answer(segmenter: Segmenter, pixels: Any, task: Task, objects: Objects) -> dict[str, Any]:
    """Returns the outputs of `serving_default` for one image.

    Args:
        segmenter: What is asked.
        pixels: uint8 `[H, W, C]`.
        task: What its planes are, and what the mask's values mean.
        objects: Thresholds, the definition of an object, and what there is one of.
    """
    import tensorflow as tf

    spec = tf.TensorSpec([None, None, len(task.planes) + 1], tf.uint8)
    drawn = segmenter.segment(pixels, lambda p: draw(p, task, objects, segmenter.head), spec)
    *shown, mask = [drawn[..., k : k + 1] for k in range(len(task.classes) + 1)]
    if objects.largest:
        mask = keep_largest(mask[..., 0], task, objects.largest)[..., tf.newaxis]
    found = {
        "mask_png": tf.io.encode_png(mask),
        "probability_png": tf.stack([tf.io.encode_png(plane) for plane in shown]),
        "height": tf.cast(tf.shape(drawn)[0], tf.int64),
        "width": tf.cast(tf.shape(drawn)[1], tf.int64),
    }
    if task.has_objects:
        labels, count = label_objects(mask[..., 0] > 0, drawn[..., -1] > 0, objects)
        found |= {"labels_png": tf.io.encode_png(labels[..., tf.newaxis]), "count": count}
    return found
