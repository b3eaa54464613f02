"""Tuner: searches values of a recipe that give better validation scores."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from components.tuning.confirming import compare
from components.tuning.default_space import default_space
from components.tuning.fields import ABSENT, get_field
from components.tuning.identity import shortened, study_identity
from components.tuning.report import table, write_report
from components.tuning.search import Search
from components.tuning.space import Space
from components.tuning.study import VALUES, Study, open_study
from components.tuning.writing import unified_diff, with_values
from lineage.data_version import DataVersion
from lineage.study_record import StudyRecord
from segtrail.artifacts import Examples, TransformGraph
from segtrail.errors import ConfigError, RejectedError, StageError
from segtrail.files import write_text
from segtrail.lock import alone
from segtrail.made_with import require_tiles
from segtrail.params import dump, load_dataset, load_recipe
from segtrail.progress import say
from segtrail.recipe import Recipe
from segtrail.task import Task
from segtrail.workspace import Workspace

_RUN = "mlflow_run_id"


@dataclass(frozen=True)
class Options:
    """How to search.

    Attributes:
        trials: How many the study has in the end, those of earlier calls among them.
        steps: Of a trial; None is the recipe's.
        timeout_min: No trial begins after so many minutes.
        seed: Of the sampler.
        new: Begin another study.
        write: Put the winner into `params.yaml` if it is better than the recipe.
        repeats: Trainings of the winner, and of the recipe, by which that is judged.
    """

    trials: int
    steps: int | None = None
    timeout_min: float | None = None
    seed: int = 1
    new: bool = False
    write: bool = False
    repeats: int = 3


def tune(workspace: Workspace, name: str, options: Options) -> str:
    """Runs trials until the study has as many as asked for; returns the table of the best.

    The study lies in `.segtrail/tune/<recipe>.db`, so a search that was killed goes on. A
    trial trains on the transformed tiles that are there and is scored by the mean IoU of the
    validation tiles; test images are not looked at.

    Args:
        workspace: Where `transform` has run.
        name: The recipe.
        options: How to search.

    Raises:
        ConfigError: The search space does not fit the recipe.
        StageError: The last study rests on something else, or trainings fail.
        RejectedError: With `write`, when the winner is not better than the recipe as it is.
    """
    recipe = load_recipe(workspace, name)
    dataset = load_dataset(workspace, recipe.dataset)
    task = Task.of(recipe, dataset)
    transform = require_tiles(TransformGraph.of(workspace, name), recipe, task)
    data = DataVersion.recorded(Examples.of(workspace, name).require().data_version)
    if recipe.training.hardware.strategy == "multi-worker":
        raise ConfigError(
            f"recipes.{name}.training.hardware.strategy is multi-worker; a trial trains on one "
            "machine",
            "set it to auto while tuning",
        )
    short = shortened(recipe, options.steps)
    entries = recipe.tuning.space or default_space(recipe, task)
    space = Space.around(name, short, dataset, entries)
    folder = workspace.scratch / "tune" / name
    # a running trial of another search would be taken for dead
    with alone(folder / "lock", f"recipe {name} is being tuned by another process"):
        identity = study_identity(space, task, transform, entries, options.seed)
        study = open_study(
            folder.parent / f"{name}.db", space, identity,
            options.seed, short.training.steps, options.new,
        )  # fmt: skip
        if dead := study.close_dead():
            say(f"{dead} trial that was cut off will be drawn again")
        with StudyRecord(
            workspace, name, study.optuna.study_name,
            _facts(study, options), data, study.optuna.user_attrs.get(_RUN),
        ) as record:  # fmt: skip
            study.optuna.set_user_attr(_RUN, record.run_id)
            search = Search(workspace, study, task, record, folder)
            _run_trials(search, options)
            for path in write_report(study, folder):
                record.file(path)
            say(f"\n{table(study)}\nreport and picture in {folder}; MLflow run {record.run_id}")
            if options.write:
                _write(workspace, recipe, search, options.repeats)
    return table(study)


def _run_trials(search: Search, options: Options) -> None:
    began, before = time.monotonic(), len(search.study.trials)
    while (done := len(search.study.trials)) < options.trials:
        spent = (time.monotonic() - began) / 60
        if options.timeout_min is not None and spent >= options.timeout_min:
            say(f"stopping after {spent:.1f} min, with {done} of {options.trials} trials")
            break
        if done > before:
            left = spent / (done - before) * (options.trials - done)
            say(f"{done} of {options.trials} trials, {spent:.1f} min, about {left:.1f} left")
        search.run_next()


def _write(workspace: Workspace, recipe: Recipe, search: Search, repeats: int) -> None:
    """Puts the winner into `params.yaml` if fresh seeds say that it is better."""
    study, name = search.study, search.study.space.name
    if not study.complete or study.complete[0] is study.own_trial():
        raise RejectedError(f"params.yaml is left as it is: no trial is better than recipe {name}")
    say(f"training the winner and the recipe as it is with {repeats} fresh seeds")
    said = compare(search, repeats)
    say(said.says)
    if not said.better:
        raise RejectedError(
            f"params.yaml is left as it is: the winner is not surely better. {said.says}",
            "let it search on with more --trials, or for longer with more --steps",
        )
    made = study.space.make(study.complete[0].user_attrs[VALUES])
    winner = recipe.model_copy(
        update={
            "network": made.network,
            "training": made.training.model_copy(
                update={
                    "steps": recipe.training.steps,
                    "validate_every": recipe.training.validate_every,
                }
            ),
        }
    )
    if load_recipe(workspace, name) != recipe:
        raise StageError(f"{workspace.params}: recipe {name} was changed meanwhile")
    with open(workspace.params, encoding="utf-8", newline="") as f:
        old = f.read()
    new = with_values(old, name, _changes(recipe, winner, study.space), winner)
    write_text(workspace.params, new)
    say(unified_diff(old, new) + f"written to {workspace.params}")


def _changes(recipe: Recipe, winner: Recipe, space: Space) -> dict[str, Any]:
    """Returns what must be written: fields of the space whole, so that a section stays one."""
    old, new = dump(recipe), dump(winner)
    found = {
        field: get_field(new, field)
        for field in space.entries
        if get_field(old, field) != get_field(new, field)
    }
    return {field: value for field, value in found.items() if value is not ABSENT}


def _facts(study: Study, options: Options) -> dict[str, Any]:
    space = {
        f: e.model_dump(mode="json", exclude_defaults=True) for f, e in study.space.entries.items()
    }
    return {"recipe": dump(study.space.recipe), "space": {f: str(e) for f, e in space.items()},
            "sampler_seed": options.seed}  # fmt: skip
