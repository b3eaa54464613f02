"""Two models of a recipe side by side, on the present test images: one HTML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.reporting import changes, gallery, models
from components.reporting.models import CANDIDATE, RUN
from components.reporting.page import render
from components.reporting.sections import against
from components.scoring import FOLDER, answers
from components.scoring.pairs import OTHER, pair
from components.scoring.stored import Scored, score_stored
from lineage import forced, ledger, trained_runs
from model.examples import read_examples
from segtrail.artifacts import TEST, Evaluation, Examples, Model, Verdict
from segtrail.errors import ConfigError, StageError
from segtrail.files import atomic_folder, read_json, write_text
from segtrail.params import load_recipe
from segtrail.progress import say
from segtrail.saved_model import digest
from segtrail.task import load_task
from segtrail.workspace import Workspace
from serving import config

CHAMPION = "champion"
_VERSION = re.compile(r"v?([1-9]\d*)")


def compare(workspace: Workspace, name: str, ours: str, theirs: str) -> Path:
    """Writes the page, says what differs for sure, and returns its path.

    Args:
        workspace: The workspace.
        name: The recipe.
        ours: `candidate`, `champion`, a version such as `v3`, or `run:` and how the id of an
            MLflow run begins, whether that model was promoted or not.
        theirs: What it is compared with, likewise.

    Raises:
        ConfigError: No such version.
        LineageError: No such run, or DVC's cache no longer has its model.
        StageError: A version does not answer or segments something else; the candidate's
            evaluation is of another model; the two were asked no image in common.
    """
    both_names = _named(workspace, name, ours), _named(workspace, name, theirs)
    if both_names[0] == both_names[1]:
        raise ConfigError(f"{ours} and {theirs} are the same model: {both_names[0]}")
    folders = {each: _folder(workspace, name, each) for each in both_names}
    digests = {each: digest(folder) for each, folder in folders.items()}
    scored = {
        each: _scored(workspace, name, each, folder, digests[each])
        for each, folder in folders.items()
    }
    (ours, mine), (theirs, others) = scored.items()
    both = pair(mine.read(), others.read())
    if both.empty:
        raise StageError(f"{ours} and {theirs} of {name} have no test image in common")
    rows = changes.table(both)
    path = workspace.artifacts(name) / "compare" / f"{ours}-{theirs}.html"
    html = render(
        "compare",
        title=f"{name}: {ours} against {theirs}",
        facts=f"{len(both)} test images in {both['group'].nunique()} groups",
        models=models.table(workspace, name, digests),
        notes=[note for each in both_names for note in _forced(workspace, name, each)],
        ours=ours,
        theirs=theirs,
        rows=rows,
        plots=[against("Each image", both, ours, theirs)],
        **_pictures(workspace, name, both, scored),
    )
    write_text(path, html)
    _tell(rows, ours, theirs)
    say(f"{path}")
    return path


def _named(workspace: Workspace, name: str, given: str) -> str:
    """Returns `candidate`, `v<number>` or `run-<id>` of what somebody typed."""
    if given == CANDIDATE:
        return given
    stored = sorted(int(p.name) for p in (workspace.models / name).glob("[1-9]*") if p.is_dir())
    if given.startswith("run:"):
        run = trained_runs.find(workspace.root, name, given.removeprefix("run:"))
        return RUN + run.run_id[: trained_runs.SHORT]
    known = ", ".join([CANDIDATE, CHAMPION, *(f"v{number}" for number in stored)])
    if given == CHAMPION:
        version = config.champion(workspace.models_config, name)
        if version is None:
            raise ConfigError(f"{name} has no champion yet; there are {known}")
        return f"v{version}"
    found = _VERSION.fullmatch(given)
    if found is None or int(found[1]) not in stored:
        raise ConfigError(f"{name} has no stored version {given!r}; there are {known}")
    return f"v{found[1]}"


def _scored(workspace: Workspace, name: str, which: str, stored: Path, model: str) -> Scored:
    """Returns the scores of the model in `stored`, whose digest is `model`."""
    if which == CANDIDATE:
        evaluation = Evaluation.of(workspace, name).require()
        evaluated = read_json(evaluation.metrics)["model_digest"]
        if evaluated != model:
            raise StageError(
                f"{evaluation.metrics} is of another model than the candidate",
                f"segtrail evaluate --recipe {name}",
            )
        return Scored(evaluation.per_image, evaluation.root)
    hint = "segtrail compare --help   (what else can be compared)"
    if not which.startswith(RUN):
        hint = f"segtrail audit {name} --version {which.removeprefix('v')}"
    recipe = load_recipe(workspace, name)
    scored, problem = score_stored(workspace, name, recipe, stored, which, model)
    if scored is None:
        raise StageError(f"{name} {problem}", hint)
    return scored


def _folder(workspace: Workspace, name: str, which: str) -> Path:
    """Returns the folder of a model's SavedModel."""
    if which == CANDIDATE:
        return Model.of(workspace, name).require().root
    if which.startswith(RUN):
        return _restored(workspace, name, which.removeprefix(RUN))
    return workspace.models / name / which.removeprefix("v")


def _restored(workspace: Workspace, name: str, beginning: str) -> Path:
    """Returns the folder of a run's SavedModel, brought back from DVC's cache."""
    run = trained_runs.find(workspace.root, name, beginning)
    folder = workspace.scratch / FOLDER / name / f"model-{run.model_md5.removesuffix('.dir')}"
    if not folder.exists():
        with atomic_folder(folder) as aside:
            trained_runs.restore(workspace.root, run, aside)
    return folder


def _forced(workspace: Workspace, name: str, which: str) -> list[str]:
    """Returns who let a version pass against the gate, if somebody did."""
    if which.startswith(RUN):
        return []
    if which == CANDIDATE:
        verdict = Verdict.of(workspace, name).path
        said = read_json(verdict) if verdict.exists() else {}
        mine = said.get("model_digest") == digest(Model.of(workspace, name).root)
        by = said.get("forced") if mine else None
        return [f"the candidate was {forced.says(by)}"] if by else []
    version = int(which.removeprefix("v"))
    found = forced.of_version(ledger.read(workspace.ledger(name)), version)
    return [f"{which} was {forced.says(found)}"] if found else []


def _pictures(
    workspace: Workspace, name: str, both: Any, scored: Mapping[str, Scored]
) -> dict[str, Any]:
    task = load_task(workspace, name)
    ours, theirs = scored
    change = both["iou"] - both[f"iou{OTHER}"]
    order = both.assign(change=change).sort_values(["change", "image"])
    worse = list(order[order["change"] < 0]["image"])[: gallery.EACH]
    better = list(order[order["change"] > 0]["image"])[::-1][: gallery.EACH]
    rows = {row["image"]: row for row in both.to_dict("records")}
    cards = {
        example.image: gallery.card_of_two(
            example,
            {
                which: answers.said(found.folder, example.image, task)
                for which, found in scored.items()
            },
            rows[example.image],
            task,
        )
        for example in read_examples(Examples.of(workspace, name).require().records(TEST))
        if example.image in {*worse, *better}
    }
    return {
        "classes": task.classes,
        "legend": gallery.legend(task),
        "gallery": {
            f"{ours} is better": [cards[image] for image in better],
            f"{theirs} is better": [cards[image] for image in worse],
        },
    }


def _tell(rows: list[dict[str, Any]], ours: str, theirs: str) -> None:
    say(f"{'':>22}  {'slice':<16} {ours:>10} {theirs:>10} {'change':>9}")
    for row in rows:
        if not row["detail"]:
            verdict = row["verdict"]
            said = f"  {ours} is {verdict}" if verdict in (changes.BETTER, changes.WORSE) else ""
            said += f"  {verdict}" if verdict == changes.OTHER_SIDE else ""
            say(
                f"{row['metric']:>22}  {row['slice']:<16} {row['ours']:>10.3f} "
                f"{row['theirs']:>10.3f} {row['change']:>+9.4f}{said}"
            )
