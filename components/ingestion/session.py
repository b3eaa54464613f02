"""The right to change `data/`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from components.ingestion import erasure, versioning
from components.ingestion.landing import Landing
from segtrail.lock import flow_lock
from segtrail.progress import say
from segtrail.workspace import Workspace


@contextmanager
def writing(workspace: Workspace) -> Iterator[Landing]:
    """Gives the right to change `data/`: alone, on what git and DVC have recorded.

    A landing or an erasure that was interrupted is finished first. Waits until no flow runs:
    the data of a candidate that is being judged must not change.

    Raises:
        WorkspaceError: No git or DVC, `data/` was changed by hand or cannot be restored, or
            another ingestion is running.
    """
    versioning.require_repositories(workspace)
    landing = Landing(workspace)
    with landing.lock(), flow_lock(workspace, say):
        if unfinished := landing.resume(partial(versioning.record, workspace)):
            say(f"finished the interrupted ingestion of {unfinished.dataset}")
        versioning.restore(workspace)
        versioning.require_unchanged(workspace)
        erasure.finish_interrupted(workspace)
        try:
            yield landing
        finally:
            if not landing.journal.exists():
                landing.abandon()
