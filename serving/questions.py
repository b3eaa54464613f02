"""What a client asks a model server, and how it reads the answers: for both clients alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import grpc
import numpy.typing as npt

from segtrail.errors import ServingError
from serving import descriptions, protocol
from serving.descriptions import Signature, VersionStatus
from serving.failures import SilentError
from serving.image_input import THE_IMAGE, Image, encoded, name_of, pixels_of
from serving.prediction import Prediction
from serving.protocol import tensors
from serving.tls import Tls

R = TypeVar("R")

_NOT_CONNECTED = re.compile(r"failed to connect|backends failing|handshake|socket closed", re.I)
_SENT = re.compile(r"image_bytes\[(\d+)\]")  # what a server calls an image

TIMEOUT_S = 60.0  # that a call may take where nobody says how long
TIMEOUT_S_PER_MEGAPIXEL = 10.0  # besides; two cores take two or three
_LONGEST_S = 1e8  # three years: gRPC takes infinity for no time at all


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
        if not self.model:
            raise ValueError("which model? name it in the call, or when the client is made")
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
        names: What to call the images in it, for messages.
        megapixels: Of all images in it.
    """

    method: str
    request: Any
    response: Any
    read: Callable[[Any], R]
    which: Which
    names: tuple[str, ...] = ()
    megapixels: float = 0.0

    def seconds(self, *said: float | None) -> float:
        """Returns how long the answer may take: the first that is said; else by the pixels."""
        by_pixels = TIMEOUT_S + TIMEOUT_S_PER_MEGAPIXEL * self.megapixels
        return min(next((each for each in said if each is not None), by_pixels), _LONGEST_S)

    def about(self, says: str) -> str:
        """Returns the server's words with the images by their names."""
        found = _SENT.sub(lambda sent: dict(enumerate(self.names)).get(int(sent[1]), sent[0]), says)
        if self.names in ((), (THE_IMAGE,)) or any(name in found for name in self.names):
            return found
        more = f" and {len(self.names) - 1} more" if len(self.names) > 1 else ""
        return f"{self.names[0]}{more}: {found}"

    def result(self, response: Any, target: str) -> R:
        """Returns what `read` makes of the answer.

        Raises:
            ServingError: It breaks the contract.
        """
        try:
            return self.read(response)
        except ValueError as e:
            said = self.about(f"unreadable answer: {e}")
            raise ServingError(f"{target}: {self.which}: {said}") from None


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
    names = names or [name_of(image, f"images[{i}]") for i, image in enumerate(images)]
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

    question = _predict(which, {"image_bytes": tensors.strings(sent)}, "", outputs, read)
    pixels = sum(map(pixels_of, sent, names))
    return replace(question, names=tuple(names), megapixels=pixels / 1e6)


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


def failure(
    error: Any, target: str, question: Question[Any], timeout: float, tls: Tls | None = None
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
            f"{target}: {question.which} is not served: {says}",
            "segtrail status   (shows which versions serve)",
        )
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        fewer = "ask for fewer images at once, or " if len(question.names) > 1 else ""
        return SilentError(
            f"{target}: {question.which}: {question.about(f'no answer within {timeout:g} s')}",
            f"{fewer}allow more time: timeout= of the client, --timeout of segtrail predict",
        )
    return ServingError(f"{target}: {question.which}: {question.about(f'{code.name}: {says}')}")


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
