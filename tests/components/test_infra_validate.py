"""Infra validation of a miniature candidate by a real server, and the limits that it judges."""

from __future__ import annotations

import miniature
import pytest
import yaml
from miniature import RECIPE

from components.infra_validate import infra_validate
from components.promote import champion, promote, reject
from components.promotion.candidate import digest_of
from lineage import ledger, verdicts
from lineage.audit import audit, exit_code
from segtrail import git
from segtrail.artifacts import Evaluation, InfraValidation, Verdict
from segtrail.errors import LineageError, RejectedError, StageError
from segtrail.files import read_json, write_json, write_text
from segtrail.params import dump, load_recipe
from segtrail.workspace import Workspace


def limit(workspace: Workspace, **limits: float) -> None:
    """Sets limits, and judges the candidate by the new rules."""
    params = yaml.safe_load(workspace.params.read_text())
    params["recipes"][RECIPE]["gate"]["limits"] = limits
    write_text(workspace.params, yaml.safe_dump(params))
    git.commit(workspace.root, ["params.yaml"], "Set limits")
    champion = miniature.champion(workspace)
    verdict = miniature.verdict(digest_of(workspace, RECIPE), "pass", champion, workspace)
    verdict["gate"] = dump(load_recipe(workspace, RECIPE).gate)
    write_json(Verdict.of(workspace, RECIPE).path, verdict)


def test_what_is_measured_is_told_without_limits_too(workspace: Workspace, capsys) -> None:
    result = infra_validate(workspace, RECIPE)
    assert read_json(InfraValidation.of(workspace, RECIPE).result) == result
    assert (result["passed"], result["verdict"], result["rules"]) == (True, "pass", [])
    assert len(result["requests_ms"]) == 30
    assert all(time > 0 for time in result["requests_ms"])
    assert result["size_mb"] == pytest.approx(23e-6, rel=0.3)
    assert "the median of 30 requests" in capsys.readouterr().out


def test_a_candidate_within_its_limits_is_promoted_and_the_audit_reads_them(workspace) -> None:
    limit(workspace, size_mb=1, latency_ms=60_000)
    infra_validate(workspace, RECIPE)
    promote(workspace, RECIPE)
    assert champion(workspace, RECIPE) == 1
    assert exit_code(audit(workspace, RECIPE)) == 0


@pytest.mark.parametrize("limits", [{"size_mb": 1e-6}, {"latency_ms": 1e-6}])
def test_one_beyond_a_limit_is_not_and_the_ledger_says_so_once(workspace, limits) -> None:
    limit(workspace, **limits)
    assert infra_validate(workspace, RECIPE)["verdict"] == "fail"
    with pytest.raises(RejectedError, match="at most 1e-06"):
        promote(workspace, RECIPE)
    said = verdicts.read(workspace, RECIPE)
    assert said["verdict"] == "fail"
    entry = reject(workspace, RECIPE, said)
    assert entry is not None
    assert entry.details["rules"][-1]["metric"] in limits
    infra_validate(workspace, RECIPE)  # other times, the same verdict
    assert reject(workspace, RECIPE, verdicts.read(workspace, RECIPE)) is None
    assert champion(workspace, RECIPE) is None


def test_limits_that_changed_since_are_asked_anew(workspace: Workspace) -> None:
    infra_validate(workspace, RECIPE)
    limit(workspace, size_mb=1e-6)
    assert verdicts.read(workspace, RECIPE)["verdict"] == "pass"  # as far as is known
    with pytest.raises(StageError, match="infra validation knew other limits") as refused:
        promote(workspace, RECIPE)
    assert refused.value.hint == f"segtrail infra-validate --recipe {RECIPE}"


def test_a_result_that_hides_a_limit_breaks_the_audit(workspace: Workspace) -> None:
    limit(workspace, size_mb=1)
    path = InfraValidation.of(workspace, RECIPE).result
    write_json(path, infra_validate(workspace, RECIPE) | {"rules": []})
    promote(workspace, RECIPE)
    (link,) = [link for link in audit(workspace, RECIPE) if link.name == "infra validation"]
    assert link.state == "broken"
    assert "no rule on size_mb" in link.says


def test_a_server_that_counts_otherwise_does_not_serve(workspace: Workspace) -> None:
    path = Evaluation.of(workspace, RECIPE).golden / "golden.json"
    index = read_json(path)
    name, record = sorted(index.items())[0]
    write_json(path, index | {name: record | {"count": record["count"] + 1}})
    with pytest.raises(StageError, match=f"objects in {name}; as evaluated there are"):
        infra_validate(workspace, RECIPE)


def test_a_server_that_answers_otherwise_is_written_down(workspace: Workspace) -> None:
    from segtrail.images import decode_image, encode_png

    mask = next(Evaluation.of(workspace, RECIPE).golden.glob("*.mask.png"))
    mask.write_bytes(encode_png(255 - decode_image(mask.read_bytes(), "mask")))
    with pytest.raises(StageError, match="the candidate does not serve"):
        infra_validate(workspace, RECIPE)
    result = read_json(InfraValidation.of(workspace, RECIPE).result)
    assert result["passed"] is False
    assert "than was evaluated" in result["says"]
    assert not ledger.read(workspace.ledger(RECIPE))
    with pytest.raises((StageError, LineageError)):
        promote(workspace, RECIPE)
