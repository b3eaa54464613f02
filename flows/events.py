"""What deployed flows tell the Prefect server's events, for automations to act on."""

from __future__ import annotations

from typing import Any

from segtrail.workspace import Workspace

DATA_LANDED = "segtrail.data.landed"
RETRAINING_WANTED = "segtrail.retraining.wanted"
_KINDS = {"dataset": "segtrail.dataset.", "recipe": "segtrail.recipe."}


def resource(kind: str, name: str) -> str:
    """Returns the id by which events name a `dataset` or a `recipe`."""
    return _KINDS[kind] + name


def emit(event: str, workspace: Workspace, kind: str, name: str, **payload: Any) -> None:
    """Emits an event about a dataset or a recipe.

    Args:
        event: Such as `segtrail.data.landed`.
        workspace: Whose.
        kind: `dataset` or `recipe`.
        name: Its name.
        **payload: More about it, as JSON values.
    """
    from prefect.events import emit_event

    emit_event(
        event=event,
        resource={
            "prefect.resource.id": resource(kind, name),
            "prefect.resource.name": name,
            "segtrail.workspace": str(workspace.home),
        },
        payload=payload,
    )
