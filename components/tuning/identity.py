"""What the scores of a study rest on: with another, they could not be compared."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from components.tuning.fields import remove_field
from components.tuning.space import Space
from segtrail.artifacts import TransformGraph
from segtrail.code import ROOT
from segtrail.files import root_digest, sha256_file
from segtrail.params import dump
from segtrail.recipe import Recipe
from segtrail.settings.tuning import Entry
from segtrail.task import Task

_VALIDATIONS = 5  # of a trial, at least: what is pruned must be seen in time
_CODE = ("model", "components/training", "components/tuning/trial.py")
_LIBRARIES = ("tensorflow", "keras", "tensorflow-transform", "optuna")


def shortened(recipe: Recipe, steps: int | None) -> Recipe:
    """Returns the recipe as trials train it: for so many steps, with enough validations.

    The schedule is stretched, or shortened, to the steps.
    """
    options = recipe.training
    steps = steps or options.steps
    every = min(options.validate_every, -(-steps // _VALIDATIONS))
    fall = max(1, round(options.schedule.every * steps / options.steps))
    training = options.model_copy(
        update={
            "steps": steps,
            "validate_every": every,
            "schedule": options.schedule.model_copy(update={"every": fall})
            if options.schedule.kind == "step"
            else options.schedule,
        }
    )
    return recipe.model_copy(update={"training": training})


def study_identity(
    space: Space, task: Task, transform: TransformGraph, entries: Mapping[str, Entry], seed: int
) -> dict[str, Any]:
    """Returns what the scores of a study rest on besides the searched values, as nested JSON.

    Args:
        space: Around the shortened recipe.
        task: What is learnt.
        transform: Graph and tiles, every byte of them.
        entries: Of the space, before it was widened around the recipe.
        seed: Of the sampler.
    """
    kept = dump(space.recipe)
    fixed = {key: kept[key] for key in ("preprocessing", "network", "training", "classes")}
    for field in entries:
        remove_field(fixed, field)
    files = [
        f for p in _CODE for f in ([ROOT / p] if p.endswith(".py") else (ROOT / p).rglob("*.py"))
    ]
    return {
        "recipe": fixed,
        "task": [task.masks, [list(group) for group in task.numbers]],
        "space": {field: entry.model_dump(mode="json") for field, entry in entries.items()},
        "pruner": kept["tuning"]["pruner"],
        "seed": seed,
        "transformed data": transform.digest,
        "code": root_digest({f.relative_to(ROOT).as_posix(): sha256_file(f) for f in files}),
        "versions": {name: version(name) for name in _LIBRARIES},
    }
