"""What a search found: a table of the best trials, a CSV file of all, a picture."""

from __future__ import annotations

import csv
import json
import warnings
from pathlib import Path
from typing import Any

from components.tuning.processes import SCORE
from components.tuning.study import VALUES, WHY, Study
from segtrail.files import atomic_path

_BEST = 10
_ENOUGH = 8  # complete trials before importance means anything


def table(study: Study) -> str:
    """Returns the best trials, what they changed, and how the parameters weigh."""
    own, own_trial = study.space.own_values(), study.own_trial()
    lines = [f"{'IoU':>7}  {'to recipe':>9}  trial  values that differ from the recipe"]
    for trial in study.complete[:_BEST]:
        values = trial.user_attrs[VALUES]
        changed = [f"{k} {v}" for k, v in values.items() if own.get(k) != v]
        gain = f"{trial.value - own_trial.value:+.4f}" if own_trial else ""
        lines.append(
            f"{trial.value:7.4f}  {gain:>9}  {trial.number:5d}  "
            + (", ".join(changed) or "none: the recipe as it is")
        )
    given_up = len(study.trials) - len(study.complete)
    lines.append(f"{len(study.trials)} trials, of which {given_up} were given up or failed")
    if weights := importance(study):
        said = ", ".join(f"{k} {v:.2f}" for k, v in weights.items() if v >= 0.01)
        lines.append(f"importance (PED-ANOVA): {said}")
    else:
        lines.append(f"importance: from {_ENOUGH} complete trials on")
    return "\n".join(lines)


def importance(study: Study) -> dict[str, float]:
    """Returns what part of the score's variance each field has (Watanabe et al., 2023).

    Empty while there are too few complete trials.
    """
    from optuna.importance import get_param_importances

    if len(study.complete) < _ENOUGH:
        return {}
    with warnings.catch_warnings():  # a field that is seldom searched weighs little anyway
        warnings.simplefilter("ignore")
        weights: dict[str, float] = get_param_importances(study.optuna)
    return weights


def write_report(study: Study, folder: Path) -> list[Path]:
    """Writes `trials.csv`, `report.txt` and `history.png`; returns them."""
    complete = study.complete
    rows = [
        {
            "trial": t.number,
            "state": t.state.name.lower(),
            SCORE: t.value if t in complete else "",
            "minutes": f"{t.duration.total_seconds() / 60:.2f}" if t.duration else "",
            "why": t.user_attrs.get(WHY, ""),
        }
        | {k: json.dumps(v) for k, v in t.user_attrs.get(VALUES, {}).items()}
        for t in study.trials
    ]
    trials, report, picture = (folder / n for n in ("trials.csv", "report.txt", "history.png"))
    with atomic_path(trials) as path, open(path, "w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    with atomic_path(report) as path:
        path.write_text(table(study) + "\n", encoding="utf-8")
    with atomic_path(picture) as path:
        _draw(study, path)
    return [trials, report, picture]


def _draw(study: Study, path: Path) -> None:
    """Draws the scores, the learning curves and the weights of the parameters."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4), layout="constrained")
    scores, curves, weights = figure.subplots(1, 3)
    complete = sorted(study.complete, key=lambda t: t.number)
    numbers = [t.number for t in complete]
    values = [t.value for t in complete]
    scores.plot(numbers, values, "o", label="complete")
    best = [max(values[: place + 1]) for place in range(len(values))]
    scores.step(numbers, best, where="post", label="best so far")
    pruned = [t for t in study.trials if t not in complete and t.intermediate_values]
    scores.plot(
        [t.number for t in pruned], [_last(t) for t in pruned], "x", color="0.6", label="given up"
    )
    if own := study.own_trial():
        scores.axhline(own.value, color="0.3", linestyle=":", label="the recipe as it is")
    scores.set(xlabel="trial", ylabel="IoU", title="IoU of the validation tiles")
    scores.xaxis.get_major_locator().set_params(integer=True)
    scores.legend()
    for trial in [*pruned, *complete]:
        steps = sorted(trial.intermediate_values)
        colour = "0.8" if trial in pruned else None
        curves.plot(steps, [trial.intermediate_values[s] for s in steps], color=colour, alpha=0.7)
    curves.set(xlabel="step", ylabel="IoU", title="learning curves (grey: given up)")
    weighed = importance(study)
    names = list(weighed)[::-1]
    weights.barh([n.removeprefix("training.") for n in names], [weighed[n] for n in names])
    weights.axis("on" if names else "off")
    weights.set(xlabel="share" if names else "")
    weights.set(title="importance" if names else f"importance: from {_ENOUGH} complete trials on")
    for ax in (scores, curves):
        ax.grid(alpha=0.3)
    figure.savefig(path, dpi=100, format="png")


def _last(trial: Any) -> float:
    return float(trial.intermediate_values[max(trial.intermediate_values)])
