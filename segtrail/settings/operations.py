"""What runs by itself: `recipes.<name>.operations` and `datasets.<name>.inbox` of `params.yaml`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from segtrail.settings.base import Strict

_INTERVAL = re.compile(r"(\d+)(min|h|d)")
_UNITS = {"min": "minutes", "h": "hours", "d": "days"}
_CRON_FIELDS = 5


def interval_of(when: str) -> timedelta | None:
    """Returns the interval that a schedule is, or None where it is a cron line."""
    found = _INTERVAL.fullmatch(when)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


def _schedule(when: str) -> str:
    interval = interval_of(when)
    if interval == timedelta(0) or (interval is None and len(when.split()) != _CRON_FIELDS):
        raise ValueError(
            f"got {when!r}; expected five fields (minute hour day month weekday), such as "
            "'0 3 * * 1', or an interval, such as 30min, 12h or 7d"
        )
    return when


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"got {name!r}; expected a time zone such as UTC or Europe/Berlin")
    return name


When = Annotated[str, AfterValidator(_schedule)]


class Inbox(Strict):
    """A folder where deliveries arrive; each archive or folder in it is one."""

    folder: str = Field(min_length=1, description="from the workspace's folder, or absolute")
    every: When = Field(default="15min", description="cron line or interval: when it is looked at")
    settle_s: Annotated[int, Field(ge=0)] = Field(
        default=60, description="seconds without a change, after which a delivery is whole"
    )
    by: str | None = Field(default=None, description="who delivers, for the ledger of deliveries")


class Operations(Strict):
    """What a Prefect server and its workers do by themselves; see `segtrail deploy`.

    No stage reads it, so that it may have defaults and `dvc.yaml` need not name it.
    """

    retrain: When | None = Field(
        default=None, description="cron line or interval; without it, when something asks for it"
    )
    on_new_data: bool = Field(
        default=True, description="retrain when a delivery landed in the dataset"
    )
    monitor: When | None = Field(default=None, description="cron line or interval")
    images: str | None = Field(
        default=None,
        min_length=1,
        description="what production saw, for `segtrail monitor`: a folder (from the workspace's "
        "own, or absolute) or s3://bucket/prefix",
    )
    on_drift: Literal["never", "moderate", "severe"] = Field(
        default="severe", description="from which severity on drift starts a retraining"
    )
    cool_down: Annotated[float, Field(ge=0)] = Field(
        default=24, description="hours between two retrainings that drift starts"
    )
    budget: Annotated[int, Field(ge=0)] = Field(
        default=4, description="retrainings in 30 days that drift may start"
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="of cron lines"
    )
    time_out: Annotated[float, Field(gt=0)] = Field(
        default=24, description="hours, after which a scheduled run is ended"
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        default=3,
        description="of a step that a fault ended (killed, no answer, a full disk); never of a "
        "model that was refused",
    )
    retry_after: Annotated[float, Field(gt=0)] = Field(
        default=60, description="seconds before the first; each next one waits twice as long"
    )
    approval_time: Annotated[float, Field(gt=0)] = Field(
        default=168, description="hours in which people can approve a candidate that waits"
    )
