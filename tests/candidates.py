"""Small SavedModels that keep the model's contract, or break it in one way each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BUMP = (3, 5, 40)  # row, column, 255ths


def save(path: Path | str, kind: str = "good", threshold: int = 100) -> None:
    """Saves a model of one class, `nucleus`, with objects: what is brighter than `threshold`.

    Args:
        path: Where; must not exist.
        kind: `good`, or what is wrong: `wrong types` (a count of 32 bits, no labels, no raw16),
            `other input` (`images` for `image_bytes`), `bumped` (one probability is another),
            `refuses` (each image), `tracked` (holds a Keras model).
        threshold: The weights.
    """
    import tensorflow as tf

    class Candidate(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.threshold = tf.Variable(threshold, dtype=tf.int32)
            if kind == "tracked":
                import keras

                head = keras.layers.Dense(1, use_bias=False, name="head")
                self.network = keras.Sequential([head])
                self.network.build((None, 1))

        def one(self, data: Any) -> tuple[Any, ...]:
            grey = tf.cast(tf.io.decode_png(data, channels=1), tf.int32)
            if kind == "refuses":
                with tf.control_dependencies([tf.debugging.assert_less(tf.size(grey), 2)]):
                    grey = tf.identity(grey)
            if kind == "tracked":
                seen = self.network(tf.reshape(tf.cast(grey, tf.float32), [-1, 1]))
                grey += tf.cast(tf.reduce_min(seen) * 0, tf.int32)
            mask, level = tf.cast(grey > self.threshold, tf.uint8), grey - self.threshold + 128
            if kind == "bumped":
                level += tf.scatter_nd([[BUMP[0], BUMP[1], 0]], [BUMP[2]], tf.shape(level))
            plane = tf.cast(tf.clip_by_value(level, 0, 255), tf.uint8)
            size = tf.cast(tf.shape(grey), tf.int64)
            return (
                tf.io.encode_png(mask), tf.io.encode_png(plane)[None], size[0], size[1],
                tf.io.encode_png(tf.cast(mask, tf.uint16)),
                tf.cast(tf.reduce_max(mask), tf.int64),
            )  # fmt: skip

        def answers(self, images: Any) -> dict[str, Any]:
            kinds = (tf.string, tf.string, tf.int64, tf.int64, tf.string, tf.int64)
            mask, planes, height, width, labels, count = tf.map_fn(
                self.one, images, fn_output_signature=kinds
            )
            found = {
                "mask_png": mask, "probability_png": tf.reshape(planes, [-1, 1]),
                "height": height, "width": width, "labels_png": labels, "count": count,
            }  # fmt: skip
            if kind == "wrong types":
                del found["labels_png"]
                found["count"] = tf.cast(count, tf.int32)
            return found

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
        def serve(self, image_bytes: Any) -> dict[str, Any]:
            return self.answers(image_bytes)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "images")])
        def serve_otherwise(self, images: Any) -> dict[str, Any]:
            return self.answers(images)

        @tf.function(input_signature=[tf.TensorSpec([None] * 4, tf.uint8, "images")])
        def raw(self, images: Any) -> dict[str, Any]:
            return {"probabilities": tf.cast(images[..., :1], tf.float32) / 255}

        @tf.function(input_signature=[tf.TensorSpec([None] * 4, tf.uint16, "images")])
        def raw16(self, images: Any) -> dict[str, Any]:
            return {"probabilities": tf.cast(images[..., :1], tf.float32) / 65535}

        @tf.function(input_signature=[])
        def metadata(self) -> dict[str, Any]:
            return {
                "class_names": tf.constant(["nucleus"]), "masks": tf.constant("instances"),
                "recipe": tf.constant("demo"), "data_version": tf.constant("abc"),
                "threshold": tf.constant(0.5), "border_threshold": tf.constant(0.5),
            }  # fmt: skip

    module = Candidate()
    signatures = {
        "serving_default": module.serve_otherwise if kind == "other input" else module.serve,
        "raw": module.raw, "raw16": module.raw16, "metadata": module.metadata,
    }  # fmt: skip
    if kind == "wrong types":
        del signatures["raw16"]
    tf.saved_model.save(module, str(path), signatures)


def write_warm_up(model: Path, image: bytes) -> None:
    """Puts one warm-up request beside a model, as `model.export` does."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([image]))
    log = prediction_log_pb2.PredictionLog(
        predict_log=prediction_log_pb2.PredictLog(request=request)
    )
    path = model / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(log.SerializeToString())
