"""What a person sees of a Prefect flow in a terminal: segtrail's own lines and no others."""

from __future__ import annotations

import logging
import sys

from segtrail.errors import SegtrailError

# The engine's report of a run; and what sends logs and events to the server, line by line in vain
# where that gives no answer, which the run's own error says once.
_ENGINE = ("prefect.flow_runs", "prefect.task_runs", "prefect._internal.concurrency")


class _OwnLines(logging.Filter):
    """Passes segtrail's lines, and warnings of what is not the engine's."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "segtrail", False):
            return True
        return record.levelno >= logging.WARNING and not record.name.startswith(_ENGINE)


def quieten() -> None:
    """Puts a plain handler for segtrail's lines in the place of Prefect's console handlers."""
    from prefect.logging.configuration import setup_logging

    setup_logging()  # what Prefect does later adds to this, and leaves handlers alone
    logging.raiseExceptions = False  # else a log that Prefect's server does not take is a line
    own = logging.StreamHandler(sys.stdout)
    own.addFilter(_OwnLines())
    names = ["", *(n for n in logging.root.manager.loggerDict if n.startswith("prefect"))]
    for name in names:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            of_a_file = isinstance(handler, logging.FileHandler)
            if isinstance(handler, logging.StreamHandler) and not of_a_file:
                logger.removeHandler(handler)
                logger.addHandler(own)


def print_error(error: SegtrailError) -> None:
    """Prints an error as the command line does."""
    sys.stdout.flush()
    print(f"error: {error}", file=sys.stderr, flush=True)
