"""What a run came to: read from artifacts, the ledger and the serving configuration."""

from __future__ import annotations

from flows.stages import Plan
from lineage import approvals, ledger, turned_away, verdicts
from segtrail import git, saved_model
from segtrail.artifacts import Evaluation, Model, Verdict
from segtrail.files import read_json
from segtrail.params import dump, load_recipe
from segtrail.workspace import Workspace
from serving import config


def champion(workspace: Workspace, recipe: str) -> int | None:
    """Returns the version that serves, or None."""
    return config.champion(workspace.models_config, recipe)


def served_version_of_candidate(workspace: Workspace, recipe: str) -> int | None:
    """Returns the champion's version if the candidate is that very model, else None."""
    version = champion(workspace, recipe)
    candidate = Model.of(workspace, recipe).require()
    if version is None or not (served := workspace.models / recipe / str(version)).is_dir():
        return None
    same = saved_model.digest(candidate.root) == saved_model.digest(served)
    return version if same else None


def turned_down(workspace: Workspace, recipe: str) -> str | None:
    """Returns who rolled back from the candidate, or aborted it as a canary, and why; or None."""
    digest = saved_model.digest(Model.of(workspace, recipe).require().root)
    word = turned_away.find(ledger.read(workspace.ledger(recipe)), digest)
    if word is None:
        return None
    return (
        f"{word.says()}; to let it come back: "
        f"segtrail promote --recipe {recipe} --again --reason TEXT"
    )


def canary_warning(workspace: Workspace, recipe: str) -> str | None:
    """Returns that a canary is out, which holds up a promotion; None if there is none."""
    out = ledger.canary(ledger.read(workspace.ledger(recipe)))
    if out is None:
        return None
    return (
        f"v{out.version} is out as a canary; the candidate will be judged, but not promoted before "
        f"segtrail promote --recipe {recipe} --confirm (or --abort)"
    )


def promotion_was_cut_short(workspace: Workspace, recipe: str) -> bool:
    """Whether the ledger has an intent that nothing closed."""
    return ledger.open_intent(ledger.read(workspace.ledger(recipe))) is not None


def nothing_to_do(workspace: Workspace, recipe: str, plan: Plan) -> int | None:
    """Returns the version that serves if all there is rests on it already, else None."""
    if plan.changed or promotion_was_cut_short(workspace, recipe):
        return None
    if git.run(workspace.root, "status", "--porcelain", "--", "dvc.lock"):
        return None
    if not judged(workspace, recipe):
        return None
    return served_version_of_candidate(workspace, recipe)


def judged(workspace: Workspace, recipe: str) -> bool:
    """Whether the candidate, as evaluated, passes or was forced past the gate's rules of now."""
    found = Verdict.of(workspace, recipe)
    if not found.exists:
        return False
    verdict = read_json(found.path)
    return (
        verdict["model_digest"] == saved_model.digest(Model.of(workspace, recipe).root)
        and verdict.get("evaluation") == Evaluation.of(workspace, recipe).digests
        and verdict["gate"] == dump(load_recipe(workspace, recipe).gate)
        and (verdict["verdict"] == "pass" or bool(verdict.get("forced")))
    )


def already_serves(recipe: str, version: int) -> str:
    """Returns the line that says so."""
    return f"{recipe}: v{version} already serves this model; nothing to do"


def shown(workspace: Workspace, recipe: str) -> str:
    """Returns which version is out as the canary now, and how that ends."""
    version = config.canary(workspace.models_config, recipe)
    return (
        f"{recipe}: v{version} is out as a canary; to end that: "
        f"segtrail promote --recipe {recipe} --confirm (or --abort --reason TEXT)"
    )


def waits(workspace: Workspace, recipe: str) -> str:
    """Returns that the candidate passed, and how a person goes on with it."""
    digest = saved_model.digest(Model.of(workspace, recipe).root)
    return (
        f"{recipe}: the candidate {digest[:12]} passed gate and infra validation, and is not "
        f"promoted yet: segtrail promote --recipe {recipe} (or --canary)"
    )


def lacks_approval(workspace: Workspace, recipe: str, by: str | None = None) -> str | None:
    """Returns how many people approved the candidate, if the recipe asks for more; or None.

    Args:
        workspace: Whose.
        recipe: The recipe.
        by: Who would promote it; by default the git identity.
    """
    verdict = read_json(Verdict.of(workspace, recipe).require().path)
    _, lacking = approvals.ask(workspace, recipe, verdict, approvals.promoter(workspace, by))
    if lacking is None:
        return None
    return (
        f"{recipe}: the candidate {verdict['model_digest'][:12]} passed gate and infra validation, "
        f"and waits: {lacking}: {approvals.hint(recipe)}, then segtrail promote --recipe {recipe}"
    )


def rejection(workspace: Workspace, recipe: str) -> str:
    """Returns what the rules that did not pass say."""
    return "; ".join(verdicts.reasons(verdicts.read(workspace, recipe)))
