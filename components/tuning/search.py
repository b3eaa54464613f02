"""Trials of a study, one after another: drawn, trained, told to Optuna and to MLflow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.tuning.processes import SCORE, Outcome, run_trial, score
from components.tuning.space import Values
from components.tuning.study import VALUES, Study
from lineage.study_record import StudyRecord, TrialRecord
from segtrail.errors import ConfigError, StageError
from segtrail.progress import say
from segtrail.recipe import Recipe
from segtrail.task import Task
from segtrail.workspace import Workspace

_REPEATS = "repeats"
_CRASHES = 3  # in a row: the machine, not the values


@dataclass
class Search:
    """A study with what its trials need.

    Attributes:
        workspace: Where the transform has run.
        study: Whose trials.
        task: What is learnt.
        record: Of the study in MLflow.
        folder: Of the logs.
    """

    workspace: Workspace
    study: Study
    task: Task
    record: StudyRecord
    folder: Path
    _crashed: int = 0

    def run_next(self) -> None:
        """Runs one trial.

        Raises:
            StageError: The recipe as it is cannot be trained, or one trial after another crashed.
        """
        began = time.monotonic()
        trial, values = self.study.ask()
        own = values == self.study.space.own_values()
        name = f"trial {trial.number}"
        title = name + (", the recipe as it is" if own else "")
        say(f"{title}: " + ", ".join(f"{k} {v}" for k, v in values.items()))
        with self.record.trial(title, values) as run:
            state = self._run(trial, values, own, name, run)
        best = self.study.complete[:1]
        says = f"{title}: {state}, {(time.monotonic() - began) / 60:.1f} min"
        if best:
            says += f"; best IoU so far {best[0].value:.4f}"
            self.record.metrics({f"best_{SCORE}": best[0].value}, trial.number)
        say(says)

    def repeat(self, values: Values, seed: int, title: str) -> float:
        """Returns the score of values with another seed; one that is known is not trained again.

        Raises:
            StageError: The training failed.
        """
        known: list[dict[str, Any]] = self.study.optuna.user_attrs.get(_REPEATS, [])
        for each in known:
            if (each["values"], each["seed"]) == (values, seed):
                return float(each["score"])
        recipe = _with_seed(self.study.space.make(values), seed)
        with self.record.trial(title, {**values, "training.seed": seed}) as run:
            outcome = self._train(recipe, title.replace(" ", "-"), title, run)
            if why := outcome.refused or outcome.crashed:
                raise StageError(f"{title}: {why}")
            value = score(outcome.history, recipe)
            run.end("complete", score=f"{value:.6f}")
        self.study.optuna.set_user_attr(
            _REPEATS, [*known, {"values": values, "seed": seed, "score": value}]
        )
        return value

    def _run(self, trial: Any, values: Values, own: bool, title: str, run: TrialRecord) -> str:
        """Trains one trial and tells how it ended; returns that in words."""
        for other in self.study.complete:
            if other.user_attrs[VALUES] == values:
                self.study.optuna.tell(trial, other.value)
                run.end("complete", score=f"{other.value:.6f}", same_as=str(other.number))
                return f"as before, IoU {other.value:.4f}"
        try:
            recipe = self.study.space.make(values)
        except ConfigError as e:
            self.study.give_up(trial, e.message)
            run.end("pruned", why=e.message)
            return f"refused: {e.message}"

        def judge(metrics: Mapping[str, float], step: int) -> bool:
            trial.report(metrics[SCORE], step)
            last = step >= recipe.training.steps
            return own or last or not trial.should_prune()

        outcome = self._train(recipe, f"trial-{trial.number:04d}", title, run, judge)
        if own and (why := outcome.refused or outcome.crashed):
            raise StageError(f"the recipe as it is cannot be trained: {why}", f"see {self.folder}")
        if outcome.crashed:
            self.study.failed(trial, outcome.crashed)
            run.end("failed", why=outcome.crashed)
            self._crashed += 1
            if self._crashed == _CRASHES:
                raise StageError(
                    f"{_CRASHES} trials crashed one after another: {outcome.crashed}",
                    f"see the logs in {self.folder}",
                )
            return f"crashed, see {self.folder / f'trial-{trial.number:04d}.log'}"
        self._crashed = 0
        if outcome.refused:
            self.study.give_up(trial, outcome.refused)
            run.end("pruned", why=outcome.refused)
            return outcome.refused
        if outcome.stopped:
            step = outcome.history[-1]["step"]
            why = f"below the median of the trials before at step {step:.0f}"
            self.study.give_up(trial, why)
            run.end("pruned", why=why)
            return f"given up, {why}"
        value = score(outcome.history, recipe)
        self.study.optuna.tell(trial, value)
        run.end("complete", score=f"{value:.6f}")
        return f"IoU {value:.4f}"

    def _train(
        self, recipe: Recipe, stem: str, title: str, run: TrialRecord, judge: Any = None
    ) -> Outcome:
        def on_epoch(metrics: Mapping[str, float], step: int) -> bool:
            say(f"  {title}, step {step} of {recipe.training.steps}: IoU {metrics[SCORE]:.4f}")
            run.metrics(metrics, step)
            return judge is None or bool(judge(metrics, step))

        log = self.folder / f"{stem}.log"
        return run_trial(self.workspace, self.study.space.name, recipe, self.task, log, on_epoch)


def _with_seed(recipe: Recipe, seed: int) -> Recipe:
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": seed})})
