"""The Optuna study of a recipe: found again in SQLite, and refused when it is of something else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.tuning.fields import ABSENT, differences
from components.tuning.space import Space, Values
from segtrail.errors import StageError
from segtrail.settings.tuning import Tuning

_IDENTITY, _SPACE = "identity", "space"
VALUES, WHY = "values", "why"
_STARTUP = 8  # trials drawn at random before TPE has something to go by
_BEFORE_PRUNING = 4  # whole trials before a median means something
_WARM_UP = 0.3  # part of the steps in which a learning rate may still be settling


class Study:
    """A study and its trials.

    What a trial draws follows from the study's seed and the trials before it alone, so a study
    that was killed draws what it would have drawn.

    Args:
        optuna_study: Made by `open_study`.
        space: What is searched.
        seed: Of the sampler.
    """

    def __init__(self, optuna_study: Any, space: Space, seed: int) -> None:
        self.optuna = optuna_study
        self.space = space
        self._seed = seed

    @property
    def trials(self) -> list[Any]:
        """The frozen trials that came to an end of their own: not those that were killed."""
        from optuna.trial import TrialState

        return [
            t
            for t in self.optuna.get_trials(deepcopy=False)
            if t.state in (TrialState.COMPLETE, TrialState.PRUNED)
            or (t.state is TrialState.FAIL and WHY in t.user_attrs)
        ]

    @property
    def complete(self) -> list[Any]:
        """The trials with a score, the best first."""
        return sorted((t for t in self.trials if _is_complete(t)),
                      key=lambda t: (-t.value, t.number))  # fmt: skip

    def own_trial(self) -> Any | None:
        """Returns the trial of the recipe as it is, if it has a score."""
        own = self.space.own_values()
        return next((t for t in self.complete if t.user_attrs.get(VALUES) == own), None)

    def ask(self) -> tuple[Any, Values]:
        """Begins a trial: of the recipe as it is if it has no score yet, else a drawn one."""
        own = self.space.own_values()
        if own_next := not any(t.user_attrs.get(VALUES) == own for t in self.trials):
            self.optuna.enqueue_trial(self.space.labels(own))
        self.optuna.sampler = _sampler(self._seed, len(self.trials))
        trial = self.optuna.ask()
        values = self.space.suggest(trial)
        if own_next:
            values = own  # not rounded
        trial.set_user_attr(VALUES, values)
        return trial, values

    def give_up(self, trial: Any, why: str) -> None:
        """Ends a trial without a score; the sampler learns from it."""
        from optuna.trial import TrialState

        trial.set_user_attr(WHY, why)
        self.optuna.tell(trial, state=TrialState.PRUNED)

    def failed(self, trial: Any, why: str) -> None:
        """Ends a trial of which nothing can be learnt."""
        from optuna.trial import TrialState

        trial.set_user_attr(WHY, why)
        self.optuna.tell(trial, state=TrialState.FAIL)

    def close_dead(self) -> int:
        """Marks the trials whose process was killed as failed; what they tried is drawn again."""
        from optuna.trial import TrialState

        running = self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in running:
            self.optuna.tell(trial.number, state=TrialState.FAIL)
        for _ in self.optuna.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            self.optuna.tell(self.optuna.ask(), state=TrialState.FAIL)
        return len(running)


def open_study(
    path: Path, space: Space, identity: Mapping[str, Any], seed: int, steps: int, new: bool
) -> Study:
    """Finds the recipe's last study, or begins one.

    Args:
        path: The SQLite file.
        space: What is searched.
        identity: What the scores rest on besides the searched values, nested JSON.
        seed: Of the sampler.
        steps: Of a trial.
        new: Begin another study; those before stay in the file.

    Raises:
        StageError: The last study rests on something else, or the file is damaged.
    """
    import optuna
    from sqlalchemy.exc import DatabaseError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    identity = json.loads(json.dumps(identity))
    try:
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}}
        )
        names = sorted(optuna.get_all_study_names(storage), key=lambda n: int(n.rsplit("-")[-1]))
        begun = new or not names
        name = f"{space.name}-{len(names) + 1}" if begun else names[-1]
        study = optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=not begun,
            pruner=_pruner(space, steps),
        )  # fmt: skip
    except (DatabaseError, RuntimeError, ValueError) as e:
        raise StageError(
            f"{path}: not a study that this Optuna can read: {str(e).splitlines()[0]}",
            f"move it away: mv {path} {path}.old",
        ) from None
    if _IDENTITY not in study.user_attrs:  # new, or killed before it was told
        study.set_user_attr(_SPACE, Tuning(space=dict(space.entries)).model_dump(mode="json"))
        study.set_user_attr(_IDENTITY, identity)
    # as widened around the recipe with which the study began
    space = replace(space, entries=Tuning.model_validate(study.user_attrs[_SPACE]).space)
    if changed := _changes(study.user_attrs[_IDENTITY], identity, space):
        raise StageError(
            f"the study {name} cannot go on, for its trials could not be compared with new ones:"
            "\n  " + "\n  ".join(changed),
            f"begin another one: segtrail tune --recipe {space.name} --new   "
            "(the old one stays); or undo the change",
        )
    return Study(study, space, seed)


def seed_of(*parts: Any) -> int:
    """Returns a seed below 2**32 that depends on all parts."""
    return int(hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8], 16)


def _changes(stored: Mapping[str, Any], identity: Mapping[str, Any], space: Space) -> list[str]:
    found = differences(stored, identity)
    lines = [f"{field}: was {_text(a)}, is {_text(b)}" for field, (a, b) in found.items()]
    if not lines and not space.holds(own := space.own_values()):
        outside = [f for f in own if not space.holds({f: own[f]})]
        lines = [f"{f}: the recipe's {json.dumps(own[f])} is not in the space" for f in outside]
    return lines


def _text(value: Any) -> str:
    text = "not there" if value is ABSENT else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:12]}…"


def _sampler(seed: int, done: int) -> Any:
    """Returns a sampler for the next trial, which does not remember the ones before."""
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed_of(seed, done), n_startup_trials=_STARTUP)


def _pruner(space: Space, steps: int) -> Any:
    from optuna.pruners import MedianPruner, NopPruner

    if space.recipe.tuning.pruner == "none":
        return NopPruner()
    return MedianPruner(n_startup_trials=_BEFORE_PRUNING, n_warmup_steps=int(_WARM_UP * steps))


def _is_complete(trial: Any) -> bool:
    from optuna.trial import TrialState

    return bool(trial.state is TrialState.COMPLETE)
