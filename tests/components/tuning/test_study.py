"""A study goes on as if it had not been killed, and not where its trials were of something else."""

import json
import math

import pytest

from components.tuning.default_space import default_space
from components.tuning.report import importance, table, write_report
from components.tuning.space import Space
from components.tuning.study import VALUES, open_study
from segtrail.errors import StageError
from segtrail.task import Task

IDENTITY = {"transformed data": "ab" * 32, "recipe": {"network": {"depth": 4}}, "seed": 1}


@pytest.fixture
def space(params):
    made = params()
    recipe, dataset = made.recipes["cells"], made.datasets["plates"]
    return Space.around("cells", recipe, dataset, default_space(recipe, Task.of(recipe, dataset)))


def score(values, step=40):
    """A landscape with its top at a rate of 0.004, which the recipe does not have."""
    rate = values["training.learning_rate"]
    off = abs(math.log10(rate / 0.004)) + values["training.augmentation.zoom"] / 10
    return (0.9 - off / 5) * step / 40


def run(study, count):
    """Runs trials until there are `count`; those that the pruner is against are given up."""
    while len(study.trials) < count:
        trial, values = study.ask()
        for step in (14, 27, 40):
            trial.report(score(values, step), step)
            if trial.should_prune() and values != study.space.own_values() and step < 40:
                study.give_up(trial, f"below the median at {step}")
                break
        else:
            study.optuna.tell(trial, score(values))


def drawn(study):
    return [(t.user_attrs[VALUES], t.value, t.state.name) for t in study.trials]


def test_a_study_that_was_killed_goes_on_as_an_unbroken_one(space, tmp_path):
    unbroken = open_study(tmp_path / "a.db", space, IDENTITY, 1, 40, new=False)
    run(unbroken, 11)
    for stop in (0, 9):
        path = tmp_path / f"b{stop}.db"
        run(open_study(path, space, IDENTITY, 1, 40, new=False), stop)
        killed = open_study(path, space, IDENTITY, 1, 40, new=False)
        trial, _ = killed.ask()
        trial.report(0.1, 14)
        del killed, trial
        again = open_study(path, space, IDENTITY, 1, 40, new=False)
        assert again.close_dead() == 1
        assert len(again.trials) == stop
        run(again, 11)
        assert drawn(again) == drawn(unbroken)
    assert any(state == "PRUNED" for _, _, state in drawn(unbroken))


def test_one_that_was_killed_between_asking_for_a_trial_and_beginning_it_goes_on(space, tmp_path):
    study = open_study(tmp_path / "a.db", space, IDENTITY, 1, 40, new=False)
    study.optuna.enqueue_trial(space.labels(space.own_values()))
    again = open_study(tmp_path / "a.db", space, IDENTITY, 1, 40, new=False)
    again.close_dead()
    run(again, 3)
    assert [t.user_attrs[VALUES] == space.own_values() for t in again.trials] == [
        True, False, False,
    ]  # fmt: skip


def test_the_first_trial_is_the_recipe_as_it_is_and_the_best_is_better(space, tmp_path):
    study = open_study(tmp_path / "a.db", space, IDENTITY, 1, 40, new=False)
    run(study, 9)
    assert study.trials[0].user_attrs[VALUES] == space.own_values()
    assert study.own_trial().number == 0
    assert study.complete[0].value > study.own_trial().value
    assert study.complete[0].value == max(
        value for _, value, state in drawn(study) if state == "COMPLETE"
    )


def test_the_report_has_every_trial_and_names_what_counts(space, tmp_path):
    study = open_study(tmp_path / "a.db", space, IDENTITY, 1, 40, new=False)
    run(study, 3)
    assert importance(study) == {}
    assert "from 8 complete trials on" in table(study)
    run(study, 16)
    weights = importance(study)
    assert set(weights) <= set(space.entries)
    assert sum(weights.values()) == pytest.approx(1)
    csv, text, picture = write_report(study, tmp_path)
    assert len(csv.read_text().splitlines()) == 17
    assert f"{study.complete[0].value:7.4f}" in text.read_text()
    assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"transformed data": "cd" * 32}, 'transformed data: was "ababababab'),
        ({"recipe": {"network": {"depth": 3}}}, "recipe.network.depth: was 4, is 3"),
        ({"seed": 2}, "seed: was 1, is 2"),
    ],
)
def test_a_study_of_something_else_is_refused_and_a_new_one_leaves_it(
    space, tmp_path, changed, says
):
    path = tmp_path / "a.db"
    run(open_study(path, space, IDENTITY, 1, 40, new=False), 2)
    with pytest.raises(StageError) as caught:
        open_study(path, space, IDENTITY | changed, 1, 40, new=False)
    assert says in caught.value.message
    assert "--new" in caught.value.hint
    other = open_study(path, space, IDENTITY | changed, 1, 40, new=True)
    assert other.trials == []
    assert other.optuna.study_name == "cells-2"
    again = open_study(path, space, IDENTITY | changed, 1, 40, new=False)
    assert again.optuna.study_name == "cells-2"


def test_a_recipe_that_moved_within_the_space_goes_on_and_is_tried(params, tmp_path):
    def space_at(rate):
        made = params(training={"steps": 40, "learning_rate": rate})
        recipe, dataset = made.recipes["cells"], made.datasets["plates"]
        return Space.around(
            "cells", recipe, dataset, default_space(recipe, Task.of(recipe, dataset))
        )

    path = tmp_path / "a.db"
    run(open_study(path, space_at(0.05), IDENTITY, 1, 40, new=False), 2)  # widens the space
    study = open_study(path, space_at(0.002), IDENTITY, 1, 40, new=False)
    run(study, 4)
    assert study.own_trial().number == 2
    with pytest.raises(StageError, match=r"training.learning_rate: the recipe's 0.09 is not in"):
        open_study(path, space_at(0.09), IDENTITY, 1, 40, new=False)


def test_a_damaged_file_is_told(space, tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(StageError) as caught:
        open_study(path, space, IDENTITY, 1, 40, new=False)
    assert str(path) in caught.value.message
    assert caught.value.hint.startswith("move it away")


def test_values_are_kept_as_plain_json(space, tmp_path):
    study = open_study(tmp_path / "a.db", space, IDENTITY, 1, 40, new=False)
    run(study, 1)
    assert json.loads(json.dumps(study.trials[0].user_attrs)) == study.trials[0].user_attrs
