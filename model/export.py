"""Writes the SavedModel: decoding, transform graph, network and objects in its signatures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model.decoding_graph import channels_of_16_bits, decode, to_channels
from model.receptive_field import radius
from model.serving_graph import Segmenter, answer
from model.signatures import METADATA, RAW, RAW_16, SERVING, WARM_UP
from model.tiling_graph import Tiling
from segtrail.recipe import Recipe
from segtrail.settings.loss import head_of
from segtrail.task import Task
from segtrail.tfrecord import records_to


def export(
    network: Any,
    graph: Any,
    recipe: Recipe,
    task: Task,
    facts: dict[str, str],
    out: Path,
    sample: bytes,
) -> None:
    """Writes a SavedModel that keeps the model's contract.

    Signatures: `serving_default` from `image_bytes` string `[N]` to `mask_png` string `[N]`,
    `probability_png` string `[N, K]`, `height`, `width` int64 `[N]`, and with objects
    `labels_png` string `[N]`, `count` int64 `[N]`; `raw` from `images` uint8 `[N, H, W, C]` to
    `probabilities` float32 `[N, H, W, K]`, and `raw16` from uint16, since an input has one type;
    `metadata` from nothing to class names, what the
    mask's values are (`masks`), thresholds and `facts`.

    Args:
        network: The trained `keras.Model`, giving logits.
        graph: The layer of the transform graph.
        recipe: Its preprocessing and objects.
        task: What the network's planes are.
        facts: Strings that `metadata` answers, such as `recipe` and `data_version`.
        out: The folder to write, which must not exist.
        sample: An encoded image for the warm-up request.
    """
    import tensorflow as tf

    classes, options = list(task.classes), recipe.preprocessing
    tiling = Tiling.of(recipe.network.whole_megapixels, recipe.network.down_scale, radius(network))

    class Served(tf.Module):
        """Holds what the graph needs.

        Only the raw variables are tracked and the network stays in a closure: a tracked Keras 3
        model loads in Python but not in a session, which is what TF Serving uses.
        """

        def __init__(self) -> None:
            super().__init__()
            self.graph = graph
            self.weights = [variable.value for variable in network.variables]
            self.segmenter = Segmenter(
                graph,
                lambda x: network(x, training=False),
                len(task.planes),
                options,
                head_of(recipe.training.loss),
                tiling,
            )

        @tf.function(
            autograph=False, input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")]
        )
        def serve(self, image_bytes: Any) -> dict[str, Any]:
            spec = {
                "mask_png": tf.TensorSpec([], tf.string),
                "probability_png": tf.TensorSpec([len(classes)], tf.string),
                "height": tf.TensorSpec([], tf.int64),
                "width": tf.TensorSpec([], tf.int64),
            }
            if task.has_objects:
                spec |= {
                    "labels_png": tf.TensorSpec([], tf.string),
                    "count": tf.TensorSpec([], tf.int64),
                }
            return tf.map_fn(
                lambda data: answer(self.segmenter, decode(data, options), task, recipe.objects),
                image_bytes,
                fn_output_signature=spec,
                parallel_iterations=1,  # the memory of one image, however many are asked for
            )

        def classes_of(self, images: Any) -> dict[str, Any]:
            spec = tf.TensorSpec([None, None, len(classes)], tf.float32)

            def classes_of_one(image: Any) -> Any:
                if image.dtype == tf.uint16:
                    pixels = channels_of_16_bits(image, options)
                else:
                    pixels = to_channels(image, options.colour)
                return self.segmenter.segment(pixels, lambda p: p[..., : len(classes)], spec)

            found = tf.map_fn(
                classes_of_one, images, fn_output_signature=spec, parallel_iterations=1
            )
            return {"probabilities": found}

        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec([None, None, None, None], tf.uint8, "images")],
        )
        def raw(self, images: Any) -> dict[str, Any]:
            return self.classes_of(images)

        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec([None, None, None, None], tf.uint16, "images")],
        )
        def raw16(self, images: Any) -> dict[str, Any]:
            return self.classes_of(images)

        @tf.function(autograph=False, input_signature=[])
        def metadata(self) -> dict[str, Any]:
            return {
                "class_names": tf.constant(classes),
                "masks": tf.constant(task.masks),
                "threshold": tf.constant(recipe.objects.threshold, tf.float32),
                "border_threshold": tf.constant(recipe.objects.border_threshold, tf.float32),
                **{name: tf.constant(value) for name, value in facts.items()},
            }

    served = Served()
    tf.saved_model.save(
        served,
        str(out),
        {
            SERVING: served.serve,
            RAW: served.raw,
            RAW_16: served.raw16,
            METADATA: served.metadata,
        },
    )
    # A random number of TensorFlow's own; without it the same weights give the same bytes.
    (out / "fingerprint.pb").unlink(missing_ok=True)
    _write_warm_up(out / WARM_UP, recipe_name=facts["recipe"], sample=sample)


def _write_warm_up(path: Path, recipe_name: str, sample: bytes) -> None:
    """Writes one request that TF Serving replays before a version is available."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = recipe_name
    request.model_spec.signature_name = SERVING
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([sample], tf.string, [1]))
    log = prediction_log_pb2.PredictionLog(
        predict_log=prediction_log_pb2.PredictLog(request=request)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with records_to(path) as write:
        write(log.SerializeToString(deterministic=True))
