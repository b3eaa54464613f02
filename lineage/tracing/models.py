"""Every model that git, DVC and the promotion ledgers know of: its data, and when it served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lineage import history, ledger, origin, trained_runs
from lineage.dvc_files import Lock
from lineage.ledger import Entry
from lineage.tracing.locks import Training
from segtrail.errors import LineageError
from segtrail.workspace import Workspace

CHAMPION, CANARY, PERHAPS = "champion", "canary", "perhaps"


@dataclass(frozen=True)
class Service:
    """A time in which a model answered requests.

    Attributes:
        how: `champion`; `canary`, beside the champion under a name of its own; or `perhaps`: a
            promotion that failed, when the server may have had it already.
        since: UTC time, ISO 8601.
        until: Likewise; None: it does still.
    """

    how: str
    since: str
    until: str | None


@dataclass(frozen=True)
class Model:
    """A model.

    Attributes:
        recipe: Of which it is.
        version: Under which it was promoted, or out as a canary; None: it never was.
        model_digest: Hex SHA-256 that names the SavedModel; empty while unknown.
        mlflow_run: The training run's id; likewise.
        dataset: What it was trained on; likewise.
        data_md5: Which version of that, as `segtrail data log` shows it; likewise.
        trained_at: The first commit whose `dvc.lock` records it; likewise.
        promoted_from: The commit that was checked out then; likewise.
        training: What `dvc.lock` says of it; None if none does.
        services: When it answered, oldest first.
        problem: Why something is unknown.
    """

    recipe: str
    version: int | None
    model_digest: str
    mlflow_run: str
    dataset: str
    data_md5: str
    trained_at: str
    promoted_from: str
    training: Training | None
    services: Sequence[Service]
    problem: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        if self.version is not None:
            return f"{self.recipe} v{self.version}"
        return f"{self.recipe} run {self.mlflow_run[:8] or '?'}"

    @property
    def now(self) -> str:
        """How it serves now: `champion`, `canary`, or empty."""
        return next((service.how for service in self.services if service.until is None), "")


def every(workspace: Workspace, cache: Path, trainings: Sequence[Training]) -> list[Model]:
    """Returns the models: first those that served, by recipe and version; then the others.

    Args:
        workspace: Whose.
        cache: DVC's.
        trainings: Those that git knows of.

    Raises:
        LineageError: A ledger's chain is broken.
    """
    others = [_trained(workspace, cache, training) for training in trainings]
    served = []
    for recipe in workspace.ledgers():
        entries = history.read(workspace, recipe)
        for version, mine in sorted(_by_version(entries).items()):
            model = _promoted(workspace, version, entries, mine)
            same = [other for other in others if _is_same(other, model)]
            if same:
                model = _joined(model, same)
            others = [each for each in others if each not in same or _differs(each, model)]
            served.append(model)
    return served + others


def services(entries: Sequence[Entry], version: int) -> list[Service]:
    """Returns when a version answered requests, by the entries of its recipe's ledger."""
    found = [
        Service(CHAMPION, period.since, period.until)
        for period in history.periods(entries)
        if period.version == version
    ]
    for at, entry in enumerate(entries):
        if entry.version != version:
            continue
        if entry.event == ledger.CANARY:
            found.append(Service(CANARY, entry.at, _canary_end(entries[at + 1 :], version)))
        elif entry.event not in (ledger.DONE, ledger.CANARY) and ledger.is_kept(entry):
            began = next((e.at for e in reversed(entries[:at]) if e.event in ledger.INTENTS), None)
            found.append(Service(PERHAPS, began or entry.at, entry.at))
    return sorted(found, key=lambda service: service.since)


def _canary_end(later: Sequence[Entry], version: int) -> str | None:
    for entry in later:
        if entry.event in (ledger.CANARY, ledger.CANARY_ABORTED):
            return entry.at
        if entry.event == ledger.DONE and entry.version == version:
            return entry.at
    return None


def _by_version(entries: Sequence[Entry]) -> dict[int, list[Entry]]:
    """Returns the entries that tell of versions that answered, or may have."""
    found: dict[int, list[Entry]] = {}
    for entry in entries:
        if entry.version is not None and ledger.is_kept(entry):
            found.setdefault(entry.version, []).append(entry)
    return found


def _is_same(other: Model, model: Model) -> bool:
    if other.recipe != model.recipe:
        return False
    if other.model_digest:
        return other.model_digest == model.model_digest
    assert other.training is not None  # what never served is known by that alone
    return any(commit.revision == model.promoted_from for commit in other.training.commits)


def _differs(other: Model, model: Model) -> bool:
    """Whether the same model came of other data, too."""
    return bool(other.data_md5) and other.data_md5 != model.data_md5


def _joined(model: Model, same: Sequence[Model]) -> Model:
    """Returns a promoted model with what its training tells, where the store does not."""
    other = next((each for each in same if each.mlflow_run == model.mlflow_run), same[-1])
    return replace(
        model,
        mlflow_run=model.mlflow_run or other.mlflow_run,
        dataset=model.dataset or other.dataset,
        data_md5=model.data_md5 or other.data_md5,
        trained_at=other.trained_at,
        training=other.training,
    )


def _promoted(
    workspace: Workspace, version: int, entries: Sequence[Entry], mine: Sequence[Entry]
) -> Model:
    first, said = mine[0], (entry.details.get("provenance_sha256") for entry in mine)
    made = origin.of_version(workspace, first.recipe, version, next(filter(None, said), None))
    return Model(
        first.recipe, version, first.model_digest, made.mlflow_run or "", made.dataset or "",
        made.data_dvc_md5 or "", "", str(first.details.get("git_commit") or ""), None,
        services(entries, version), made.problem or "",
    )  # fmt: skip


def _trained(workspace: Workspace, cache: Path, training: Training) -> Model:
    """Returns a model by its training; what `run.json` says goes before what `dvc.lock` does."""
    folder = f"artifacts/{training.recipe}/training"
    outs = [{"path": folder, "md5": training.training_md5}]
    lock, run, problem = Lock(training.recipe, {"train": {"outs": outs}}), dict[str, Any](), ""
    try:
        run = trained_runs.record(workspace.root, training.commits[0].revision, lock, cache)
    except LineageError as e:
        problem = e.message
    data, recipe = run.get("data_version", {}), run.get("recipe", {})
    return Model(
        training.recipe, None, str(run.get("model_digest", "")),
        str(run.get("mlflow_run_id", "")), str(recipe.get("dataset", training.dataset)),
        str(data.get("dvc_md5", training.data_md5)), training.commits[-1].revision, "",
        training, (), problem,
    )  # fmt: skip
