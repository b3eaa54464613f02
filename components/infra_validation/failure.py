"""Why a candidate is not fit to serve: a reason that programs know, and words for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from segtrail.errors import StageError

LOAD_ERROR = "load-error"
LOAD_TIMEOUT = "load-timeout"
MISSING_VARIABLE = "missing-variable"
SIGNATURE_MISMATCH = "signature-mismatch"
REQUEST_ERROR = "request-error"
SERVER_ENDED = "server-ended"
GOLDEN_DIFFERENCE = "golden-difference"
OF_A_LIMIT = {"latency_ms": "latency", "size_mb": "size", "memory_mb": "memory"}


@dataclass(frozen=True)
class Failure:
    """One reason why a candidate may not serve.

    Attributes:
        reason: One of the codes above.
        says: What was found, in words.
        hint: What to do next.
        details: What was found, as plain JSON values.
    """

    reason: str
    says: str
    hint: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return asdict(self)


class DoesNotServeError(StageError):
    """A real server does not load the candidate, or answers otherwise than was evaluated."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(
            f"the candidate does not serve: {failure.reason}: {failure.says}", failure.hint
        )
        self.failure = failure
