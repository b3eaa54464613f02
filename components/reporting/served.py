"""What infra validation found of a candidate, for its report."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from segtrail.artifacts import InfraValidation
from segtrail.files import read_json
from segtrail.workspace import Workspace


@dataclass(frozen=True)
class Served:
    """What a real server did with the candidate.

    Attributes:
        passed: Whether it serves.
        failures: See `components.infra_validation.failure.Failure`: plain JSON values.
        rows: What was measured: what it is, and its value in words.
    """

    passed: bool
    failures: list[dict[str, Any]]
    rows: list[tuple[str, str]]


def found(workspace: Workspace, name: str, model_digest: str) -> Served | None:
    """Returns what infra validation found of this model; None if it has not looked at it."""
    artifact = InfraValidation.of(workspace, name)
    said = read_json(artifact.result) if artifact.exists else {}
    if said.get("model_digest") != model_digest:
        return None
    rows = [("server", said.get("server", "")), ("size of the SavedModel", _mb(said, "size_mb", 1))]
    if said["passed"]:
        rows.append(("golden images", said["says"]))
    if requests := said.get("requests_ms"):
        median = f"{statistics.median(requests):.0f} ms, the median of {len(requests)}"
        rows.append(("a request with one image", median))
    rows.append(("peak memory of the server", _mb(said, "memory_mb", 0)))
    shown = [(what, value) for what, value in rows if value]
    return Served(said["passed"], said.get("failures", []), shown)


def _mb(said: dict[str, Any], key: str, digits: int) -> str:
    value = said.get(key)
    return "" if value is None else f"{value:.{digits}f} MB"
