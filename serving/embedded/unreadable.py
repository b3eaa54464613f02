"""Answers bytes that are no message as gRPC's C++ servers do: with INTERNAL, not UNKNOWN."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError


class RefuseUnreadable(grpc.aio.ServerInterceptor):
    """Reads requests by itself, and refuses what cannot be read before a service sees it."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wraps the handler of a call with one request and one response."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler

        async def answer(sent: bytes, context: grpc.aio.ServicerContext) -> Any:
            try:
                request = handler.request_deserializer(sent)
            except DecodeError as e:
                await context.abort(grpc.StatusCode.INTERNAL, " ".join(str(e).split()))
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            answer, response_serializer=handler.response_serializer
        )
