"""Automations of the Prefect server: what starts a retraining, and what ends a dead run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flows import events
from segtrail.settings.operations import Operations

HEARTBEAT_S = 30
SILENT = "segtrail: a run without a heartbeat has crashed"
_MISSED = 4  # heartbeats
_ENDS = ("Completed", "Failed", "Cancelled", "Crashed", "Suspended")  # of heartbeats


def that_retrain(options: Operations, recipe: str, dataset: str) -> list[Any]:
    """Returns the triggers of a recipe's `retrain`: new data, and drift that asks for it.

    Cool-down and budget of drift are kept by `segtrail monitor`, which asks only within them.
    """
    found = []
    if options.on_new_data:
        found.append(_trigger(events.DATA_LANDED, events.resource("dataset", dataset), recipe))
    if options.on_drift != "never":
        found.append(_trigger(events.RETRAINING_WANTED, events.resource("recipe", recipe), recipe))
    return found


def _trigger(event: str, resource: str, recipe: str) -> Any:
    from prefect.events import DeploymentEventTrigger

    return DeploymentEventTrigger(
        name=f"retrain {recipe} on {event}",
        expect={event},
        match={"prefect.resource.id": resource},
        parameters={"recipe": recipe},
    )


def crash_what_is_silent() -> None:
    """Makes the automation that ends runs whose worker or machine died; once a server.

    Such a run stays `Running` for ever otherwise, and with it the one place that its deployment
    has: no later run of the recipe would start.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    with get_client(sync_client=True) as client:
        if client.read_automations_by_name(SILENT):
            return
        beats = "prefect.flow-run.heartbeat"
        ends = {f"prefect.flow-run.{s}" for s in _ENDS}
        client.create_automation(
            AutomationCore(
                name=SILENT,
                description="A worker that died cannot say so; its runs stop sending heartbeats.",
                trigger=EventTrigger(
                    after={beats},
                    expect={beats, *ends},
                    match={"prefect.resource.id": ["prefect.flow-run.*"]},
                    match_related={
                        "prefect.resource.role": "tag",
                        "prefect.resource.id": "prefect.tag.segtrail",
                    },
                    for_each={"prefect.resource.id"},
                    posture=Posture.Proactive,
                    threshold=1,
                    within=timedelta(seconds=HEARTBEAT_S * _MISSED),
                ),
                actions=[
                    ChangeFlowRunState(
                        state=StateType.CRASHED,
                        name="Crashed",
                        message="no heartbeat: its worker or machine died; the next run goes on",
                        force=False,
                    )
                ],
            )
        )
