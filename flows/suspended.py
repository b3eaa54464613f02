"""The runs that wait for people, as the Prefect server knows them.

A pause's key says what people are asked: about which model, against which champion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from segtrail.artifacts import Verdict
from segtrail.files import read_json
from segtrail.workspace import Workspace
from serving import config

_SUSPENDED, _BEFORE_ITS_START = "Suspended", ("SCHEDULED", "PENDING")
_KEY = re.compile(r"([0-9a-f]{12}-v\d+)-\d+")
# Whose worker dies while it starts a run leaves it pending for ever.
_STARTS_WITHIN = timedelta(minutes=10)


def subject(workspace: Workspace, recipe: str) -> str | None:
    """Returns the candidate and the champion of the last verdict, `86b3c5f3c136-v2`; or None."""
    verdict = Verdict.of(workspace, recipe)
    if not verdict.path.exists():
        return None
    found = read_json(verdict.path)
    champion = found["champion"]["version"] if found["champion"] else 0
    return f"{found['model_digest'][:12]}-v{champion}"


def key(subject: str, number: int) -> str:
    """Returns the key of the pause in which one more approval is asked for, the number-th."""
    return f"{subject}-{number}"


def suspended() -> list[Any]:
    """Returns the runs that ask people, of all recipes.

    Returns:
        `prefect.client.schemas.objects.FlowRun`s.

    Raises:
        httpx.TransportError: The server gives no answer.
    """
    return [run for run in _runs("PAUSED") if run.state.name == _SUSPENDED and subjects(run)]


def waiting(recipe: str) -> list[Any]:
    """Returns the recipe's runs that ask people, or that people let go on and that will start."""
    alive = datetime.now(UTC) - _STARTS_WITHIN
    resumed = [
        run for run in _runs(*_BEFORE_ITS_START)
        if run.empirical_policy.resuming and subjects(run)
        and (run.state.type.value == "SCHEDULED" or run.state.timestamp > alive)
    ]  # fmt: skip
    return [run for run in [*suspended(), *resumed] if run.parameters.get("recipe") == recipe]


def held(workspace: Workspace, recipe: str) -> str | None:
    """Returns the id of the run for which a worker's clone is to stay as it is; or None.

    What people look at is what is to be promoted. Where the champion is no longer the one that it
    was judged against, an approval does not fit, and nothing is held.

    Args:
        workspace: The clone.
        recipe: The recipe, or whatever the clone is of.

    Raises:
        httpx.TransportError: The server gives no answer.
    """
    asked = subject(workspace, recipe)
    if asked is None or not asked.endswith(f"-v{_serves(workspace, recipe) or 0}"):
        return None
    return next((str(run.id) for run in waiting(recipe) if asked in subjects(run)), None)


def subjects(run: Any) -> set[str]:
    """Returns what people were asked in a run."""
    keys = run.empirical_policy.pause_keys or ()
    return {found[1] for each in keys if (found := _KEY.fullmatch(each))}


def of_run(run: str) -> set[str]:
    """Returns what people were asked in the run of this id."""
    from uuid import UUID

    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return subjects(client.read_flow_run(UUID(run)))


def _serves(workspace: Workspace, recipe: str) -> int | None:
    path = workspace.models_config
    return config.champion(path, recipe) if path.exists() else None


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
