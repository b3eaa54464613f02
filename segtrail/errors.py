"""Errors that a user can act on, and the exit codes of the command line."""

from __future__ import annotations

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_REJECTED = 3
EXIT_INSUFFICIENT = 4
EXIT_AUDIT_BROKEN = 5
EXIT_AUDIT_INCOMPLETE = 6
EXIT_FAULT = 75  # EX_TEMPFAIL of sysexits.h: the same command may succeed later


class SegtrailError(Exception):
    """A failure with a cause and a next step; shown without a traceback.

    Args:
        message: What is wrong: the file or field, what was expected, what was found.
        hint: What to do next, usually a command.
    """

    exit_code = EXIT_ERROR

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.hint}" if self.hint else self.message


class ConfigError(SegtrailError):
    """`params.yaml`, or an option of a command, is wrong."""

    exit_code = EXIT_USAGE


class WorkspaceError(SegtrailError):
    """The folder is not a segtrail workspace, or not in a state that allows the command."""


class DataError(SegtrailError):
    """Images, masks or an archive are not what they should be."""


class MissingArtifactError(SegtrailError):
    """An input that an earlier stage makes is not there."""


class StageError(SegtrailError):
    """A pipeline stage failed or refused its input."""


class ServingError(SegtrailError):
    """A model server could not be started, reached or understood."""


class LineageError(SegtrailError):
    """A link of the lineage is broken: a digest, a ledger chain, a commit."""


class UnreachableError(LineageError):
    """What a link is about is not here, or on a server that gives no answer: it may come back."""

    exit_code = EXIT_FAULT


class RejectedError(SegtrailError):
    """The gate said `fail`: an expected outcome, not a crash."""

    exit_code = EXIT_REJECTED


class InsufficientEvidenceError(SegtrailError):
    """The gate said `insufficient evidence`, which does not pass either."""

    exit_code = EXIT_INSUFFICIENT
