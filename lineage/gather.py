"""Gathers the facts that a provenance statement is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from lineage import approvals, data_version, mlflow_record, run_digests
from lineage.provenance import Facts
from segtrail import deliveries, git, git_objects, split_ledger
from segtrail.artifacts import (
    Evaluation,
    InfraValidation,
    Model,
    TrainingRun,
    ValidationResult,
    Verdict,
)
from segtrail.errors import DataError, LineageError, WorkspaceError
from segtrail.files import read_json, sha256_bytes, sha256_file
from segtrail.params import dump, load_recipe
from segtrail.saved_model import file_digests
from segtrail.workspace import Workspace

REQUIREMENTS = "requirements.lock"
TRAINED_BY = ("classes", "preprocessing", "network", "training", "objects")
_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>[\w.-]{2,}):/*(?P<path>[^/@][^@]*)")  # [user@]host:path


def gather(workspace: Workspace, name: str, by: str | None = None) -> Facts:
    """Returns the facts about the candidate of a recipe, as of the commit checked out.

    Args:
        workspace: Whose.
        name: The recipe.
        by: Who claims to promote it; by default the git identity.

    Raises:
        MissingArtifactError: A stage has not run.
        LineageError: The commit has no data version, or one that is not the one that the
            model was trained on; or the model was trained by another recipe than the present.
    """
    root = workspace.root
    recipe = load_recipe(workspace, name)
    commit = git.head(root)
    run = read_json(TrainingRun.of(workspace, name).require().run)
    data = data_version.at_commit(root, commit, recipe.dataset)
    _check_trained_on(run, data, commit)
    _check_trained_by(run, dump(recipe), name)
    training = mlflow_record.run(workspace, run["mlflow_run_id"])
    splits = data_version.read_file(root, data.files, split_ledger.LEDGER)
    delivered = data_version.read_file(root, data.files, deliveries.DELIVERIES)
    validation = ValidationResult.of(workspace, name).require()
    verdict = Verdict.of(workspace, name).require()
    infra = InfraValidation.of(workspace, name).require()
    evaluation = Evaluation.of(workspace, name).require()
    return Facts(
        recipe=name,
        params=dump(recipe),
        model_files=file_digests(Model.of(workspace, name).require().root),
        commit=commit,
        repository=repository(root),
        uncommitted=git.dirty_paths(root),
        lock_sha256=_committed_sha256(root, commit, "dvc.lock"),
        data=data,
        deliveries=parse_deliveries(delivered),
        splits_sha256=sha256_bytes(splits),
        requirements_sha256=_committed_sha256(root, commit, REQUIREMENTS),
        run=run,
        started=training.started,
        finished=training.finished,
        results={
            "validation": _digests(workspace, validation.result),
            "evaluation": _digests(workspace, evaluation.metrics)
            | _digests(workspace, evaluation.per_image),
            "verdict": _digests(workspace, verdict.path),
            "infra": _digests(workspace, infra.result),
            "golden": {
                path: digest
                for file in sorted(evaluation.golden.iterdir())
                for path, digest in _digests(workspace, file).items()
            },
        },
        validation=read_json(validation.result),
        verdict=read_json(verdict.path),
        infra=read_json(infra.result),
        approvals=approvals.ask(
            workspace, name, read_json(verdict.path), approvals.promoter(workspace, by)
        )[0],
        recorded=run_digests.digests(workspace, run["mlflow_run_id"]),
    )


def parse_deliveries(content: bytes) -> list[dict[str, str]]:
    """Returns the rows of `deliveries.csv` that brought something; removals have no source.

    Raises:
        LineageError: Not a list of deliveries.
    """
    try:
        rows = deliveries.parse(content, "deliveries.csv")
    except DataError as e:
        raise LineageError(e.message, e.hint) from None
    return [
        {key: str(value) for key, value in asdict(row).items()} for row in rows if row.source_sha256
    ]


def repository(root: Path) -> str | None:
    """Returns the URL of the remote `origin` without user name and password, or None."""
    try:
        url = git.run(root, "config", "remote.origin.url")
    except WorkspaceError:
        return None
    if "://" not in url and (scp := _SCP.fullmatch(url)):
        return f"ssh://{scp['host']}/{scp['path']}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "ssh"):
        return None  # a path on this machine, which says nothing elsewhere
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _check_trained_on(run: Mapping[str, Any], data: data_version.DataVersion, commit: str) -> None:
    trained = run.get("data_version", {})
    for key in ("dvc_md5", "sha256_root"):
        if trained.get(key) != getattr(data, key):
            raise LineageError(
                f"the model was trained on data/{data.dataset} with {key} {trained.get(key)}; "
                f"the commit {commit[:12]} records {getattr(data, key)}",
                "run the pipeline again on the committed data: segtrail retrain",
            )


def _check_trained_by(run: Mapping[str, Any], recipe: Mapping[str, Any], name: str) -> None:
    """Refuses a recipe, defaults and all, that is not the one the model was trained by."""
    hint = f"segtrail retrain --recipe {name}"
    trained = run.get("recipe")
    if not isinstance(trained, Mapping):
        raise LineageError("run.json does not say by which recipe the model was trained", hint)
    for section in TRAINED_BY:
        was, now = trained.get(section), recipe[section]
        if was != now:
            raise LineageError(f"the model was trained by {_difference(section, was, now)}", hint)


def _difference(section: str, was: Any, now: Any) -> str:
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        key = next(k for k in (*now, *was) if was.get(k) != now.get(k))
        section, was, now = f"{section}.{key}", was.get(key), now.get(key)
    return f"{section} = {was!r}; the recipe now says {now!r}"


def _digests(workspace: Workspace, path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    return {path.relative_to(workspace.root).as_posix(): sha256_file(path)}


def _committed_sha256(root: Path, commit: str, path: str) -> str | None:
    try:
        return sha256_bytes(git_objects.show(root, commit, path))
    except WorkspaceError:
        return None
