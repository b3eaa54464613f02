"""Applies the gate's rules to per-image scores.

A candidate must pass every rule, so that passes need no correction for their number: the chance
of promoting a model that some rule should have stopped is at most that rule's own (an
intersection-union test, Berger, 1982). It is failing that many slices make likely by chance, and
that is corrected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from components.gating.question import Question
from components.gating.verdict import RuleVerdict
from components.scoring.pairs import of_other, pair
from model.summary import values
from model.uncertainty import Change, Level, holm
from segtrail.settings.base import ALL, EACH
from segtrail.settings.gate import AbsoluteRule, Gate, RelativeRule
from segtrail.settings.metrics import kind_of

_Rule = TypeVar("_Rule", AbsoluteRule, RelativeRule)


def apply_rules(gate: Gate, candidate: Any, champion: Any | None) -> list[RuleVerdict]:
    """Returns one verdict for each rule, and for each slice of it.

    Args:
        gate: The rules.
        candidate: Data frame of per-image scores: see `model.evaluation.score`.
        champion: The same of the champion on the same images; None: absolute rules alone.
    """
    questions = [
        _absolute(rule, of, gate, rows) for rule, of, rows in _parts(gate.absolute, candidate)
    ]
    if champion is not None:
        both = pair(candidate, champion)
        questions += [
            _relative(rule, of, gate, both[both["image"].isin(rows["image"])], not both.empty)
            for rule, of, rows in _parts(gate.relative, candidate)
        ]
    adjusted = _adjusted(questions) if gate.correction == "holm" else {}
    return [question.verdict(adjusted.get(place)) for place, question in enumerate(questions)]


def _parts(rules: Sequence[_Rule], per_image: Any) -> Iterator[tuple[_Rule, str, Any]]:
    """Yields each rule, the slice that it is about, and that slice's rows."""
    for rule in rules:
        if rule.slice == ALL:
            yield rule, ALL, per_image
        else:
            every = sorted(per_image["slice"].unique())
            for name in every if rule.slice == EACH else [rule.slice]:
                yield rule, name, per_image[per_image["slice"] == name]


def _absolute(rule: AbsoluteRule, of: str, gate: Gate, rows: Any) -> Question:
    limit = rule.max if rule.min is None else rule.min
    assert limit is not None
    evidence, groups = None, list(rows["group"])
    if _pieces(rule, groups) >= rule.least:
        evidence = Level(values(rows, rule.metric), groups, gate.resamples, gate.seed)
    counts = rule.too_few == "block"
    return Question(rule, of, gate.confidence, limit, rule.min is None, evidence, groups, counts)


def _relative(rule: RelativeRule, of: str, gate: Gate, both: Any, compared: bool) -> Question:
    less = kind_of(rule.metric).better == "less"
    evidence, groups = None, list(both["group"])
    if _pieces(rule, groups) >= rule.least:
        change = values(both, rule.metric) - values(of_other(both), rule.metric)
        evidence = Change(change, groups, gate.resamples, gate.seed)
    limit = rule.margin if less else -rule.margin
    # a slice may be too small to tell, but not because nothing could be compared
    counts = rule.too_few == "block" or not compared
    return Question(rule, of, gate.confidence, limit, less, evidence, groups, counts)


def _pieces(rule: AbsoluteRule | RelativeRule, groups: Sequence[str]) -> int:
    """Returns how much evidence there is: an interval is over groups."""
    return len(set(groups)) if rule.judged == "bound" else len(groups)


def _adjusted(questions: Sequence[Question]) -> dict[int, float]:
    """Returns, for questions about slices where there are several, p-values of all together."""
    tested = [
        (place, question.p_fail)
        for place, question in enumerate(questions)
        if question.slice != ALL and question.p_fail is not None
    ]
    if len(tested) < 2:
        return {}
    places, p_values = zip(*tested, strict=True)
    return dict(zip(places, holm(p_values), strict=True))
