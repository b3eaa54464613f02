"""What can go wrong with a server that was started here, told apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segtrail.errors import ServingError


class LoadError(ServingError):
    """A server says that it could not load a version.

    Args:
        message: For people.
        said: The server's own words.
    """

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


class SilentError(ServingError):
    """A server is there, but gave no answer in time."""


class GoneError(ServingError):
    """A server that answered before has refused every connection for a while."""


class StartError(ServingError):
    """A server that was started ended, or did not make its model available.

    Args:
        message: For people.
        hint: What to do next.
        said: What the server says of the model; empty if nothing.
        log: The last lines of its log that tell of a failure.
        log_file: All of it.
        ended_with: The exit code of its process, negative for a signal; None: it ran to the end
            of the waiting.
    """

    def __init__(
        self,
        message: str,
        hint: str | None,
        *,
        said: str,
        log: Sequence[str],
        log_file: Path,
        ended_with: int | None,
    ) -> None:
        super().__init__(message, hint)
        self.said, self.log, self.log_file = said, tuple(log), log_file
        self.ended_with = ended_with


class TlsError(ServingError):
    """Client and server do not understand or trust each other.

    Args:
        target: Which server.
        found: What keeps them from it.
        hint: What to do next.
    """

    def __init__(self, target: str, found: str, hint: str) -> None:
        super().__init__(f"{target}: {found}", hint)
        self.found = found
