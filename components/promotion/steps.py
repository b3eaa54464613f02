"""The steps of a promotion, in order. Each may be taken again after a crash.

The commit point is one step, `changeover.serve`, the replacement of one file. Until then a crash
loses nothing that served; after it, the recovery goes on to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components import registry
from components.promotion import canary, changeover, record
from components.promotion.plan import LED_FROM, Plan
from lineage import golden, golden_answers, ledger
from lineage.ledger_head import MESSAGE, Head
from segtrail import git, git_objects
from segtrail.errors import LineageError
from serving import config, store


def intend(plan: Plan) -> str:
    """Writes the intent in the ledger."""
    _record(plan, ledger.CANARY_INTENT if plan.canary else ledger.INTENT, plan.details)
    return f"ledger: intent to serve v{plan.version}{' as a canary' if plan.canary else ''}"


def place(plan: Plan) -> str:
    """Copies the SavedModel and its proof into the store."""
    if plan.source is not None:
        store.place(plan.source, plan.workspace.models, plan.recipe, plan.version, plan.extra)
    if not plan.is_stored():
        raise LineageError(
            f"{plan.folder}: is not the model {plan.model_digest[:12]} with its provenance",
            f"segtrail audit {plan.recipe}",
        )
    return f"stored in {plan.folder}"


def load_test(plan: Plan) -> str:
    """Starts a throw-away server from the store and asks it the golden images."""
    from serving.launch import running_server

    scratch = plan.workspace.scratch / "load-test" / plan.recipe
    only = scratch / "models.config"
    config.set_champion(only, plan.recipe, plan.folder.parent, plan.version)
    goldens = golden.read(plan.folder / golden.FOLDER)
    with running_server(
        plan.recipe, log=scratch / "server.log", config=only, version=plan.version
    ) as server:
        answered = golden_answers.ask(server.target, plan.recipe, None, goldens)
        says = golden_answers.summary(answered, server.target)
        plan.notes["load_test"] = f"{says} ({server.description})"
    return f"load test: {plan.notes['load_test']}"


def point_alias(plan: Plan) -> str:
    """Points MLflow's alias at the version."""
    registry.set_champion(plan.workspace, plan.recipe, plan.version)
    return f"MLflow alias champion names v{plan.version}"


def finish(plan: Plan) -> str:
    """Writes in the ledger that it is done."""
    event = ledger.CANARY if plan.canary else ledger.DONE
    if LED_FROM in plan.details:
        event = ledger.LED
    _record(plan, event, {**plan.details, **plan.notes})
    return f"ledger: {event}"


def commit(plan: Plan) -> str:
    """Commits the ledger alone."""
    message = f"{_verb(plan)} {plan.recipe} v{plan.version}"
    made = record.commit(plan.workspace, plan.recipe, message)
    return f"git: ledger committed in {made[:12]}"


def tag(plan: Plan) -> str:
    """Tags the commit that holds the ledger's `done`."""
    root = plan.workspace.root
    if git.tag_target(root, plan.tag) is None:
        path = record.path_of(plan.workspace, plan.recipe)
        holds = git.run(root, "log", "-1", "--format=%H", "--", path)
        head = Head.of(git_objects.show(root, holds, path))
        message = f"{plan.recipe} v{plan.version}: model {plan.model_digest}\n\n{MESSAGE}{head}"
        git.tag(root, plan.tag, holds, message)
    return f"git: tag {plan.tag}"


Step = Callable[[Plan], str]
STEPS: Sequence[Step] = (
    intend, place, load_test, changeover.introduce, changeover.serve, changeover.retire,
    changeover.confirm, point_alias, finish, canary.end, commit, tag,
)  # fmt: skip
CANARY_STEPS: Sequence[Step] = (
    intend, place, load_test, canary.show, canary.confirm, canary.point_alias, finish, commit,
)  # fmt: skip


def of(plan: Plan) -> Sequence[Step]:
    """Returns the steps that a plan is carried out by."""
    return CANARY_STEPS if plan.canary else STEPS


def _verb(plan: Plan) -> str:
    if plan.canary:
        return "Canary"
    if LED_FROM in plan.details:
        return "Lead the server to"
    return "Roll back to" if "rollback" in plan.details else "Promote"


def _record(plan: Plan, event: str, details: Mapping[str, Any]) -> None:
    ledger.append(
        plan.ledger,
        event,
        version=plan.version,
        model_digest=plan.model_digest,
        by=plan.by,
        details=dict(details),
    )
