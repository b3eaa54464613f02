"""Schedules of `params.yaml` as Prefect's."""

from __future__ import annotations

from typing import Any

from segtrail.errors import ConfigError
from segtrail.settings.operations import interval_of


def of(when: str | None, timezone: str) -> list[Any]:
    """Returns Prefect's schedules for a cron line, an interval, or nothing."""
    from prefect.schedules import Cron, Interval

    if when is None:
        return []
    if (interval := interval_of(when)) is not None:
        return [Interval(interval)]
    return [Cron(when, timezone=timezone)]


def says(when: str, timezone: str) -> str:
    """Returns a schedule in words."""
    return f"every {when}" if interval_of(when) else f"at {when!r} ({timezone})"


def check(when: str | None, whose: str) -> None:
    """Refuses what has five fields but is no cron line.

    Raises:
        ConfigError: It is none.
    """
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    if when is None or interval_of(when):
        return
    try:
        CronSchedule(cron=when)
    except ValidationError:
        raise ConfigError(
            f"{whose}: got the schedule {when!r}; expected five fields (minute hour day month "
            "weekday), or an interval such as 12h",
            '"0 3 * * 1" is every Monday at 03:00',
        ) from None
