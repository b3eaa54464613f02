"""What came out when a promoted version was made once more, against what was recorded of it.

Equal weights prove the most, so they are looked at first. Where they differ, the question is
whether they had to be equal: nothing else is broken by another processor or another library.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lineage import dvc_files, reproduced_metrics
from lineage.evidence import Evidence
from lineage.link import NotChecked, Warn
from lineage.reproduced_metrics import Row, table
from segtrail.artifacts import Model, TrainingRun
from segtrail.errors import LineageError
from segtrail.files import read_json
from segtrail.saved_model import file_digests
from segtrail.words import shortened
from segtrail.workspace import Workspace

WEIGHTS = "variables/"
_NOTHING_EXPLAINS_IT = (
    "nothing explains it: the recipe trains deterministically, and packages, Python, TensorFlow, "
    "processor and cores are those that were recorded"
)
_NO_EXCUSE = {"platform"}  # a kernel's update computes nothing else


def compare(e: Evidence, made: Workspace, packages: Sequence[str]) -> str:
    """Returns what held of a reproduction.

    Args:
        e: What was recorded.
        made: Where all stages of the recipe have run once more, at the promoted commit.
        packages: How the environment differs from that commit's lock file.

    Raises:
        LineageError: The model or its metrics differ, and nothing explains it or it is too much.
        NotChecked: They differ, as is to be expected, and nothing recorded says how much they may.
        Warn: The weights are the same; the graph around them is of a training that was resumed.
    """
    stored, found = e.stored_files, file_digests(Model.of(made, e.recipe).require().root)
    differing = [n for n in sorted(stored | found) if stored.get(n) != found.get(n)]
    reasons = excuses(e, made, packages)
    rows = reproduced_metrics.rows(e, made)
    equal = not any(name.startswith(WEIGHTS) for name in differing)
    said = [_of_files(e, differing, equal)]
    same_metrics = all(row.is_same for row in rows)
    if not differing and same_metrics:
        return "\n".join([*said, *_despite(reasons), *table(rows)])
    if reasons:
        return _within(said, reasons, rows)
    if not equal:
        said.append(_first_output(e, made))
    elif not same_metrics:
        said.append("the evaluation of these very weights has other metrics")
    elif (resumed := _was_resumed(e)) is not False:
        known = "was resumed after a break" if resumed else "may have been resumed after a break"
        said.append(f"the training {known}, which numbers the functions of the graph otherwise")
        raise Warn("\n".join([*said, *table(rows)]))
    raise LineageError("\n".join([*said, _NOTHING_EXPLAINS_IT, *table(rows)]))


def excuses(e: Evidence, made: Workspace, packages: Sequence[str]) -> list[str]:
    """Returns why the weights need not be the same, a line each; none if they must be."""
    build = e.statement["predicate"]["buildDefinition"]
    recorded = build.get("internalParameters", {}).get("environment") or {}
    now = read_json(TrainingRun.of(made, e.recipe).require().run).get("environment") or {}
    out = []
    if not e.params["training"].get("deterministic"):
        out.append("the recipe does not train deterministically")
    if uncommitted := e.dependency("git")["annotations"]["uncommitted"]:
        out.append(f"what ran then was not all committed: {shortened(uncommitted)}")
    if packages:
        out.append(f"not as in requirements.lock: {shortened(packages)}")
    if not recorded:
        out.append("it was not recorded what the training ran on")
    out += [
        _differs(key, recorded.get(key), now.get(key))
        for key in sorted((recorded.keys() | now.keys()) - _NO_EXCUSE)
        if recorded and recorded.get(key) != now.get(key)
    ]
    if any(str(gpu).startswith("/physical_device") for gpu in recorded.get("gpus") or ()):
        out.append("it was not recorded which GPU the training ran on")
    return out


def _within(said: Sequence[str], reasons: Sequence[str], rows: Sequence[Row]) -> str:
    """Judges metrics by their intervals, for weights or metrics that may differ."""
    why = ["it need not come out the same:", *(f"- {reason}" for reason in reasons)]
    outside = [row.name for row in rows if row.is_within is False]
    unknown = [row.name for row in rows if row.is_within is None]
    if outside:
        what = f"outside of the recorded 95 % interval: {', '.join(outside)}"
        raise LineageError("\n".join([*said, what, *why, *table(rows)]))
    if unknown or not rows:
        what = f"no interval is recorded of {', '.join(unknown) or 'any metric'}"
        raise NotChecked("\n".join([*said, what, *why, *table(rows)]))
    what = "each metric is in its recorded 95 % interval"
    return "\n".join([*said, what, *why, *table(rows)])


def _of_files(e: Evidence, differing: Sequence[str], equal: bool) -> str:
    at = f"made again at {e.commit[:12]}, by its own code"
    if not differing:
        return f"identical weights, {at}: every file of the model, {e.record.model_digest[:12]}"
    what = "identical weights" if equal else "other weights"
    return f"{what}, {at}; what differs: {shortened(differing)}"


def _was_resumed(e: Evidence) -> bool | None:
    """Whether the training went on after a break; None if an older segtrail did not record it."""
    build = e.statement["predicate"]["buildDefinition"]
    found: bool | None = build.get("internalParameters", {}).get("resumed")
    return found


def _first_output(e: Evidence, made: Workspace) -> str:
    """Says which of the outputs before the model came out otherwise, where something did."""
    lock = dvc_files.parse_lock((made.root / "dvc.lock").read_bytes(), e.recipe)
    for stage in ("examples", "transform"):
        path = f"artifacts/{e.recipe}/{stage}"
        if lock.output(stage, path) != e.lock.output(stage, path):
            return f"{path} differs already"
    return "what it was trained on is the same, byte for byte"


def _despite(reasons: Sequence[str]) -> list[str]:
    return [f"even though {'; '.join(reasons)}"] if reasons else []


def _differs(what: str, was: Any, now: Any) -> str:
    if isinstance(was, list) and isinstance(now, list):
        then, here = Counter(map(str, was)), Counter(map(str, now))
        gone, new = sorted((then - here).elements()), sorted((here - then).elements())
        parts = [("without ", gone), ("with ", new)]
        return f"{what}: now " + ", ".join(word + " ".join(said) for word, said in parts if said)
    return f"{what} is {now}, was {was}"
