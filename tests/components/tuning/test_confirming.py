"""The winner is written when fresh trainings say that it is better, and only then."""

import pytest
import yaml

from components.tune import _write
from components.tuning.confirming import Comparison
from components.tuning.search import Search
from components.tuning.space import Space
from components.tuning.study import VALUES, open_study
from segtrail.errors import RejectedError
from segtrail.params import dump, load_recipe
from segtrail.settings.tuning import Tuning
from segtrail.task import Task
from segtrail.workspace import Workspace

ENTRIES = {"training.learning_rate": {"low": 1e-4, "high": 0.1, "log": True}}


@pytest.mark.parametrize(
    ("winner", "own", "better"),
    [
        ([0.8, 0.81, 0.82], [0.7, 0.71, 0.79], True),
        ([0.8, 0.81, 0.95], [0.7, 0.71, 0.805], False),
        ([0.8, 0.8, 0.8], [0.8, 0.8, 0.8], False),
        ([0.6, 0.6, 0.6], [0.8, 0.8, 0.8], False),
    ],
)
def test_better_is_every_score_above_every_other(winner, own, better):
    said = Comparison(winner, own)
    assert said.better is better
    assert ("once in 20" in said.says) == better


@pytest.fixture
def search(params, tmp_path):
    """A finished search whose repeats are known, so that nothing has to be trained again."""
    made = params(training={"steps": 40}, tuning={"space": ENTRIES})
    workspace = Workspace(tmp_path, tmp_path)
    raw = dump(made)
    workspace.params.write_text(yaml.safe_dump(raw, sort_keys=False, default_flow_style=False))
    recipe, dataset = made.recipes["cells"], made.datasets["plates"]
    task = Task.of(recipe, dataset)
    space = Space.around("cells", recipe, dataset, Tuning.model_validate({"space": ENTRIES}).space)

    def make(rates: dict[float, float], repeats: dict[float, list[float]]) -> tuple:
        study = open_study(tmp_path / "a.db", space, {"seed": 1}, 1, 40, new=True)
        for rate, score in rates.items():
            study.optuna.enqueue_trial({"training.learning_rate": rate})
            trial = study.optuna.ask()
            trial.suggest_float("training.learning_rate", 1e-4, 0.1, log=True)
            trial.set_user_attr(VALUES, {"training.learning_rate": rate})
            study.optuna.tell(trial, score)
        known = [
            {"values": {"training.learning_rate": rate}, "seed": 2 + k, "score": score}
            for rate, scores in repeats.items()
            for k, score in enumerate(scores)
        ]
        study.optuna.set_user_attr("repeats", known)
        return workspace, recipe, Search(workspace, study, task, None, tmp_path)

    return make


def test_a_winner_that_is_surely_better_is_written(search, capsys):
    workspace, recipe, made = search(
        {0.001: 0.7, 0.02: 0.8}, {0.001: [0.7, 0.71, 0.72], 0.02: [0.8, 0.79, 0.81]}
    )
    before = workspace.params.read_text()
    _write(workspace, recipe, made, 3)
    assert load_recipe(workspace, "cells").training.learning_rate == 0.02
    assert workspace.params.read_text() == before.replace(
        "learning_rate: 0.001", "learning_rate: 0.02"
    )
    said = capsys.readouterr().out
    assert "-      learning_rate: 0.001\n+      learning_rate: 0.02\n" in said


@pytest.mark.parametrize(
    ("rates", "repeats", "says"),
    [
        ({0.001: 0.7, 0.02: 0.8}, {0.001: [0.7, 0.71, 0.8], 0.02: [0.8, 0.79, 0.81]},
         "not surely better"),
        ({0.001: 0.8, 0.02: 0.7}, {}, "no trial is better"),
        ({}, {}, "no trial is better"),
    ],
)  # fmt: skip
def test_else_the_file_stays_as_it_is(search, rates, repeats, says):
    workspace, recipe, made = search(rates, repeats)
    before = workspace.params.read_bytes()
    with pytest.raises(RejectedError, match=says):
        _write(workspace, recipe, made, 3)
    assert workspace.params.read_bytes() == before
