"""What a client asks a model server, and how it reads the answers: for both clients alike."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError, ServingError
from serving import descriptions, protocol
from serving.descriptions import Signature, VersionStatus
from serving.failures import SilentError
from serving.prediction import Prediction
from serving.protocol import tensors
from serving.tls import Tls

Image = bytes | str | os.PathLike[str] | npt.NDArray[np.integer[Any]]
R = TypeVar("R")

_NOT_CONNECTED = re.compile(r"failed to connect|backends failing|handshake|socket closed", re.I)

# TensorFlow has no TIFF decoder, and takes the indices of a BMP's palette for its pixels.
_RECODED = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM")


@dataclass(frozen=True)
class Which:
    """Which model is asked.

    Args:
        model: Its name: a recipe's.
        version: Which version; without it and a label, the one that serves.
        label: A version label, such as `stable`, instead of a number.
    """

    model: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.label is not None:
            raise ValueError(f"expected a version or a label; got {self.version} and {self.label}")

    def __str__(self) -> str:
        of = f" version {self.version}" if self.version is not None else ""
        return f"model {self.model!r}{of}{f' label {self.label!r}' if self.label else ''}"

    def spec(self, signature: str = "") -> protocol.ModelSpec:
        """Returns how TF Serving's messages name it."""
        spec = protocol.ModelSpec(name=self.model, signature_name=signature)
        if self.version is not None:
            spec.version.value = self.version
        elif self.label is not None:
            spec.version_label = self.label
        return spec


@dataclass(frozen=True)
class Question(Generic[R]):
    """One call, and what to make of its answer.

    Args:
        method: The gRPC method.
        request: Its message.
        response: The type of the answering message.
        read: Makes the result of it; `ValueError` if it breaks the contract.
        which: What is asked, for messages.
    """

    method: str
    request: Any
    response: Any
    read: Callable[[Any], R]
    which: Which

    def result(self, response: Any, target: str) -> R:
        """Returns what `read` makes of the answer.

        Raises:
            ServingError: It breaks the contract.
        """
        try:
            return self.read(response)
        except ValueError as e:
            raise ServingError(f"{target}: {self.which}: unreadable answer: {e}") from None


def predict(
    which: Which,
    images: Sequence[Image],
    outputs: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> Question[list[Prediction]]:
    """Asks for N images in one request.

    Raises:
        DataError: One of them is not an image, or cannot be read.
    """
    names = names or [
        str(image) if isinstance(image, str | os.PathLike) else f"image {i + 1} of {len(images)}"
        for i, image in enumerate(images)
    ]
    sent = [encoded(image, name) for image, name in zip(images, names, strict=True)]

    def read(response: Any) -> list[Prediction]:
        got = _arrays(response)
        for output, array in got.items():
            if array.ndim < 1 or len(array) != len(sent):
                raise ValueError(
                    f"output {output!r}: expected {len(sent)} rows; received shape {array.shape}"
                )
        version = response.model_spec.version.value
        return [Prediction.of(got, row, version) for row in range(len(sent))]

    return _predict(which, {"image_bytes": tensors.strings(sent)}, "", outputs, read)


def call(
    which: Which,
    inputs: Mapping[str, npt.ArrayLike],
    signature: str,
    outputs: Sequence[str] | None = None,
) -> Question[dict[str, npt.NDArray[Any]]]:
    """Asks any signature; the result is arrays by output name."""
    protos = {name: tensors.to_proto(value) for name, value in inputs.items()}
    return _predict(which, protos, signature, outputs, _arrays)


def metadata(which: Which) -> Question[dict[str, Any]]:
    """Asks the model what it says of itself: class names, recipe, data version, ..."""

    def read(response: Any) -> dict[str, Any]:
        return {name: _plain(array.tolist()) for name, array in _arrays(response).items()}

    return _predict(which, {}, "metadata", None, read)


def signatures(which: Which) -> Question[dict[str, Signature]]:
    """Asks for the model's signatures by name."""
    return _about(which, descriptions.signatures)


def served_version(which: Which) -> Question[int]:
    """Asks which version answers."""
    return _about(which, lambda response: int(response.model_spec.version.value))


def statuses(model: str) -> Question[list[VersionStatus]]:
    """Asks for the state of every version that the server knows, ascending."""
    request = protocol.GetModelStatusRequest(model_spec=protocol.ModelSpec(name=model))
    return Question(
        protocol.GET_MODEL_STATUS, request, protocol.GetModelStatusResponse,
        descriptions.statuses, Which(model),
    )  # fmt: skip


def encoded(image: Image, name: str) -> bytes:
    """Returns an image as a server decodes it: what is encoded stays; TIFF and BMP become PNG.

    Args:
        image: Bytes of a PNG, JPEG, BMP or TIFF; the path of one; or pixels, uint8 or uint16,
            `[H, W]`, `[H, W, 3]` RGB or `[H, W, 4]` RGBA.
        name: What to call it in messages.

    Raises:
        DataError: It is not an image; a server would refuse the whole request.
    """
    from segtrail.images import decode_image, encode_png, image_size

    if isinstance(image, np.ndarray):
        try:
            return encode_png(image)
        except ValueError as e:
            raise DataError(f"{name}: {e}") from None
    if isinstance(image, str | os.PathLike):
        try:
            image = Path(image).read_bytes()
        except OSError as e:
            raise DataError(f"{name}: cannot be read: {e.strerror}") from None
    if image.startswith(_RECODED):
        return encode_png(decode_image(image, name))
    image_size(image, name)
    return image


def failure(
    error: Any, target: str, which: Which, timeout: float, tls: Tls | None = None
) -> ServingError:
    """Returns what a gRPC error means, and what to do about it; connects anew to find out."""
    code, says = error.code(), descriptions.one_line(error.details())
    # not what a server that is reached says of itself: one with too much to do is left alone
    if code == grpc.StatusCode.UNAVAILABLE and _NOT_CONNECTED.search(says):
        from serving import tls_probe

        if (found := tls_probe.why(target, tls)) is not None:
            return found
    if code == grpc.StatusCode.UNAVAILABLE:
        return ServingError(
            f"{target}: no model server answers ({says})",
            "segtrail serve   (or name the server that runs with --target host:port)",
        )
    if code == grpc.StatusCode.NOT_FOUND:
        return ServingError(
            f"{target}: {which} is not served: {says}",
            "segtrail status   (shows which versions serve)",
        )
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return SilentError(
            f"{target}: {which}: no answer within {timeout:g} s",
            "ask for fewer images at once, or allow more time",
        )
    return ServingError(f"{target}: {which}: {code.name}: {says}")


def _predict(
    which: Which,
    inputs: Mapping[str, protocol.TensorProto],
    signature: str,
    outputs: Sequence[str] | None,
    read: Callable[[Any], R],
) -> Question[R]:
    request = protocol.PredictRequest(model_spec=which.spec(signature), output_filter=outputs or [])
    for name, tensor in inputs.items():
        request.inputs[name].CopyFrom(tensor)
    return Question(protocol.PREDICT, request, protocol.PredictResponse, read, which)


def _about(which: Which, read: Callable[[Any], R]) -> Question[R]:
    request = protocol.GetModelMetadataRequest(
        model_spec=which.spec(), metadata_field=["signature_def"]
    )
    return Question(
        protocol.GET_MODEL_METADATA, request, protocol.GetModelMetadataResponse, read, which
    )


def _arrays(response: Any) -> dict[str, npt.NDArray[Any]]:
    return {name: tensors.to_array(proto) for name, proto in response.outputs.items()}


def _plain(value: Any) -> Any:
    """Bytes to text, in lists too."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value
