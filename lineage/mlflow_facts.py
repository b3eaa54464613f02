"""What an audit reads of MLflow, however it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Run:
    """A training run: its id, state, and times (UTC, ISO 8601; None while unknown)."""

    run_id: str
    status: str
    started: str | None
    finished: str | None
    deleted: bool = False  # in MLflow's waste basket


@dataclass(frozen=True)
class Recorded:
    """What a run recorded.

    Attributes:
        parameters: `{name: value}`.
        metrics: `{name: its whole history}`, see `metric_row`, sorted.
        tags: `{name: value}`.
        artifact_uri: Where its files are.
    """

    parameters: Mapping[str, str]
    metrics: Mapping[str, Sequence[str]]
    tags: Mapping[str, str]
    artifact_uri: str


@dataclass(frozen=True)
class Version:
    """A registered model version: its number, digest tag and run, and where its files are."""

    version: int
    model_digest: str | None
    run_id: str | None
    source: str | None = None


def metric_row(step: int, at: int, value: float) -> str:
    """Returns one value of a metric as a line: step, time in ms, value to the last bit."""
    return f"{step:012d} {at:015d} {float(value)!r}"


def iso(milliseconds: int | None) -> str | None:
    """Returns MLflow's time as ISO 8601."""
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
