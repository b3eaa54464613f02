"""What a person sees of a Prefect flow in a terminal: segtrail's own lines and no others."""

from __future__ import annotations

import logging
import sys

from segtrail.errors import SegtrailError


class _OwnLines(logging.Filter):
    """Passes segtrail's lines, and warnings of what is not the engine's report of a run."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "segtrail", False):
            return True
        of_a_run = record.name.startswith(("prefect.flow_runs", "prefect.task_runs"))
        return record.levelno >= logging.WARNING and not of_a_run


def quieten() -> None:
    """Puts a plain handler for segtrail's lines in the place of Prefect's console handlers."""
    from prefect.logging.configuration import setup_logging
    from prefect.logging.handlers import PrefectConsoleHandler

    setup_logging()  # what Prefect does later adds to this, and leaves handlers alone
    own = logging.StreamHandler(sys.stdout)
    own.addFilter(_OwnLines())
    names = ["", *(n for n in logging.root.manager.loggerDict if n.startswith("prefect"))]
    for name in names:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            if isinstance(handler, PrefectConsoleHandler):
                logger.removeHandler(handler)
                logger.addHandler(own)


def print_error(error: SegtrailError) -> None:
    """Prints an error as the command line does."""
    sys.stdout.flush()
    print(f"error: {error}", file=sys.stderr, flush=True)
