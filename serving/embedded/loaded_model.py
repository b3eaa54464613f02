"""A SavedModel in a TensorFlow session: the loader, and the checks, of TF Serving."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from segtrail.session_errors import one_line
from serving.embedded.call import Arrays, Call
from serving.embedded.image_check import IMAGES, check_images
from serving.embedded.refusal import FAILED_PRECONDITION, INVALID_ARGUMENT, Refusal, code_of
from serving.embedded.signature_tensors import check_inputs, chosen, to_array, to_proto
from serving.image_input import MAX_PIXELS

v1 = tf.compat.v1

DEFAULT_SIGNATURE = "serving_default"
WARMUP = "assets.extra/tf_serving_warmup_requests"


class LoadedModel:
    """One version in memory. Threads may share it.

    Args:
        path: The SavedModel.
        intra_op: Threads of one operation; 0 lets TensorFlow choose.
        inter_op: Operations at once; 0 lets TensorFlow choose.
        warm_up: Whether to replay the warm-up requests that lie in the SavedModel.
        max_pixels: At most so many in one encoded image.

    Raises:
        Exception: The SavedModel cannot be loaded, or a warm-up request fails.
    """

    def __init__(
        self,
        path: Path,
        intra_op: int = 0,
        inter_op: int = 0,
        warm_up: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._max_pixels = max_pixels
        options = v1.ConfigProto(
            intra_op_parallelism_threads=intra_op, inter_op_parallelism_threads=inter_op
        )
        options.gpu_options.allow_growth = True  # a training may run beside this server
        graph = tf.Graph()
        self._session = v1.Session(graph=graph, config=options)
        try:
            with graph.as_default():
                meta_graph = v1.saved_model.load(self._session, ["serve"], str(path))
            graph.finalize()
            self.signatures: dict[str, Any] = dict(meta_graph.signature_def)
            if warm_up:
                self._warm_up(path / WARMUP)
        except BaseException:
            self._session.close()
            raise

    def close(self) -> None:
        """Frees the memory.

        A graph is made of circles of Python objects, and glibc keeps what was freed: without the
        collection and the trimming a server grows by some 15 MiB with each change of its version.
        """
        self._session.close()
        del self._session
        self.signatures = {}
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)

    def call(
        self,
        signature_name: str,
        inputs: Mapping[str, Any],
        output_filter: Sequence[str],
        deadline: float | None = None,
    ) -> Call:
        """Returns a request that one signature can compute.

        Args:
            signature_name: Its name; empty for `serving_default`.
            inputs: `tensorflow.TensorProto` by input name.
            output_filter: Which outputs to compute; empty for all.
            deadline: See `Call`.

        Raises:
            Refusal: With TF Serving's status codes; or an image is damaged or too large.
        """
        name = signature_name or DEFAULT_SIGNATURE
        if (signature := self.signatures.get(name)) is None:
            raise Refusal(FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        check_inputs(inputs, signature.inputs)
        arrays = {
            alias: to_array(alias, inputs[alias], info.dtype)
            for alias, info in signature.inputs.items()
        }
        outputs = tuple(chosen(output_filter, signature.outputs))
        images = arrays.get(IMAGES)
        if images is not None and images.dtype == object and images.ndim == 1:
            check_images(images, self._max_pixels)
        return Call(name, arrays, outputs, deadline)

    def compute(self, call: Call, blame: bool = True) -> dict[str, npt.NDArray[Any]]:
        """Runs the session.

        Args:
            call: What to compute.
            blame: Whether to find out, when it fails, which row it was.

        Returns:
            Arrays by output name.

        Raises:
            Refusal: The deadline has passed, or the session failed, with its own status.
        """
        signature = self.signatures[call.signature]
        feed = {signature.inputs[alias].name: array for alias, array in call.inputs.items()}
        fetch = {alias: signature.outputs[alias].name for alias in call.outputs}
        left = call.left()
        options = None if left is None else v1.RunOptions(timeout_in_ms=max(1, int(left * 1000)))
        try:
            found = self._session.run(fetch, feed, options=options)
        except tf.errors.OpError as e:
            refusal = Refusal(code_of(e.error_code), one_line(e.message))
        except (TypeError, ValueError) as e:
            refusal = Refusal(INVALID_ARGUMENT, one_line(str(e)))
        else:
            return {alias: np.asarray(value) for alias, value in found.items()}
        if blame and IMAGES in call.inputs and refusal.code == INVALID_ARGUMENT:
            refusal = self._blamed(call, refusal)
        raise refusal

    def protos(self, call: Call, found: Arrays) -> dict[str, Any]:
        """Returns `tensorflow.TensorProto` by output name, as TF Serving writes them."""
        outputs = self.signatures[call.signature].outputs
        return {alias: to_proto(value, outputs[alias]) for alias, value in found.items()}

    def _blamed(self, call: Call, refusal: Refusal) -> Refusal:
        """Returns the refusal of the first image that is refused by itself, with its number."""
        for number in range(call.rows):
            try:
                self.compute(call.row(number), blame=False)
            except Refusal as e:
                return Refusal(e.code, f"{IMAGES}[{number}]: {e.message}")
        return refusal

    def _warm_up(self, records: Path) -> None:
        if not records.is_file():
            return
        for record in tf.data.TFRecordDataset(str(records)).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") == "predict_log":
                request = log.predict_log.request
                spec = request.model_spec
                self.compute(self.call(spec.signature_name, request.inputs, request.output_filter))
