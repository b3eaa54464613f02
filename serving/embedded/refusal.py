"""The one exception that becomes a gRPC status."""

from __future__ import annotations

import grpc

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
UNKNOWN = grpc.StatusCode.UNKNOWN


class Refusal(Exception):
    """A request cannot be answered.

    Args:
        code: The gRPC status.
        message: TF Serving's own words where it has some, in one line.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def code_of(number: int) -> grpc.StatusCode:
    """Returns the gRPC status of a `tensorflow.error.Code`; the numbers are the same."""
    for code in grpc.StatusCode:
        if code.value[0] == number:
            return code
    return UNKNOWN
