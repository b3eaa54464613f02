"""Links about what the stages found: validation, evaluation, verdict, infra validation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from lineage import approvals, forced, keys, ledger
from lineage.evidence import Evidence, rest_on, same
from lineage.verdicts import not_passed
from segtrail.errors import LineageError
from segtrail.files import json_bytes, sha256_bytes
from segtrail.saved_model import megabytes
from segtrail.settings.base import ALL, EACH


def validated(e: Evidence) -> str:
    """The data passed validation, by the result that DVC recorded."""
    found = _result(e, "validation/result.json")
    if found["passed"] is not True:
        raise LineageError(f"validation did not pass: {found.get('failed')}")
    return f"{found.get('expectations', 'all')} expectations held"


def evaluated(e: Evidence) -> str:
    """The evaluation that DVC recorded is of this model."""
    found = _result(e, "evaluation/metrics.json")
    _result_bytes(e, "evaluation/per_image.parquet")
    digest = rest_on(lambda: e.record).model_digest
    same("the model that was evaluated", found["model_digest"], digest, "the ledger")
    everything = found["slices"]["all"]
    return f"{found['test_images']} test images; mean IoU {everything['mean_iou']:.3f}"


def judged(e: Evidence) -> str:
    """The gate let this model pass, on the numbers of the evaluation, or a person did."""
    verdict = _quoted(e, "verdict/verdict.json", "verdict")
    digest = rest_on(lambda: e.record).model_digest
    same("the model that was judged", verdict["model_digest"], digest, "the ledger")
    for name, judged_on in verdict["evaluation"].items():
        recorded = e.byproduct(f"evaluation/{name}")["digest"]["sha256"]
        same(f"the {name} that was judged", judged_on, recorded, "the evaluation")
    if verdict["verdict"] != "pass" and verdict.get("forced"):
        return _forced(e, verdict)
    same("the verdict", verdict["verdict"], "pass", "a promotion")
    same("the rules of the verdict", verdict["gate"], e.params["gate"], "the recipe")
    slices = rest_on(lambda: _result(e, "evaluation/metrics.json"))["slices"]
    for kind, rule, name in _asked(e.params["gate"], verdict, slices):
        about = f"{rule['metric']} of {name}"
        given = [each for each in verdict["rules"] if _is_about(each, kind, rule, name)]
        if not given:
            raise LineageError(f"the verdict has no {kind} rule on {about}")
        for each in given:
            if not each["decides"]:
                same("what too few images do", rule["too_few"], "report", f"a rule on {about}")
                continue
            same(f"the verdict on {each['rule']}", each["verdict"], "pass", "a promotion")
            if kind == "absolute":
                _check_rule(rule, name, slices)
    return f"{len(verdict['rules'])} rules passed, on the numbers of the evaluation"


def _forced(e: Evidence, verdict: dict[str, Any]) -> str:
    entries = ledger.read(e.workspace.ledger(e.recipe))
    found = forced.find(entries, verdict, verdict["forced"].get("entry", 0))
    if found is None:
        raise LineageError(
            f"the verdict is {verdict['verdict']!r}, and no entry of the ledger forced it"
        )
    same("who forced it", verdict["forced"], found, "the ledger")
    same("what the promotion says of it", e.record.details.get("forced"), found, "the ledger")
    if e.demands_signatures:
        known = keys.trusted(e.root, rest_on(lambda: e.commit), strict=False)
        if ledger.signed_by(entries[found["entry"] - 1], known) is None:
            raise LineageError(f"line {found['entry']}, which forced it, is not signed")
    failed = [rule["rule"] for rule in not_passed(verdict)]
    return f"did not pass ({'; '.join(failed)}); {forced.says(found)}"


def approved(e: Evidence) -> str:
    """As many people as the recipe asks for approved this model, as judged; the ledger says so."""
    verdict = _quoted(e, "verdict/verdict.json", "verdict")
    asked = int(e.params.get("promotion", {}).get("approvals", 0))
    given = rest_on(lambda: e.record).details.get(approvals.DETAIL, [])
    signer = None
    if e.demands_signatures:
        known = keys.trusted(e.root, rest_on(lambda: e.commit), strict=False)
        signer = partial(ledger.signed_by, known=known)
    entries = ledger.read(e.workspace.ledger(e.recipe))
    claimed = approvals.find(entries, verdict)
    signed = approvals.find(entries, verdict, signer)
    for each in given:
        if each not in claimed or each["entry"] > e.record.seq:
            raise LineageError(f"the ledger does not say that {each['by']} approved it")
        if each not in signed:
            raise LineageError(f"line {each['entry']}: is not signed with the key of {each['by']}")
    people = {approvals.person(each["by"]) for each in given}
    if _asked_two(e) and (own := people & _promoters(e)):
        raise LineageError(f"{' and '.join(sorted(own))} promoted it and approved it: two_people")
    if len(people) < asked and e.record.event == ledger.DONE:
        raise LineageError(f"{len(people)} of {asked} people approved it")
    if not given:
        return "nobody's were asked for" if not asked else "a canary needs nobody's"
    return f"{len(given)} of {asked} asked for: {approvals.says(given)}"


def _asked_two(e: Evidence) -> bool:
    """Whether who promotes may not approve; a rollback to it is no promotion."""
    return bool(e.params.get("promotion", {}).get("two_people")) and (
        "rollback" not in e.record.details
    )


def _promoters(e: Evidence) -> set[str]:
    """Returns who promoted it: the name that is claimed, and that of the key that signed."""
    known = keys.trusted(e.root, rest_on(lambda: e.commit), strict=False)
    by = ledger.signed_by(e.record, known)
    return {approvals.person(e.record.by)} | ({approvals.person(by.name)} if by else set())


def served(e: Evidence) -> str:
    """A server answered with this model before it was promoted, within the recipe's limits."""
    result = _quoted(e, "infra/result.json", "result")
    same("infra validation's outcome", result["passed"], True, "a promotion")
    digest = rest_on(lambda: e.record).model_digest
    same("the model that was served", result["model_digest"], digest, "the ledger")
    for metric, limit in (e.params["gate"].get("limits") or {}).items():
        if limit is not None:
            _check_limit(metric, limit, result.get("rules", []))
            if metric == "size_mb":
                size = megabytes(e.folder, rest_on(lambda: e.stored_files))
                same("the size of the model in MB", result["size_mb"], size, "the store")
    return str(result.get("says") or "a server answered with it")


def _quoted(e: Evidence, name: str, key: str) -> Any:
    """Returns the JSON that the provenance quotes, which has the digest of the file it was."""
    item = e.byproduct(name)
    quoted = item["annotations"][key]
    same(f"the SHA-256 of {name}", sha256_bytes(json_bytes(quoted)), item["digest"]["sha256"])
    return quoted


def _result(e: Evidence, name: str) -> Any:
    return json.loads(_result_bytes(e, name))


def _result_bytes(e: Evidence, name: str) -> bytes:
    item = e.byproduct(name)
    content = e.output(item["annotations"]["path"])
    same(f"the SHA-256 of {name}", sha256_bytes(content), item["digest"]["sha256"])
    return content


def _check_rule(rule: Mapping[str, Any], name: str, slices: Mapping[str, Any]) -> None:
    """Compares a rule of the recipe with the evaluation of one slice anew."""
    measured = slices.get(name, {}).get(rule["metric"])
    low, high = rule.get("min"), rule.get("max")
    if (
        measured is None
        or (low is not None and measured < low)
        or (high is not None and measured > high)
    ):
        bound = f"at least {low}" if low is not None else f"at most {high}"
        raise LineageError(
            f"{rule['metric']} of the slice {name} is {measured}; the recipe asks for {bound}"
        )


def _check_limit(metric: str, limit: float, rules: list[dict[str, Any]]) -> None:
    given = [rule for rule in rules if rule["metric"] == metric and rule["threshold"] == limit]
    if not given:
        raise LineageError(f"infra validation has no rule on {metric}; the recipe has a limit")
    for rule in given:
        same(f"the verdict on {rule['rule']}", rule["verdict"], "pass", "a promotion")
        if rule["value"] > limit:
            raise LineageError(f"{metric} is {rule['value']:g}; the recipe asks for {limit:g}")


def _asked(
    gate: Mapping[str, Any], verdict: Mapping[str, Any], slices: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yields the kind of each rule that the verdict must have, the rule, and a slice of it."""
    kinds = ["absolute"]
    champion = verdict["champion"]
    if champion is not None and champion["model_digest"] != verdict["model_digest"]:
        kinds.append("relative")
    for kind in kinds:
        for rule in gate[kind]:
            every = sorted(set(slices) - {ALL}) if rule["slice"] == EACH else [rule["slice"]]
            for name in every:
                yield kind, rule, name


def _is_about(given: Mapping[str, Any], kind: str, rule: Mapping[str, Any], name: str) -> bool:
    if kind == "absolute":
        limits = [rule["max"] if rule["min"] is None else rule["min"]]
    else:
        limits = [rule["margin"], -rule["margin"]]
    wanted = (kind, rule["metric"], name, rule["judged"])
    found = tuple(given[key] for key in ("kind", "metric", "slice", "judged"))
    return found == wanted and given["threshold"] in limits
