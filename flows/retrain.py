"""The flow that retrains a recipe: DVC's stages, then gate, infrastructure check, promotion.

Run as `python -m flows.retrain --recipe NAME`, which is what `segtrail retrain` does, or by a
Prefect worker (see `flows.deploy`). It starts every step as a process of its own, so that
TensorFlow and MLflow never share one with Prefect.
"""

from __future__ import annotations

from typing import Literal, get_args

from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import clone, events, outcome, room, stages, steps, waiting
from flows.recorded import recorded
from flows.steps import UNBOUNDED, Bounds, outcome_of, say
from lineage import signature
from segtrail import faults, git, telemetry
from segtrail.artifacts import ValidationResult, Verdict
from segtrail.errors import (
    EXIT_FAULT,
    EXIT_INSUFFICIENT,
    EXIT_REJECTED,
    SegtrailError,
    StageError,
)
from segtrail.files import read_json
from segtrail.lock import flow_lock
from segtrail.params import load_recipe
from segtrail.words import shortened
from segtrail.workspace import Workspace

REJECTED, INSUFFICIENT = "Rejected", "Insufficient evidence"
SERVES, PROMOTED, SHOWN, JUDGED = "Already serves", "Promoted", "Canary", "Judged"
LastStep = Literal["promote", "canary", "judge"]
_VERDICTS = {EXIT_REJECTED: REJECTED, EXIT_INSUFFICIENT: INSUFFICIENT}


@flow(name="retrain", flow_run_name="retrain-{recipe}", persist_result=False, log_prints=False)
def retrain(
    recipe: str,
    allow_dirty: bool = False,
    by: str | None = None,
    last_step: LastStep = "promote",
) -> State:
    """Brings what serves up to date with data, code and `params.yaml`.

    Args:
        recipe: A recipe of `params.yaml`.
        allow_dirty: Promote even when code is not committed.
        by: Who asked for it, for the ledger; by default the git identity.
        last_step: What becomes of a candidate that passes: `promote`; `canary`: it is shown
            beside the champion; `judge`: nothing, a person promotes it.

    Returns:
        A completed state named "Promoted", "Canary", "Judged", "Already serves", "Rejected" or
        "Insufficient evidence"; its message is one line about it.

    Raises:
        SegtrailError: A stage failed, or refused its input.
    """
    telemetry.switch_off()
    workspace = Workspace.find()
    room.require(workspace.root)
    scheduled = clone.is_workers(workspace, recipe)
    bounds = Bounds.of(load_recipe(workspace, recipe).operations) if scheduled else UNBOUNDED
    with recorded(workspace, recipe=recipe), flow_lock(workspace, say) as lock:
        try:
            end = _retrain(workspace, recipe, allow_dirty, by, last_step, lock, bounds)
        finally:
            if scheduled:
                say(clone.hand_back(workspace.root, recipe))
        get_run_logger().info("%s: %s", end.name, end.message)  # the terminal is told by main
    if scheduled:
        what = (end.name or "completed").lower().replace(" ", "-")
        events.emit(f"segtrail.retrain.{what}", workspace, "recipe", recipe, says=end.message)
        if end.name != JUDGED and waiting.begin_next(workspace, recipe):
            say("what came while people were asked: the next run begins")
    return end


def _retrain(
    workspace: Workspace,
    recipe: str,
    allow_dirty: bool,
    by: str | None,
    last_step: LastStep,
    lock: int,
    bounds: Bounds,
) -> State:
    _warn_if_dirty(workspace, allow_dirty)
    if warning := outcome.canary_warning(workspace, recipe):
        say(warning)
    plan = stages.ask(workspace.root, recipe, say, [lock])
    signature.signer(workspace, recipe)  # refused before the hours of work that it would sign
    ran = _run_stages(workspace, recipe, plan, lock, bounds)
    _commit_lock(workspace, recipe, ran)

    def command(name: str, *options: str, allowed: dict[int, str] | None = None) -> str:
        arguments = [name, "--recipe", recipe, *options]
        return steps.command(workspace, name, arguments, allowed or {}, lock, bounds)

    if outcome.promotion_was_cut_short(workspace, recipe):
        say("a promotion was cut short; it is brought to an end first")
        command("promote", "--recover")
    version = outcome.served_version_of_candidate(workspace, recipe)
    if version is not None and outcome.judged(workspace, recipe):
        return _end(SERVES, outcome.already_serves(recipe, version))
    if version is None and (word := outcome.turned_down(workspace, recipe)):
        return _end(REJECTED, f"{recipe}: not promoted: {word}")
    verdict = command("gate", allowed=_VERDICTS)
    _link_report(workspace, recipe)
    if verdict in _VERDICTS.values() and version is not None:
        why = outcome.rejection(workspace, recipe)
        return _end(verdict, f"{recipe}: v{version} goes on serving, but: {why}")
    if version is not None:
        return _end(SERVES, outcome.already_serves(recipe, version))
    if verdict not in _VERDICTS.values():
        verdict = command("infra-validate", allowed=_VERDICTS)
    if verdict in _VERDICTS.values():
        command("reject", *_by(by))
        return _end(verdict, f"{recipe}: not promoted: {outcome.rejection(workspace, recipe)}")
    if last_step == "judge":
        return _end(JUDGED, outcome.waits(workspace, recipe))
    if last_step == "promote" and (lacking := outcome.lacks_approval(workspace, recipe, by)):
        if not clone.is_workers(workspace, recipe):
            return _end(JUDGED, lacking)
        hours = load_recipe(workspace, recipe).operations.approval_time
        if other := waiting.for_approval(workspace, recipe, by, hours, lock, bounds):
            return _end(JUDGED, other)
    options = [*_by(by), *(["--allow-dirty"] if allow_dirty else [])]
    options += ["--canary"] if last_step == "canary" else []
    if command("promote", *options, allowed={EXIT_REJECTED: REJECTED}) == REJECTED:
        why = outcome.turned_down(workspace, recipe) or outcome.rejection(workspace, recipe)
        return _end(REJECTED, f"{recipe}: not promoted: {why}")
    if last_step == "canary":
        return _end(SHOWN, outcome.shown(workspace, recipe))
    return _end(PROMOTED, f"{recipe}: v{outcome.champion(workspace, recipe)} serves")


def _link_report(workspace: Workspace, recipe: str) -> None:
    """Shows the way to the report on the run's page."""
    report = Verdict.of(workspace, recipe).report
    if report.exists():
        create_link_artifact(
            report.as_uri(), "the report on the candidate", key=f"{recipe}-report",
            description=f"Verdict, metrics and images of the candidate of {recipe}",
        )  # fmt: skip


def _by(by: str | None) -> list[str]:
    return ["--by", by] if by else []


def _end(name: str, message: str) -> State:
    return Completed(name=name, message=message)


def _warn_if_dirty(workspace: Workspace, allow_dirty: bool) -> None:
    if dirty := git.dirty_paths(workspace.root):
        named = ", ".join(dirty[:5]) + (f" and {len(dirty) - 5} more" if len(dirty) > 5 else "")
        then = "" if allow_dirty else "; the candidate will be judged, but not promoted"
        say(f"not committed: {named}{then}")


def _run_stages(
    workspace: Workspace, recipe: str, plan: stages.Plan, lock: int, bounds: Bounds
) -> list[str]:
    """Runs the stages in order; returns those that did not just stand.

    DVC was asked once what changed: a stage before the first change is not asked again, one
    after it is, since its inputs may come out the same.
    """
    ran: list[str] = []
    reached_change = False
    for name in plan.stages:
        if name in plan.changed and not reached_change:
            reached_change = True
            say(f"{name:>14} : changed: {shortened(plan.changed[name])}")
        if steps.stage(workspace, recipe, name, reached_change, lock, bounds) != steps.SKIPPED:
            ran.append(name)
        if name == ValidationResult.stage:
            _refuse_invalid(workspace, recipe)
    return ran


def _refuse_invalid(workspace: Workspace, recipe: str) -> None:
    found = ValidationResult.of(workspace, recipe).require()
    result = read_json(found.result)
    if not result["passed"]:
        failed = "".join(f"\n  {item['says']}" for item in result["failed"])
        raise StageError(
            f"{recipe}: the examples do not hold what is expected of them:{failed}",
            f"see {found.docs.relative_to(workspace.root)}; mend the data (segtrail ingest) "
            f"or the expectations (recipes.{recipe}.validation in params.yaml)",
        )


def _commit_lock(workspace: Workspace, recipe: str, ran: list[str]) -> None:
    what = ", ".join(ran) or "as it was left by an earlier run"
    if commit := git.commit(workspace.root, ["dvc.lock"], f"Run {recipe}: {what}"):
        say(f"{'git':>14} : dvc.lock committed as {commit[:9]}")


def main(arguments: list[str] | None = None) -> int:
    """Runs the flow from a terminal; returns the exit code."""
    import argparse

    from flows import console

    parser = argparse.ArgumentParser(prog="python -m flows.retrain")
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--allow-dirty", action="store_true")
    parser.add_argument("--by")
    parser.add_argument("--last-step", choices=get_args(LastStep), default="promote")
    options = parser.parse_args(arguments)
    console.quieten()
    try:
        state = retrain(
            options.recipe, options.allow_dirty, options.by, options.last_step, return_state=True
        )
        name = outcome_of(state)
    except SegtrailError as e:
        console.print_error(e)
        return e.exit_code
    except Exception as e:  # Prefect's own, where its server gives no answer
        if not faults.is_fault(e):
            raise
        console.print_error(faults.told(e))
        return EXIT_FAULT
    print(f"{state.message} ({name.lower()})" if name in _VERDICTS.values() else state.message)
    return {name: code for code, name in _VERDICTS.items()}.get(name, 0)


if __name__ == "__main__":
    import sys

    from flows.retrain import main as run  # under its own name, not as __main__

    sys.exit(run())
