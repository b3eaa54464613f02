"""`python -m flows.platform.child NAME`, which supervisord runs: becomes a server of the platform.

The worker waits for Prefect before, and the model server for a first promotion.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from flows.platform import health, plan, programs, remains
from segtrail.progress import say
from segtrail.workspace import Workspace

_POLL_S = 1.0


def main(name: str) -> None:
    """Waits for what the server needs, and becomes the server."""
    folder = Path(os.environ[remains.MARK].partition("@")[2])  # the supervisor's
    workspace = Workspace(folder.parents[1], folder.parents[1])
    found = plan.read(workspace)
    if found is None:
        sys.exit(f"{folder / plan.FILE}: not there, or damaged; segtrail down, then segtrail up")
    if name == programs.WORKER:  # an earlier one's run goes on to its end
        _wait(lambda: health.answers(f"{found.prefect_api}/health"), "the Prefect server")
    else:
        remains.end_earlier(name, folder)
    if name == programs.SERVING:
        _wait(found.workspace.models_config.is_file, "a first promotion")
    command = programs.command(found, name)
    env = {**programs.environment(found, name), **remains.mark(name, folder)}
    os.chdir(found.root)
    os.execvpe(command[0], command, env)


def _wait(ready: Callable[[], bool], what: str) -> None:
    if ready():
        return
    say(f"waits for {what}")
    while not ready():
        time.sleep(_POLL_S)


if __name__ == "__main__":
    main(sys.argv[1])
