"""One promotion, rollback or canary in a process of its own, to be killed.

    python benchmarks/promotion_worker.py WORKSPACE OPERATION STEP

Says `ready` when everything is imported, and begins at a line on its standard input. With a STEP of
0 or more it kills itself right after that step, by its number.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

RECIPE = "demo"
OPERATIONS = ("promote", "rollback", "show", "confirm", "abort")


def main(root: str, operation: str, step: int) -> None:
    """Does it."""
    import mlflow  # noqa: F401

    from components import promote
    from components.promotion import steps
    from segtrail import telemetry
    from segtrail.workspace import Workspace

    telemetry.switch_off()
    workspace = Workspace.at(Path(root))
    if step >= 0:
        die = lambda plan: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        die.__name__ = "die"
        steps.STEPS = (*steps.STEPS[: step + 1], die)
        steps.CANARY_STEPS = (*steps.CANARY_STEPS[: step + 1], die)
    print("ready", flush=True)
    sys.stdin.readline()
    if operation == "promote":
        promote.promote(workspace, RECIPE)
    elif operation == "rollback":
        to = left_before(workspace.ledger(RECIPE))
        promote.rollback(workspace, RECIPE, to, reason="a drill", by="Grace")
    elif operation == "show":
        promote.show_canary(workspace, RECIPE)
    elif operation == "confirm":
        promote.confirm_canary(workspace, RECIPE)
    else:
        promote.abort_canary(workspace, RECIPE, reason="a drill")


def left_before(path: Path) -> int:
    """Returns the version that was left last, by the ledger."""
    from lineage import ledger

    entries = ledger.read(path)
    current = ledger.champion(entries)
    done = [e.version for e in entries if e.event == ledger.DONE and e.version]
    return [version for version in done if current and version != current.version][-1]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
