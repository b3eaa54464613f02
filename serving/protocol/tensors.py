"""Numpy arrays to and from TensorProto, in both ways in which a server may write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.protocol.predict_pb2 import DataType, TensorProto, TensorShapeProto

# dtype -> (numpy type, the repeated field that holds its values)
_KINDS: dict[DataType, tuple[Any, str]] = {
    DataType.DT_FLOAT: (np.float32, "float_val"),
    DataType.DT_DOUBLE: (np.float64, "double_val"),
    DataType.DT_INT32: (np.int32, "int_val"),
    DataType.DT_UINT8: (np.uint8, "int_val"),
    DataType.DT_INT16: (np.int16, "int_val"),
    DataType.DT_INT8: (np.int8, "int_val"),
    DataType.DT_INT64: (np.int64, "int64_val"),
    DataType.DT_BOOL: (np.bool_, "bool_val"),
    DataType.DT_UINT16: (np.uint16, "int_val"),
    DataType.DT_UINT32: (np.uint32, "uint32_val"),
    DataType.DT_UINT64: (np.uint64, "uint64_val"),
}
_NUMBERS = {np.dtype(kind): number for number, (kind, _) in _KINDS.items()}


def strings(values: Sequence[bytes]) -> TensorProto:
    """Returns a string tensor `[N]`."""
    return TensorProto(
        dtype=DataType.DT_STRING, tensor_shape=_shape((len(values),)), string_val=values
    )


def to_proto(array: npt.ArrayLike) -> TensorProto:
    """Returns a tensor of the array's shape: bytes, str or a number type of `tensors`.

    Raises:
        TypeError: The array's type has no counterpart.
    """
    array = np.asarray(array)
    if array.dtype.kind in "SUO":
        flat = [v.encode() if isinstance(v, str) else bytes(v) for v in array.ravel().tolist()]
        return TensorProto(
            dtype=DataType.DT_STRING, tensor_shape=_shape(array.shape), string_val=flat
        )
    if (number := _NUMBERS.get(array.dtype)) is None:
        raise TypeError(f"expected strings or numbers; received an array of {array.dtype}")
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return TensorProto(
        dtype=number, tensor_shape=_shape(array.shape), tensor_content=little.tobytes()
    )


def to_array(tensor: TensorProto) -> npt.NDArray[Any]:
    """Returns the tensor as an array; strings as an object array of bytes.

    A `*_val` field may be shorter than the tensor: its last value fills the rest.

    Raises:
        ValueError: The type is unknown, or the values do not fill the shape.
    """
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    size = int(np.prod(shape, dtype=np.int64))
    if tensor.dtype == DataType.DT_STRING:
        values = _fill(list(tensor.string_val), size, b"", shape)
        array = np.empty(size, dtype=object)
        array[:] = values
        return array.reshape(shape)
    if tensor.dtype not in _KINDS:
        raise ValueError(f"a tensor of type {tensor.dtype}, which is unknown here")
    kind, field = _KINDS[tensor.dtype]
    if tensor.tensor_content:
        content = np.frombuffer(tensor.tensor_content, np.dtype(kind).newbyteorder("<"))
        if content.size != size:
            raise ValueError(f"a tensor of shape {shape} with {content.size} values")
        return content.astype(kind).reshape(shape)
    return np.array(_fill(list(getattr(tensor, field)), size, 0, shape), dtype=kind).reshape(shape)


def _fill(values: list[Any], size: int, empty: Any, shape: tuple[int, ...]) -> list[Any]:
    if len(values) > size:
        raise ValueError(f"a tensor of shape {shape} with {len(values)} values")
    return values + [values[-1] if values else empty] * (size - len(values))


def _shape(shape: tuple[int, ...]) -> TensorShapeProto:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=n) for n in shape])
