"""The client for asyncio: `serving.client.SegmentationClient`, to be awaited."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from segtrail.errors import SegtrailError
from serving import questions
from serving.channel import open_channel, serialize
from serving.descriptions import VersionStatus
from serving.prediction import Prediction
from serving.questions import Image, Question, Which
from serving.tls import Tls

R = TypeVar("R")


class AsyncSegmentationClient:
    """Asks one model server from an event loop; close it, or use it in an `async with`.

    Args:
        target: `host:port`, or any gRPC target.
        model: The model to ask where a call names none.
        timeout: Seconds that one call may take, retries and all.
        tls: How to trust the server, and who asks; without it the connection is in clear.

    Example:
        >>> async with AsyncSegmentationClient("127.0.0.1:8500", "nuclei") as client:
        ...     cells = await client.segment("cells.png")
        ...     async for each in client.segment_many(paths):
        ...         print(each.count)
    """

    def __init__(
        self, target: str, model: str = "", timeout: float = 60.0, tls: Tls | None = None
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
        question = await asyncio.to_thread(questions.predict, which, [image], outputs)
        (answer,) = await self._ask(question, timeout)
        return answer

    async def segment_many(
        self,
        images: Iterable[Image],
        *,
        concurrency: int = 4,
        return_errors: bool = False,
        **how: Any,
    ) -> AsyncIterator[Prediction | SegtrailError]:
        """Yields an answer for each image, in the order of the images.

        Args:
            images: Any iterable; taken as the answers are fetched.
            concurrency: How many requests at once.
            return_errors: Whether to yield the error in the place of an answer and go on.
            **how: As of `segment`.
        """
        waiting: deque[asyncio.Task[Prediction]] = deque()
        left = iter(images)

        def start(count: int) -> None:
            for image in islice(left, count):
                waiting.append(asyncio.ensure_future(self.segment(image, **how)))

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

    async def metadata(self, model: str = "", version: int | None = None) -> dict[str, Any]:
        """Returns what the model says about itself: class names, recipe, data version, ..."""
        return await self._ask(questions.metadata(Which(model or self.model, version)))

    async def served_version(self, model: str = "", label: str | None = None) -> int:
        """Returns the version that answers when none is named, or to a label."""
        which = Which(model or self.model, label=label)
        return await self._ask(questions.served_version(which))

    async def statuses(self, model: str = "") -> list[VersionStatus]:
        """Returns what the server says about every version it knows, ascending."""
        return await self._ask(questions.statuses(model or self.model))

    async def _ask(self, question: Question[R], timeout: float | None = None) -> R:
        seconds = self.timeout if timeout is None else timeout
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
                questions.failure, e, self.target, question.which, seconds, self._tls
            ) from None
        return question.result(response, self.target)
