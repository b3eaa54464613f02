"""The runs that wait for people, as the Prefect server knows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SUSPENDED, _BEFORE_ITS_START = "Suspended", ("SCHEDULED", "PENDING")


def suspended() -> list[Any]:
    """Returns the suspended runs of all recipes.

    Returns:
        `prefect.client.schemas.objects.FlowRun`s.

    Raises:
        httpx.TransportError: The server gives no answer.
    """
    return [run for run in _runs("PAUSED") if run.state.name == _SUSPENDED]


def held(recipe: str) -> bool:
    """Whether people are asked about the recipe's candidate, or said yes and it is not served yet.

    Until then the clone of its worker is to stay as it is: what they looked at is promoted.

    Raises:
        httpx.TransportError: The server gives no answer.
    """
    found = [*suspended(), *(r for r in _runs(*_BEFORE_ITS_START) if r.empirical_policy.resuming)]
    return any(run.parameters.get("recipe") == recipe for run in found)


def candidate(run: Any) -> str:
    """Returns the first digits of the digest of the model that a suspended run is about."""
    return (run.state.state_details.pause_key or "").rpartition("-")[0]


def _runs(*states: str) -> Sequence[Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    wanted = FlowRunFilter(
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=[StateType(each) for each in states])
        ),
        tags=FlowRunFilterTags(all_=["segtrail"]),
    )
    with get_client(sync_client=True) as client:  # the earliest 200: schedules reach far ahead
        return client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_ASC
        )
