"""What the gate and infra validation say of a candidate, together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from segtrail.artifacts import InfraValidation, Verdict
from segtrail.errors import InsufficientEvidenceError, RejectedError
from segtrail.files import read_json
from segtrail.workspace import Workspace

PASS, FAIL, INSUFFICIENT = "pass", "fail", "insufficient evidence"


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
    return verdict | {
        "verdict": worst((verdict["verdict"], infra["verdict"])),
        "rules": [*verdict["rules"], *infra["rules"]],
    }


def worst(said: Iterable[str]) -> str:
    """Returns the worst of verdicts; of none: `insufficient evidence`."""
    heard = set(said)
    return next((each for each in (FAIL, INSUFFICIENT, PASS) if each in heard), INSUFFICIENT)


def refusal(verdict: str, message: str) -> RejectedError | InsufficientEvidenceError:
    """Returns the error, with its exit code, of a verdict that is no pass."""
    return (RejectedError if verdict == FAIL else InsufficientEvidenceError)(message)


def reasons(verdict: Mapping[str, Any]) -> list[str]:
    """Returns what the rules that keep a verdict from being a pass say, those that failed first."""
    rules = sorted(not_passed(verdict), key=lambda rule: bool(rule["verdict"] != FAIL))
    failed = any(rule["verdict"] == FAIL for rule in rules)
    doubtful = "(too little evidence) " if failed else ""
    return [f"{'' if rule['verdict'] == FAIL else doubtful}{rule['says']}" for rule in rules]


def not_passed(verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the rules that keep a verdict from being a pass."""
    return [rule for rule in verdict["rules"] if rule["verdict"] != PASS and rule["decides"]]
