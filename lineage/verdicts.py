"""What the gate and infra validation say of a candidate, together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segtrail.artifacts import InfraValidation, Verdict
from segtrail.files import read_json
from segtrail.workspace import Workspace

_FROM_BAD = ("fail", "insufficient evidence", "pass")


def read(workspace: Workspace, recipe: str) -> dict[str, Any]:
    """Returns the gate's verdict, with what infra validation says of the limits.

    The latter only if it is about the same model and the same limits.

    Raises:
        MissingArtifactError: The candidate is not judged.
    """
    verdict: dict[str, Any] = read_json(Verdict.of(workspace, recipe).require().path)
    found = InfraValidation.of(workspace, recipe)
    infra = read_json(found.result) if found.exists else {}
    if (
        "rules" not in infra
        or infra["model_digest"] != verdict["model_digest"]
        or infra["limits"] != verdict["gate"]["limits"]
    ):
        return verdict
    said = (verdict["verdict"], infra["verdict"])
    return verdict | {
        "verdict": min(said, key=_FROM_BAD.index),
        "rules": [*verdict["rules"], *infra["rules"]],
    }


def not_passed(verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the rules that keep a verdict from being a pass."""
    return [rule for rule in verdict["rules"] if rule["verdict"] != "pass" and rule["decides"]]
