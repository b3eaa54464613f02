"""The client for asyncio: `serving.client.SegmentationClient`, to be awaited."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import numpy.typing as npt

from segtrail.errors import SegtrailError
from serving import questions
from serving.channel import open_channel, serialize
from serving.descriptions import Signature, VersionStatus
from serving.image_input import THE_IMAGE, Image, name_of
from serving.prediction import Prediction
from serving.questions import Question, Which
from serving.tls import Tls

R = TypeVar("R")


class AsyncSegmentationClient:
    """Asks one model server from an event loop; close it, or use it in an `async with`.

    Args:
        target: `host:port`, or any gRPC target.
        model: The model to ask where a call names none.
        timeout: See `serving.client.SegmentationClient`.
        tls: How to trust the server, and who asks; without it the connection is in clear.

    Raises:
        ServingError: `target` is no address.

    Examples:
        >>> async with AsyncSegmentationClient("127.0.0.1:8500", "nuclei") as client:
        ...     cells = await client.segment("cells.png")
        ...     async for each in client.segment_many(paths):
        ...         print(each.count)
    """

    def __init__(
        self, target: str, model: str = "", timeout: float | None = None, tls: Tls | None = None
    ) -> None:
        self.target, self.model, self.timeout = target, model, timeout
        self._tls, self._channel = tls, open_channel(grpc.aio, target, tls)
        self._methods: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()

    async def segment(
        self,
        image: Image,
        *,
        model: str = "",
        version: int | None = None,
        label: str | None = None,
        outputs: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> Prediction:
        """Segments one image: see `serving.client.SegmentationClient.segment`.

        Files are read, and TIFF and arrays encoded, in another thread.
        """
        which = Which(model or self.model, version, label)
        return await self._one(image, name_of(image, THE_IMAGE), which, outputs, timeout)

    async def segment_many(
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
    ) -> AsyncIterator[Prediction | SegtrailError]:
        """Yields an answer for each image: see `serving.client.SegmentationClient.segment_many`."""
        which = Which(model or self.model, version, label)
        waiting: deque[asyncio.Task[Prediction]] = deque()
        left = enumerate(images)

        def start(count: int) -> None:
            for number, image in islice(left, count):
                name = name_of(image, f"images[{number}]")
                asked = self._one(image, name, which, outputs, timeout)
                waiting.append(asyncio.ensure_future(asked))

        try:
            start(concurrency)
            while waiting:
                try:
                    found: Prediction | SegtrailError = await waiting.popleft()
                except SegtrailError as e:
                    if not return_errors:
                        raise
                    found = e
                start(1)
                yield found
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def predict(
        self,
        model: str,
        images: Sequence[Image],
        version: int | None = None,
        outputs: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[Prediction]:
        """Segments N images in one request, of which the server answers all or none."""
        which = Which(model or self.model, version)
        if not images:
            return []
        question = await asyncio.to_thread(questions.predict, which, images, outputs, names)
        return await self._ask(question)

    async def call(
        self,
        model: str,
        inputs: Mapping[str, npt.ArrayLike],
        signature: str,
        version: int | None = None,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Runs any signature on arrays and returns its outputs by name; model "": the client's."""
        which = Which(model or self.model, version)
        return await self._ask(questions.call(which, inputs, signature, outputs))

    async def metadata(self, model: str = "", version: int | None = None) -> dict[str, Any]:
        """Returns what the model says about itself: class names, recipe, data version, ..."""
        return await self._ask(questions.metadata(Which(model or self.model, version)))

    async def signatures(self, model: str = "", version: int | None = None) -> dict[str, Signature]:
        """Returns the model's signatures by name."""
        return await self._ask(questions.signatures(Which(model or self.model, version)))

    async def served_version(self, model: str = "", label: str | None = None) -> int:
        """Returns the version that answers when none is named, or to a label."""
        which = Which(model or self.model, label=label)
        return await self._ask(questions.served_version(which))

    async def statuses(self, model: str = "") -> list[VersionStatus]:
        """Returns what the server says about every version it knows, ascending."""
        return await self._ask(questions.statuses(model or self.model))

    async def status(self, model: str = "") -> dict[int, str]:
        """Returns `{version: state}`: START, LOADING, AVAILABLE, UNLOADING or END."""
        return {status.version: status.state for status in await self.statuses(model)}

    async def _one(
        self,
        image: Image,
        name: str,
        which: Which,
        outputs: Sequence[str] | None,
        timeout: float | None,
    ) -> Prediction:
        question = await asyncio.to_thread(questions.predict, which, [image], outputs, [name])
        (answer,) = await self._ask(question, timeout)
        return answer

    async def _ask(self, question: Question[R], timeout: float | None = None) -> R:
        seconds = question.seconds(timeout, self.timeout)
        method = self._methods.get(question.method)
        if method is None:
            method = self._methods[question.method] = self._channel.unary_unary(
                question.method,
                request_serializer=serialize,
                response_deserializer=question.response.FromString,
            )
        try:
            response = await method(question.request, timeout=seconds)
        except grpc.RpcError as e:
            # looking into it blocks
            raise await asyncio.to_thread(
                questions.failure, e, self.target, question, seconds, self._tls
            ) from None
        return question.result(response, self.target)
