"""The flow runs of the platform's own worker, which must not be cut off without a word."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from uuid import UUID

from flows.environment import RUN_VARIABLE
from flows.platform import health, programs, remains
from flows.platform.plan import Plan

CANCEL_S = 60.0


def here(plan: Plan) -> set[UUID]:
    """Returns the runs whose processes the worker has started; other workers' are not its own."""
    import psutil

    found = set()
    for name, process in remains.find(plan.workspace.platform):
        if name == programs.WORKER:
            with contextlib.suppress(psutil.Error, ValueError):
                found.add(UUID(process.environ().get(RUN_VARIABLE, "")))
    return found


def cancel(plan: Plan, say: Callable[[str], None]) -> None:
    """Has Prefect cancel the runs of this worker, and waits until it has."""
    if not (running := here(plan)):
        return
    if not health.of(plan, programs.PREFECT):
        say("Prefect does not answer: it will not hear that the worker's run is cut off")
        return
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.states import Cancelling

    with (
        temporary_settings({PREFECT_API_URL: plan.prefect_api}),
        get_client(sync_client=True) as client,
    ):
        for run in running:
            name = client.read_flow_run(run).name
            say(f"cancels the run {name}; its next run goes on from the last stage that ended")
            client.set_flow_run_state(run, Cancelling(), force=True)
        end = time.monotonic() + CANCEL_S
        while running and time.monotonic() < end:
            time.sleep(0.5)
            states = {run: client.read_flow_run(run).state for run in running}
            running = {run for run, state in states.items() if not (state and state.is_final())}
        for run in running:
            say(f"the run {client.read_flow_run(run).name} did not end in {CANCEL_S:.0f} s")
