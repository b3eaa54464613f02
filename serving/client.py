"""The client of a model server: TF Serving or `serving.embedded`, over gRPC, without TensorFlow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import numpy.typing as npt

from segtrail.errors import ServingError
from serving import descriptions, protocol
from serving.descriptions import Signature, VersionStatus
from serving.prediction import Prediction
from serving.protocol import tensors
from serving.tls import Tls

# TensorFlow has no TIFF decoder, and takes the indices of a BMP's palette for its pixels.
_RECODED = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM")
_POLL_S = 0.2
_RETRY = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {  # every call is a question: asking it again does no harm
                "maxAttempts": 3,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.service_config", json.dumps(_RETRY)),
]


class Client:
    """Asks one model server. Threads may share it; close it, or use it in a `with`.

    Args:
        target: `host:port`, or any gRPC target.
        timeout: Seconds that one call may take.
        tls: How to trust the server, and who asks; without it the connection is in clear.

    Example:
        >>> with Client("127.0.0.1:8500") as client:
        ...     (answer,) = client.predict("nuclei", [Path("cells.png").read_bytes()])
        ...     print(answer.count, answer.mask.shape)
    """

    def __init__(self, target: str, timeout: float = 60.0, tls: Tls | None = None) -> None:
        self.target, self.timeout = target, timeout
        if tls is None:
            self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        else:
            self._channel = grpc.secure_channel(
                target, tls.credentials(), options=[*_OPTIONS, *tls.options()]
            )
        self._predict = self._method(protocol.PREDICT, protocol.PredictResponse)
        self._metadata = self._method(
            protocol.GET_MODEL_METADATA, protocol.GetModelMetadataResponse
        )
        self._status = self._method(protocol.GET_MODEL_STATUS, protocol.GetModelStatusResponse)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def predict(
        self,
        model: str,
        images: Sequence[bytes],
        version: int | None = None,
        outputs: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[Prediction]:
        """Segments N images in one request.

        Args:
            model: The model's name: a recipe's.
            images: Encoded PNG, JPEG, BMP or TIFF; the last two are sent as PNG of the same
                pixels.
            version: Which version to ask; without it, the one that serves.
            outputs: Which outputs of the signature to fetch; without it, all.
            names: What to call the images in messages, such as their file names.

        Returns:
            N answers, in the order of the images.

        Raises:
            DataError: One of `images` is not an image.
            ServingError: The server cannot be reached, or refuses.
        """
        names = names or [f"image {i + 1} of {len(images)}" for i in range(len(images))]
        sent = [_sendable(data, name) for data, name in zip(images, names, strict=True)]
        if not sent:
            return []
        got, answered = self._call(
            model, {"image_bytes": tensors.strings(sent)}, "", version, outputs
        )
        for output, array in got.items():
            if array.ndim < 1 or len(array) != len(sent):
                raise ServingError(
                    f"{self.target}: {model} version {answered}: output {output!r}: expected "
                    f"{len(sent)} rows; received shape {array.shape}"
                )
        return [Prediction.of(got, row, answered) for row in range(len(sent))]

    def call(
        self,
        model: str,
        inputs: Mapping[str, npt.ArrayLike],
        signature: str,
        version: int | None = None,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Runs any signature on arrays and returns its outputs by name.

        Raises:
            ServingError: The server cannot be reached, or refuses.
        """
        protos = {name: tensors.to_proto(value) for name, value in inputs.items()}
        return self._call(model, protos, signature, version, outputs)[0]

    def metadata(self, model: str, version: int | None = None) -> dict[str, Any]:
        """Returns what the model says about itself: class names, recipe, data version, ...

        Raises:
            ServingError: The server cannot be reached, or refuses.
        """
        answer = self.call(model, {}, "metadata", version)
        return {name: _plain(array.tolist()) for name, array in answer.items()}

    def signatures(self, model: str, version: int | None = None) -> dict[str, Signature]:
        """Returns the model's signatures by name.

        Raises:
            ServingError: The server cannot be reached, or refuses.
        """
        return descriptions.signatures(self._ask_metadata(model, version))

    def served_version(self, model: str) -> int:
        """Returns the version that answers when none is named.

        Raises:
            ServingError: The server cannot be reached, or refuses.
        """
        return self._ask_metadata(model, None).model_spec.version.value

    def statuses(self, model: str) -> list[VersionStatus]:
        """Returns what the server says about every version it knows, ascending.

        Raises:
            ServingError: The server cannot be reached, or does not know the model.
        """
        request = protocol.GetModelStatusRequest(model_spec=_spec(model, None))
        return descriptions.statuses(self._said(self._status, request, model, None))

    def status(self, model: str) -> dict[int, str]:
        """Returns `{version: state}`: START, LOADING, AVAILABLE, UNLOADING or END.

        Raises:
            ServingError: The server cannot be reached, or does not know the model.
        """
        return {status.version: status.state for status in self.statuses(model)}

    def wait_until_available(
        self,
        model: str,
        version: int | None = None,
        timeout: float = 60.0,
        alive: Callable[[], None] = lambda: None,
    ) -> int:
        """Waits until the version (without it: any) is AVAILABLE, and returns its number.

        Args:
            model: The model's name.
            version: The version, or None for whichever comes first.
            timeout: Seconds.
            alive: Called between two looks; what it raises ends the waiting.

        Raises:
            ServingError: Time is up, or the server failed to load that version.
        """
        end, last = time.monotonic() + timeout, "nothing was heard of it"
        what = _named(model, version)
        request = protocol.GetModelStatusRequest(model_spec=_spec(model, None))
        while (left := end - time.monotonic()) > 0:
            alive()
            try:
                answer = self._status(request, timeout=min(max(left, 1.0), 5.0))
            except grpc.RpcError as e:
                last = descriptions.one_line(e.details())
            else:
                every = descriptions.statuses(answer)
                known = [s for s in every if version in (None, s.version)]
                if ready := [s.version for s in known if s.state == "AVAILABLE"]:
                    return max(ready)
                if failed := [s for s in known if s.state == "END" and s.error]:
                    raise ServingError(f"{self.target}: {what} did not load: {failed[-1].error}")
                last = ", ".join(f"v{s.version} {s.state}" for s in every)
            time.sleep(_POLL_S)
        raise ServingError(f"{self.target}: {what} not available after {timeout:g} s ({last})")

    def _method(self, path: str, response: Any) -> Any:
        return self._channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )

    def _call(
        self,
        model: str,
        inputs: Mapping[str, protocol.TensorProto],
        signature: str,
        version: int | None,
        outputs: Sequence[str] | None,
    ) -> tuple[dict[str, npt.NDArray[Any]], int]:
        request = protocol.PredictRequest(
            model_spec=_spec(model, version, signature), output_filter=outputs or []
        )
        for name, tensor in inputs.items():
            request.inputs[name].CopyFrom(tensor)
        answer = self._said(self._predict, request, model, version)
        try:
            arrays = {name: tensors.to_array(proto) for name, proto in answer.outputs.items()}
        except ValueError as e:
            raise ServingError(f"{self.target}: {model}: unreadable answer: {e}") from None
        return arrays, answer.model_spec.version.value

    def _ask_metadata(self, model: str, version: int | None) -> protocol.GetModelMetadataResponse:
        request = protocol.GetModelMetadataRequest(
            model_spec=_spec(model, version), metadata_field=["signature_def"]
        )
        return self._said(self._metadata, request, model, version)

    def _said(self, method: Any, request: Any, model: str, version: int | None) -> Any:
        try:
            return method(request, timeout=self.timeout)
        except grpc.RpcError as e:
            raise self._error(e, _named(model, version)) from None

    def _error(self, error: Any, what: str) -> ServingError:
        code, says = error.code(), descriptions.one_line(error.details())
        if code == grpc.StatusCode.UNAVAILABLE:
            return ServingError(
                f"{self.target}: no model server answers ({says})",
                "segtrail serve   (or name the server that runs with --target host:port)",
            )
        if code == grpc.StatusCode.NOT_FOUND:
            return ServingError(
                f"{self.target}: {what} is not served: {says}",
                "segtrail status   (shows which versions serve)",
            )
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return ServingError(
                f"{self.target}: {what}: no answer within {self.timeout:g} s",
                "ask for fewer images at once, or allow more time",
            )
        return ServingError(f"{self.target}: {what}: {code.name}: {says}")


def _sendable(data: bytes, name: str) -> bytes:
    """Returns the image as it is, TIFF and BMP as PNG.

    Raises:
        DataError: It is not an image; a server would refuse the whole request.
    """
    from segtrail.images import decode_image, encode_png, image_size

    if data.startswith(_RECODED):
        return encode_png(decode_image(data, name))
    image_size(data, name)
    return data


def _spec(model: str, version: int | None, signature: str = "") -> protocol.ModelSpec:
    spec = protocol.ModelSpec(name=model, signature_name=signature)
    if version is not None:
        spec.version.value = version
    return spec


def _plain(value: Any) -> Any:
    """Bytes to text, in lists too."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _named(model: str, version: int | None) -> str:
    return f"model {model!r}" if version is None else f"model {model!r} version {version}"
