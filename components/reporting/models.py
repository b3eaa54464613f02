"""What a page says of the models that it compares: which bytes they are, and of what made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lineage import ledger, origin, trained_runs
from segtrail import git
from segtrail.artifacts import TrainingRun
from segtrail.files import read_json
from segtrail.workspace import Workspace

CANDIDATE, RUN = "candidate", "run-"
_UNKNOWN = "-"
_DIGITS = 12


def table(workspace: Workspace, name: str, digests: Mapping[str, str]) -> list[list[str]]:
    """Returns rows: the models' names; then what is known, and that of each model.

    Args:
        workspace: The workspace.
        name: The recipe.
        digests: The digest of each model, by `candidate`, `v<number>` of a version, or `run-` and
            how a run's id begins.
    """
    known = [
        {"SHA-256 of the model": digest[:_DIGITS]} | _known(workspace, name, which, digest)
        for which, digest in digests.items()
    ]
    rows = dict.fromkeys(what for facts in known for what in facts)
    head = ["", *digests]
    return [head] + [[what, *(facts.get(what, _UNKNOWN) for facts in known)] for what in rows]


def _known(workspace: Workspace, name: str, which: str, digest: str) -> dict[str, str]:
    if which == CANDIDATE:
        return _of_candidate(workspace, name, digest)
    if which.startswith(RUN):
        run = trained_runs.find(workspace.root, name, which.removeprefix(RUN))
        return {
            "MLflow run": run.run_id,
            "git commit": run.commit[:_DIGITS],
            "promoted": _as_promoted(workspace, name, digest),
        }
    return _of_version(workspace, name, int(which.removeprefix("v")))


def _of_candidate(workspace: Workspace, name: str, digest: str) -> dict[str, str]:
    run: dict[str, Any] = read_json(TrainingRun.of(workspace, name).require().run)
    return {
        "data version": run["data_version"]["dvc_md5"],
        "MLflow run": run["mlflow_run_id"],
        "git commit": _recorded(workspace),
        "promoted": _as_promoted(workspace, name, digest),
    }


def _recorded(workspace: Workspace) -> str:
    """Returns the commit that records what the stages have made."""
    root = workspace.root
    if not git.is_repository(root) or git.run(root, "status", "--porcelain", "--", "dvc.lock"):
        return "not committed yet"
    commit = git.run(root, "log", "-1", "--format=%H", "--", "dvc.lock").strip()
    return commit[:_DIGITS] or _UNKNOWN


def _of_version(workspace: Workspace, name: str, version: int) -> dict[str, str]:
    done = [e for e in _promotions(workspace, name) if e.version == version]
    if not done:
        return {"promoted": "the ledger does not tell of it"}
    first = done[0]
    made = origin.of_version(workspace, name, version, first.details.get("provenance_sha256"))
    facts = {
        "data version": made.data_dvc_md5,
        "MLflow run": made.mlflow_run,
        "git commit": (first.details.get("git_commit") or "")[:_DIGITS],
        "promoted": f"{first.at[:16].replace('T', ' ')} UTC by {first.by}",
    }
    return {what: value for what, value in facts.items() if value}


def _as_promoted(workspace: Workspace, name: str, digest: str) -> str:
    """Returns the version that this model became."""
    versions = {e.version for e in _promotions(workspace, name) if e.model_digest == digest}
    return ", ".join(f"as v{version}" for version in sorted(filter(None, versions))) or "no"


def _promotions(workspace: Workspace, name: str) -> list[ledger.Entry]:
    entries = ledger.read(workspace.ledger(name))
    return [entry for entry in entries if entry.event in (ledger.DONE, ledger.CANARY)]
