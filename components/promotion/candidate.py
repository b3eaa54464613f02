"""Whether a candidate may be promoted, and the plan to do it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import registry
from components.promotion import again as words
from components.promotion import agreement
from components.promotion.plan import Plan
from lineage import approvals, dvc_files, forced, golden, ledger, provenance, signature, verdicts
from lineage.gather import gather
from segtrail import git, saved_model
from segtrail.artifacts import (
    Evaluation,
    InfraValidation,
    Model,
    TrainingRun,
    ValidationResult,
    Verdict,
)
from segtrail.errors import StageError
from segtrail.files import read_json, sha256_bytes, sha256_file
from segtrail.params import dump, load_recipe
from segtrail.workspace import Workspace


def check(
    workspace: Workspace,
    name: str,
    digest: str,
    *,
    allow_dirty: bool,
    by: str | None = None,
    again: str | None = None,
    is_canary: bool = False,
) -> None:
    """Refuses a candidate that has not earned promotion, or could not be proved later.

    Raises:
        RejectedError: It was turned away, see `components.promotion.again`; or the gate said
            `fail`, and nobody forced the candidate past it; or a limit is not kept.
        InsufficientEvidenceError: The gate said so, and nobody did; or a limit's rule said so.
        StageError: Infra validation failed; a result is about another model; the verdict was
            reached by other rules or against another champion; too few people approved it, unless
            it is to be a canary; code is not committed;
            `dvc.lock` in the commit does not record the candidate.
        LineageError: This ledger is not the one that what serves was promoted by.
    """
    words.check(workspace, name, digest, again)
    verdict = read_json(Verdict.of(workspace, name).require().path)
    infra = read_json(InfraValidation.of(workspace, name).require().result)
    for result, stage in ((verdict, "gate"), (infra, "infra-validate")):
        if result["model_digest"] != digest:
            raise StageError(
                f"{stage} is about the model {result['model_digest'][:12]}; "
                f"the candidate is {digest[:12]}",
                f"segtrail {stage} --recipe {name}",
            )
    if verdict["verdict"] != verdicts.PASS:
        _check_forced(workspace, name, verdict)
    _check_up_to_date(workspace, name, verdict)
    _check_serves(workspace, name, infra)
    if not is_canary:
        require_approved(workspace, name, verdict, by)
    dirty = git.dirty_paths(workspace.root)
    if dirty and not allow_dirty:
        more = f" and {len(dirty) - 5} more" if len(dirty) > 5 else ""
        raise StageError(
            f"not committed: {', '.join(dirty[:5])}{more}; the commit that the provenance "
            "names would not hold the code that made the model",
            "commit them, or promote with --allow-dirty, which the provenance will say",
        )
    _check_recorded(workspace, name)
    signature.signer(workspace, name)  # refused before anything is registered


def _check_forced(workspace: Workspace, name: str, verdict: Mapping[str, Any]) -> None:
    word = forced.find(ledger.read(workspace.ledger(name)), verdict)
    if word is None:
        said = verdict["verdict"]
        raise verdicts.refusal(said, f"{name}: the gate's verdict is {said!r}, not 'pass'")
    if signature.is_required(workspace, name):
        signature.require_signed(workspace.root, ledger.read(workspace.ledger(name)), word)
    if word != verdict.get("forced"):
        raise StageError(
            f"{name}: the verdict does not say that {word['by']} forced it (entry {word['entry']} "
            "of the ledger)",
            f"segtrail gate --recipe {name}",
        )


def require_approved(
    workspace: Workspace, name: str, verdict: Mapping[str, Any], by: str | None
) -> list[dict[str, Any]]:
    """Returns who approved a candidate as it was judged.

    Raises:
        StageError: Fewer than the recipe asks for.
    """
    found, lacking = approvals.ask(workspace, name, verdict, approvals.promoter(workspace, by))
    if lacking:
        raise StageError(f"{name}: not promoted: {lacking}", approvals.hint(name))
    return found


def _check_serves(workspace: Workspace, name: str, infra: Mapping[str, Any]) -> None:
    if infra["passed"] is not True:
        reason = f" ({infra['reason']})" if infra.get("reason") else ""
        raise StageError(
            f"{name}: infra validation did not pass{reason}: {infra.get('says', '')}",
            f"segtrail infra-validate --recipe {name}   (again, once that is mended)",
        )
    if infra.get("limits") != dump(load_recipe(workspace, name).gate.limits):
        raise StageError(
            f"{name}: infra validation knew other limits than params.yaml's",
            f"segtrail infra-validate --recipe {name}",
        )
    if infra["verdict"] != verdicts.PASS:
        says = "; ".join(verdicts.reasons(infra))
        raise verdicts.refusal(infra["verdict"], f"{name}: the limits are not kept: {says}")


def prepare(
    workspace: Workspace, name: str, digest: str, by: str | None, again: str | None = None
) -> Plan:
    """Registers the candidate in MLflow and returns the plan to promote it.

    Raises:
        LineageError: A fact that the provenance needs is missing or contradicts another; or
            this ledger is not the one that what serves was promoted by.
        StageError: MLflow refused, or gave a version number that another model has.
    """
    entries = ledger.read(workspace.ledger(name))
    previous = agreement.serving_version(workspace, name, entries)
    facts = gather(workspace, name, by)
    content = provenance.encode(provenance.build(facts))
    by_key = signature.signer(workspace, name)
    source = Model.of(workspace, name).root
    run = read_json(TrainingRun.of(workspace, name).run)
    version = registry.register(workspace, name, source, run["mlflow_run_id"], digest)
    if any(e.version == version and e.model_digest != digest for e in entries):
        raise StageError(
            f"MLflow gives {name} the version {version}, which the ledger names as another "
            f"model: {workspace.mlflow_uri} is not the MLflow of the earlier promotions",
            "restore it, or set MLFLOW_TRACKING_URI to the one that was used",
        )
    said = words.details(workspace, name, digest, by, again)
    if known := [e for e in entries if ledger.is_kept(e) and e.version == version]:
        kept_plan = Plan.of_intent(workspace, known[-1])
        signature.refuse_unsigned(workspace, name, version, kept_plan.details)
        if facts.approvals:
            said[approvals.DETAIL] = facts.approvals
        return _known(kept_plan, previous, by, said)
    return Plan(
        workspace=workspace,
        recipe=name,
        version=version,
        model_digest=digest,
        by=by,
        details={
            "provenance_sha256": sha256_bytes(content),
            **signature.details(workspace.root, by_key),
            "git_commit": facts.commit,
            "uncommitted": list(facts.uncommitted),
            "previous": previous,
            "test_split": facts.verdict.get("test_split"),
            **({"forced": facts.verdict["forced"]} if facts.verdict.get("forced") else {}),
            **({approvals.DETAIL: facts.approvals} if facts.approvals else {}),
            **said,
        },
        source=source,
        extra={
            provenance.IN_MODEL: content,
            **signature.files(content, by_key),
            **golden.files(Evaluation.of(workspace, name).require().golden),
        },
    )


def _known(plan: Plan, previous: int | None, by: str | None, said: Mapping[str, Any]) -> Plan:
    """Returns the plan for a model that the store keeps already: with its first proof."""
    kept = (
        "provenance_sha256",
        signature.DETAIL,
        "git_commit",
        "uncommitted",
        "test_split",
        "forced",
        approvals.DETAIL,
    )
    plan.by = by
    plan.details = {
        **{key: plan.details[key] for key in kept if key in plan.details},
        "previous": previous,
        **said,
    }
    return plan


def _check_up_to_date(workspace: Workspace, name: str, verdict: Mapping[str, Any]) -> None:
    """Refuses a verdict on other scores, by other rules or against another champion than now."""
    hint = f"segtrail gate --recipe {name}"
    if verdict.get("evaluation") != Evaluation.of(workspace, name).require().digests:
        raise StageError(f"{name}: the verdict was reached on another evaluation", hint)
    if verdict.get("gate") != dump(load_recipe(workspace, name).gate):
        raise StageError(f"{name}: the verdict was reached by other rules than params.yaml's", hint)
    entries = ledger.read(workspace.ledger(name))
    current = ledger.champion(entries)
    now = None
    if agreement.serving_version(workspace, name, entries) is not None and current is not None:
        now = {"version": current.version, "model_digest": current.model_digest}
        if current.model_digest == verdict["model_digest"]:
            return  # what a gate says of the champion itself
    if verdict.get("champion") != now:
        raise StageError(
            f"{name}: the verdict was reached against {_named(verdict.get('champion'))}; "
            f"what serves is {_named(now)}",
            hint,
        )


def _named(champion: Mapping[str, Any] | None) -> str:
    if champion is None:
        return "no champion"
    return f"v{champion['version']} ({champion['model_digest'][:12]})"


def _check_recorded(workspace: Workspace, name: str) -> None:
    """Refuses what the audit could not find in the commit that is checked out."""
    root, commit = workspace.root, git.head(workspace.root)
    lock = dvc_files.lock_at(root, commit, name)
    hint = f"segtrail retrain --recipe {name} --no-promote   (which records it; or --canary)"
    if git.run(root, "status", "--porcelain", "--", "dvc.lock"):
        hint = "git commit -m 'Run the pipeline' dvc.lock"
    model = Model.of(workspace, name).root
    recorded = lock.output(Model.stage, _relative(workspace, model))
    found = dvc_files.listing_md5(dvc_files.folder_md5s(model, skip=saved_model.PROOF_FOLDER))
    if recorded != found:
        raise StageError(
            f"dvc.lock in commit {commit[:12]} records the model {recorded}; "
            f"the candidate in {model} is {found}",
            hint,
        )
    cache = dvc_files.cache_folder(root)
    for path in (
        ValidationResult.of(workspace, name).require().result,
        Evaluation.of(workspace, name).require().metrics,
    ):
        content = dvc_files.output_at(root, commit, lock, cache, _relative(workspace, path))
        if sha256_bytes(content) != sha256_file(path):
            raise StageError(f"{path}: is not what dvc.lock in commit {commit[:12]} records", hint)


def _relative(workspace: Workspace, path: Path) -> str:
    return path.relative_to(workspace.root).as_posix()


def digest_of(workspace: Workspace, name: str) -> str:
    """Returns the digest of the candidate as it lies there now."""
    return saved_model.digest(Model.of(workspace, name).require().root)
