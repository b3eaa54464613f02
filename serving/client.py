"""The client of a model server: TF Serving or `serving.embedded`, over gRPC, without TensorFlow."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import numpy.typing as npt

from segtrail.errors import SegtrailError, ServingError
from serving import descriptions, questions
from serving.channel import open_channel, serialize
from serving.descriptions import Signature, VersionStatus
from serving.failures import LoadError
from serving.image_input import THE_IMAGE, Image, name_of
from serving.prediction import Prediction
from serving.questions import Question, Which
from serving.tls import Tls

_POLL_S = 0.2
R = TypeVar("R")


class SegmentationClient:
    """Asks one model server. Threads may share it; close it, or use it in a `with`.

    A call that finds no server is tried three times, with growing pauses; nothing else is tried
    again. `serving.async_client` has the same for asyncio.

    Args:
        target: `host:port`, or any gRPC target.
        model: The model to ask where a call names none: a recipe's name.
        timeout: Seconds that one call may take, retries and all; without it, 60 and 10 more a
            megapixel that is asked for.
        tls: How to trust the server, and who asks; without it the connection is in clear.

    Raises:
        ServingError: `target` is no address.

    Examples:
        >>> with SegmentationClient("127.0.0.1:8500", "nuclei") as client:
        ...     cells = client.segment("cells.png")
        ...     print(cells.count, cells.mask.shape, cells.version)
        ...     for each in client.segment_many(Path("slides").glob("*.tif")):
        ...         print(each.count)
    """

    def __init__(
        self, target: str, model: str = "", timeout: float | None = None, tls: Tls | None = None
    ) -> None:
        self.target, self.model, self.timeout = target, model, timeout
        self._tls, self._channel = tls, open_channel(grpc, target, tls)
        self._methods: dict[str, Any] = {}

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

    def segment(
        self,
        image: Image,
        *,
        model: str = "",
        version: int | None = None,
        label: str | None = None,
        outputs: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> Prediction:
        """Segments one image.

        Args:
            image: The bytes or the path of a PNG, JPEG, BMP or TIFF of one page; or pixels, uint8
                or uint16, `[H, W]` grey, `[H, W, 3]` RGB or `[H, W, 4]` RGBA.
            model: Which model; without it, the client's.
            version: Which version; without it and `label`, the one that serves.
            label: A version label instead of a number.
            outputs: Which outputs of the signature to fetch; without it, all.
            timeout: Seconds; without it, the client's.

        Raises:
            DataError: It is not an image.
            ServingError: The server cannot be reached, or refuses.
        """
        which, name = Which(model or self.model, version, label), name_of(image, THE_IMAGE)
        (answer,) = self._ask(questions.predict(which, [image], outputs, [name]), timeout)
        return answer

    def segment_many(
        self,
        images: Iterable[Image],
        *,
        model: str = "",
        version: int | None = None,
        label: str | None = None,
        outputs: Sequence[str] | None = None,
        timeout: float | None = None,
        concurrency: int = 4,
        return_errors: bool = False,
    ) -> Iterator[Prediction | SegtrailError]:
        """Yields an answer for each image, in the order of the images.

        Images are taken, read and sent as the answers are fetched: at most `concurrency` are on
        their way at once, however many there are.

        Args:
            images: See `segment`; any iterable.
            model: See `segment`, as for all that follow.
            version: .
            label: .
            outputs: .
            timeout: Of each image.
            concurrency: How many requests at once.
            return_errors: Whether to yield the error in the place of an answer and go on, rather
                than raise it.

        Raises:
            DataError: See `segment`.
            ServingError: See `segment`.
        """
        which = Which(model or self.model, version, label)

        def one(number: int, image: Image) -> Prediction:
            name = name_of(image, f"images[{number}]")
            (answer,) = self._ask(questions.predict(which, [image], outputs, [name]), timeout)
            return answer

        waiting: deque[Future[Prediction]] = deque()
        left = enumerate(images)
        with ThreadPoolExecutor(concurrency, thread_name_prefix="segment") as threads:
            try:
                waiting.extend(threads.submit(one, *image) for image in islice(left, concurrency))
                while waiting:
                    try:
                        found: Prediction | SegtrailError = waiting.popleft().result()
                    except SegtrailError as e:
                        if not return_errors:
                            raise
                        found = e
                    waiting.extend(threads.submit(one, *image) for image in islice(left, 1))
                    yield found
            finally:
                for future in waiting:
                    future.cancel()

    def predict(
        self,
        model: str,
        images: Sequence[Image],
        version: int | None = None,
        outputs: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[Prediction]:
        """Segments N images in one request, of which the server answers all or none.

        Args:
            model: Which model; "" for the client's.
            images: See `segment`.
            version: Which version to ask; without it, the one that serves.
            outputs: Which outputs of the signature to fetch; without it, all.
            names: What to call the images in messages, such as their file names.

        Returns:
            N answers, in the order of the images.

        Raises:
            DataError: One of `images` is not an image.
            ServingError: The server cannot be reached, or refuses.
        """
        if not images:
            return []
        return self._ask(
            questions.predict(Which(model or self.model, version), images, outputs, names)
        )

    def call(
        self,
        model: str,
        inputs: Mapping[str, npt.ArrayLike],
        signature: str,
        version: int | None = None,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Runs any signature on arrays and returns its outputs by name; model "": the client's.

        Raises:
            ServingError: The server cannot be reached, or refuses.
        """
        which = Which(model or self.model, version)
        return self._ask(questions.call(which, inputs, signature, outputs))

    def metadata(self, model: str = "", version: int | None = None) -> dict[str, Any]:
        """Returns what the model says about itself: class names, recipe, data version, ...

        Raises:
            ServingError: The server cannot be reached, or refuses.
        """
        return self._ask(questions.metadata(Which(model or self.model, version)))

    def signatures(self, model: str = "", version: int | None = None) -> dict[str, Signature]:
        """Returns the model's signatures by name.

        Raises:
            ServingError: The server cannot be reached, or refuses.
        """
        return self._ask(questions.signatures(Which(model or self.model, version)))

    def served_version(self, model: str = "", label: str | None = None) -> int:
        """Returns the version that answers when none is named, or to a label.

        Raises:
            ServingError: The server cannot be reached, or refuses.
        """
        which = Which(model or self.model, label=label)
        return self._ask(questions.served_version(which))

    def statuses(self, model: str = "") -> list[VersionStatus]:
        """Returns what the server says about every version it knows, ascending.

        Raises:
            ServingError: The server cannot be reached, or does not know the model.
        """
        return self._ask(questions.statuses(model or self.model))

    def status(self, model: str = "") -> dict[int, str]:
        """Returns `{version: state}`: START, LOADING, AVAILABLE, UNLOADING or END.

        Raises:
            ServingError: The server cannot be reached, or does not know the model.
        """
        return {status.version: status.state for status in self.statuses(model)}

    def wait_until_available(
        self,
        model: str = "",
        version: int | None = None,
        timeout: float = 60.0,
        alive: Callable[[], None] = lambda: None,
    ) -> int:
        """Waits until the version (without it: any) is AVAILABLE, and returns its number.

        Args:
            model: Which model; without it, the client's.
            version: The version, or None for whichever comes first.
            timeout: Seconds.
            alive: Called between two looks; what it raises ends the waiting.

        Raises:
            LoadError: The server failed to load that version.
            ServingError: Time is up.
        """
        end, last = time.monotonic() + timeout, "nothing was heard of it"
        model = model or self.model
        where = f"{self.target}: {Which(model, version)}"
        question = questions.statuses(model)
        while (left := end - time.monotonic()) > 0:
            alive()
            try:
                every = self._send(question, min(max(left, 1.0), 5.0))
            except grpc.RpcError as e:
                last = descriptions.one_line(e.details())
            else:
                known = [s for s in every if version in (None, s.version)]
                if ready := [s.version for s in known if s.state == "AVAILABLE"]:
                    return max(ready)
                if failed := [s for s in known if s.state == "END" and s.error]:
                    raise LoadError(f"{where} did not load: {failed[-1].error}", failed[-1].error)
                last = ", ".join(f"v{s.version} {s.state}" for s in every)
            time.sleep(_POLL_S)
        raise ServingError(f"{where} not available after {timeout:g} s ({last})")

    def _ask(self, question: Question[R], timeout: float | None = None) -> R:
        seconds = question.seconds(timeout, self.timeout)
        try:
            return self._send(question, seconds)
        except grpc.RpcError as e:
            raise questions.failure(e, self.target, question, seconds, self._tls) from None

    def _send(self, question: Question[R], seconds: float) -> R:
        method = self._methods.get(question.method)
        if method is None:
            method = self._methods[question.method] = self._channel.unary_unary(
                question.method,
                request_serializer=serialize,
                response_deserializer=question.response.FromString,
            )
        return question.result(method(question.request, timeout=seconds), self.target)
