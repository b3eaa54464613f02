"""What the gate said of a model, by its provenance, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.gating.history import decided_before
from components.reporting.page import number
from lineage import forced
from lineage.evidence import Evidence
from lineage.verdicts import PASS
from segtrail.errors import SegtrailError


@dataclass(frozen=True)
class Rule:
    """A rule of the gate, in words.

    Attributes:
        rule: What was asked.
        verdict: `pass`, `fail` or `insufficient evidence`.
        decides: Whether that counts.
        value, interval, threshold: What was measured, and what it was compared with.
        n: How many images, or requests.
        says: One sentence.
    """

    rule: str
    verdict: str
    decides: bool
    value: str
    interval: str
    threshold: str
    n: str
    says: str


@dataclass(frozen=True)
class Judgement:
    """What the gate said.

    Attributes:
        verdict: Of all rules.
        forced: Who let it pass nevertheless, in words; empty if nobody had to.
        against: What it was compared with.
        split: How often these test images had decided before, and have by now.
        rules: The rules.
        notes: What the gate remarked, such as rules that changed since the last promotion.
    """

    verdict: str
    forced: str
    against: str
    split: str
    rules: Sequence[Rule]
    notes: Sequence[str]


def read(e: Evidence) -> Judgement:
    """Returns what the provenance keeps of the gate and of infra validation.

    Raises:
        LineageError: The provenance has none.
    """
    verdict = e.byproduct("verdict/verdict.json")["annotations"]["verdict"]
    infra = e.byproduct("infra/result.json")["annotations"]["result"]
    champion, said = verdict["champion"], verdict.get("forced")
    return Judgement(
        str(verdict["verdict"]),
        forced.says(said) if said and verdict["verdict"] != PASS else "",
        f"v{champion['version']}, the champion then" if champion else "no champion: it was first",
        _split(e, verdict),
        [_rule(rule) for rule in (*verdict["rules"], *infra.get("rules", ()))],
        [str(note) for note in verdict["notes"]],
    )


def _rule(rule: Mapping[str, Any]) -> Rule:
    signed, interval = rule["kind"] == "relative", rule["interval"]
    return Rule(
        str(rule["rule"]),
        str(rule["verdict"]),
        bool(rule["decides"]),
        number(rule["value"], signed),
        " to ".join(number(end, signed) for end in interval) if interval else "",
        number(rule["threshold"], signed),
        str(rule["n"]),
        str(rule["says"]),
    )


def _split(e: Evidence, verdict: Mapping[str, Any]) -> str:
    split, before = verdict["test_split"], verdict.get("test_split_decided_before")
    images = f"These {split['images']} test images (digest {split['digest'][:12]})"
    then = "a number of models that was not recorded" if before is None else _models(before)
    try:
        digest, model = split["digest"], str(verdict["model_digest"])
        others = decided_before(e.workspace, e.dataset, digest, model)
        now = _models(others)
    except SegtrailError as error:
        now = f"unknown ({error.message})"
    return (
        f"{images} had decided on {then} before this one; by now, by the ledgers of this "
        f"workspace, on {now} besides it. The more, the less a pass means."
    )


def _models(count: int) -> str:
    return f"{count} model{'' if count == 1 else 's'}"
