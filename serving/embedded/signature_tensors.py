"""A request's tensors against a signature, with TF Serving's checks and in its words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.embedded.refusal import INVALID_ARGUMENT, Refusal


def check_inputs(given: Collection[str], expected: Collection[str]) -> None:
    """Refuses inputs that a signature lacks, or has besides."""
    extra, missing = sorted(set(given) - set(expected)), sorted(set(expected) - set(given))
    if len(given) != len(expected):
        raise Refusal(
            INVALID_ARGUMENT,
            f"input size does not match signature: {len(given)}!={len(expected)} "
            f"len({_set(given)}) != len({_set(expected)}). Sent extra: {_set(extra)}. "
            f"Missing but required: {_set(missing)}.",
        )
    if extra:
        raise Refusal(
            INVALID_ARGUMENT,
            f"input tensor alias not found in signature: {extra[0]}. "
            f"Inputs expected to be in the set {_set(expected)}.",
        )


def chosen(output_filter: Sequence[str], outputs: Collection[str]) -> Sequence[str]:
    """Returns the names of the outputs to compute; of no filter: all."""
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in outputs:
            raise Refusal(
                INVALID_ARGUMENT,
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {_set(outputs)}.",
            )
        if alias in seen:
            raise Refusal(INVALID_ARGUMENT, f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return list(output_filter) or sorted(outputs)


def to_array(alias: str, tensor: Any, dtype: int) -> npt.NDArray[Any]:
    """Returns an input's values; refused if they are of another type, or do not fit its shape."""
    if tensor.dtype != dtype:
        raise Refusal(
            INVALID_ARGUMENT,
            f"input {alias}: expected a tensor of type {tf.as_dtype(dtype).name}; "
            f"got type number {tensor.dtype}",
        )
    try:
        return tf.make_ndarray(tensor)
    except (TypeError, ValueError, IndexError) as e:
        raise Refusal(
            INVALID_ARGUMENT, f"tensor parsing error: {alias}: {' '.join(str(e).split())}"
        ) from e


_FIELDS = {
    "float32": "float_val", "float64": "double_val", "int64": "int64_val", "bool": "bool_val",
    "int32": "int_val", "int16": "int_val", "int8": "int_val", "uint8": "int_val",
    "uint16": "int_val", "uint32": "uint32_val", "uint64": "uint64_val",
}  # fmt: skip


def to_proto(value: Any, info: Any) -> Any:
    """Writes a tensor as TF Serving does: numbers one by one in their `*_val` field."""
    dtype = tf.as_dtype(info.dtype)
    array = np.asarray(value)
    if (field := _FIELDS.get(dtype.name)) is None:
        return tf.make_tensor_proto(value, dtype=dtype, shape=array.shape)
    shape = tf.TensorShape(array.shape).as_proto()
    tensor = tensor_pb2.TensorProto(dtype=info.dtype, tensor_shape=shape)
    getattr(tensor, field).extend(array.ravel().tolist())
    return tensor


def _set(names: Collection[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
