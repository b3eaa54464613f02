"""The search space: entries of the recipe, what Optuna draws of them, and the recipes they make."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.tuning.fields import ABSENT, all_fields, get_field, remove_field, set_field
from segtrail.errors import ConfigError
from segtrail.params import check_params, dump
from segtrail.recipe import Recipe
from segtrail.settings.dataset import Dataset
from segtrail.settings.tuning import Choices, Entry, Range
from segtrail.words import near

_DIGITS = 4  # of a drawn number: what stands in params.yaml is what was trained with
Values = dict[str, Any]


@dataclass(frozen=True)
class Space:
    """What trials may change in a recipe.

    Attributes:
        name: The recipe's name.
        recipe: As it is.
        dataset: Of the recipe, which decides with it what fits together.
        entries: By field. Make it with `Space.around`, so that the recipe itself lies within.
    """

    name: str
    recipe: Recipe
    dataset: Dataset
    entries: Mapping[str, Entry]

    @classmethod
    def around(
        cls, name: str, recipe: Recipe, dataset: Dataset, entries: Mapping[str, Entry]
    ) -> Space:
        """Returns the space, widened where the recipe lies outside, with every entry checked.

        Raises:
            ConfigError: A field that the recipe cannot have, or a value that its schema refuses.
        """
        base = dump(recipe)
        space = cls(name, recipe, dataset, entries)
        for field in entries:
            space._check(field)
        widened = {f: _widened(f, e, get_field(base, f)) for f, e in entries.items()}
        return cls(name, recipe, dataset, widened)

    def suggest(self, trial: Any) -> Values:
        """Returns the values that an `optuna.Trial` draws, those alone whose `when` holds."""
        values: Values = {}
        for field, entry in self._ordered():
            if not self._active(entry, values):
                continue
            if isinstance(entry, Choices):
                values[field] = json.loads(trial.suggest_categorical(field, _labels(entry)))
            elif self._whole(field, entry):
                step = int(entry.step or 1)
                values[field] = trial.suggest_int(
                    field, int(entry.low), int(entry.high), log=entry.log, step=step
                )
            else:
                drawn = trial.suggest_float(
                    field, float(entry.low), float(entry.high), log=entry.log, step=entry.step
                )
                values[field] = min(max(_rounded(drawn), float(entry.low)), float(entry.high))
        return values

    def own_values(self) -> Values:
        """Returns the values of the recipe as it is."""
        base, values = dump(self.recipe), Values()
        for field, entry in self._ordered():
            if self._active(entry, values):
                values[field] = get_field(base, field)
        return values

    def labels(self, values: Values) -> dict[str, Any]:
        """Returns values as Optuna knows them: choices by their JSON."""
        return {
            field: json.dumps(value) if isinstance(self.entries[field], Choices) else value
            for field, value in values.items()
        }

    def holds(self, values: Values) -> bool:
        """Returns whether the values lie within."""
        for field, value in values.items():
            entry = self.entries.get(field)
            if entry is None or isinstance(entry, Choices):
                if entry is None or value not in entry.choices:
                    return False
            elif not entry.low <= value <= entry.high or _off_step(value, entry):
                return False
        return True

    def make(self, values: Values) -> Recipe:
        """Returns the recipe with the values; a field whose `when` does not hold has its default.

        Raises:
            ConfigError: They do not fit together.
        """
        if values == self.own_values():
            return self.recipe
        changed = dump(self.recipe)
        changed.pop("tuning")
        for field, entry in self._ordered():
            if entry.when and field not in values:
                remove_field(changed, field)
        for field, value in values.items():
            set_field(changed, field, copy.deepcopy(value))
        made = check_params(
            {
                "datasets": {self.recipe.dataset: dump(self.dataset)},
                "recipes": {self.name: changed},
            },
            "with " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in values.items()),
        )
        return made.recipes[self.name]

    def _ordered(self) -> list[tuple[str, Entry]]:
        """Returns the entries, those with conditions after those without, else as written."""
        return sorted(self.entries.items(), key=lambda item: bool(item[1].when))

    def _active(self, entry: Entry, values: Values) -> bool:
        base = dump(self.recipe)
        for field, allowed in entry.when.items():
            found = values.get(field, ABSENT)
            if found is ABSENT and field not in self.entries:
                found = get_field(base, field)
            if found not in allowed:
                return False
        return True

    def _whole(self, field: str, entry: Range) -> bool:
        """Returns whether a range is of whole numbers: as the recipe's own, else as written."""
        own = get_field(dump(self.recipe), field)
        if isinstance(own, (int, float)):
            return isinstance(own, int)
        return isinstance(entry.low, int) and isinstance(entry.high, int)

    def _check(self, field: str) -> None:
        """Tries the ends, or each choice, of one entry on the recipe."""
        entry = self.entries[field]
        where = f"params.yaml, recipes.{self.name}.tuning.space.{field}"
        own = get_field(dump(self.recipe), field)
        if isinstance(entry, Range):
            number = isinstance(own, (int, float)) and not isinstance(own, bool)
            if not number and own is not ABSENT:
                raise ConfigError(
                    f"{where}: a range of numbers, but the recipe has {json.dumps(own)}",
                    "list values instead: choices: [...]",
                )
            numbers = (entry.low, entry.high, entry.step or 1)
            if self._whole(field, entry) and any(n != int(n) for n in numbers):
                raise ConfigError(f"{where}: expected whole numbers; got {numbers}")
            tried: list[Any] = [entry.low, entry.high]
        else:
            tried = entry.choices
        for name in entry.when:
            if name not in self.entries and get_field(dump(self.recipe), name) is ABSENT:
                known = [*self.entries, *all_fields(dump(self.recipe))]
                raise ConfigError(f"{where}.when: the recipe has no {name!r}.{near(name, known)}")
        conditions = {name: allowed[0] for name, allowed in entry.when.items() if allowed}
        for value in tried:
            try:
                self.make({**conditions, field: value})
            except ConfigError as e:
                raise ConfigError(f"{where}: {e.message}", e.hint) from None


def _widened(field: str, entry: Entry, own: Any) -> Entry:
    """Returns the entry with the recipe's own value within it."""
    if own is ABSENT:
        return entry
    if isinstance(entry, Choices):
        return entry if own in entry.choices else _with(entry, choices=[own, *entry.choices])
    if not isinstance(own, (int, float)):
        return entry
    if entry.log and own <= 0:
        raise ConfigError(
            f"params.yaml, tuning.space.{field}: log is true, but the recipe has {own}",
            "leave out log, or give the recipe a value above 0",
        )
    if _off_step(own, entry):
        raise ConfigError(
            f"params.yaml, tuning.space.{field}: the recipe's own {own} is not among "
            f"{entry.low}, {entry.low} + {entry.step} ...",
            "choose low and step so that they reach it, or list choices",
        )
    return _with(entry, low=min(entry.low, own), high=max(entry.high, own))


def _with(entry: Entry, **changes: Any) -> Entry:
    return entry.model_copy(update=changes)


def _off_step(value: float, entry: Range) -> bool:
    if entry.step is None:
        return False
    steps = (value - entry.low) / entry.step
    return not math.isclose(steps, round(steps), abs_tol=1e-9)


def _labels(entry: Choices) -> list[str]:
    return [json.dumps(choice) for choice in entry.choices]


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
