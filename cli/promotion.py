"""`segtrail promote` and `rollback`, and the ledger entry about a rejected candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import AllowDirtyOption, ByOption, RecipeOption, check_recipe
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from components.promote import Promotion

DespiteErasureOption = Annotated[
    bool,
    typer.Option("--despite-erasure", help="Let it serve though it learned from erased images."),
]


def promote(
    recipe: RecipeOption,
    by: ByOption = None,
    allow_dirty: AllowDirtyOption = False,
    canary: Annotated[
        bool, typer.Option("--canary", help="Serve it as RECIPE-canary, beside the champion.")
    ] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Make the canary the champion.")
    ] = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="Take the canary away; it stays in the store.")
    ] = False,
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="TEXT", help="Of what needs one, such as --again: why."),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Let a model come back that was rolled back or aborted."),
    ] = False,
    despite_erasure: DespiteErasureOption = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="Only bring a cut-short promotion to an end.")
    ] = False,
) -> None:
    """Make the candidate that passed the gate serve.

    Registers it with MLflow, puts it into the model store with its provenance, switches
    serving/models.config, which servers poll, and writes the ledger. With --canary it passes the
    same checks and is served under a name of its own, which never answers what is asked of RECIPE;
    --confirm or --abort ends that. A model that was rolled back from, or aborted as a canary, is
    refused (exit code 3) unless --again says why it may come back. A canary that learned from
    images erased since is confirmed only if --despite-erasure says why. The ledger keeps both. Each
    step is told as it is done.

    \b
    Examples:
      segtrail promote --recipe demo
      segtrail promote --recipe demo --canary
      segtrail promote --recipe demo --confirm
      segtrail promote --recipe demo --abort --reason "misses mitotic cells"
      segtrail promote --recipe demo --again --reason "it was the images"
      segtrail promote --recipe demo --recover
    """
    from components import promote as component
    from segtrail.params import load_recipe

    given = {"--canary": canary, "--confirm": confirm, "--abort": abort, "--recover": recover}
    if len(chosen := [name for name, is_given in given.items() if is_given]) > 1:
        raise typer.BadParameter(f"{' and '.join(chosen)} exclude each other; give one of them")
    if again and (wrong := [name for name in chosen if name != "--canary"]):
        raise typer.BadParameter(f"--again and {wrong[0]} exclude each other")
    if despite_erasure and not confirm:
        raise typer.BadParameter("--despite-erasure is of --confirm, and of segtrail rollback")
    despite = "--despite-erasure" if despite_erasure else None
    asks = "--abort" if abort else "--again" if again else despite
    if (asks is not None) != bool((reason or "").strip()):
        raise typer.BadParameter(
            f"{asks} needs --reason TEXT"
            if asks
            else "--reason is of --abort, --again and --despite-erasure"
        )
    workspace = Workspace.find()
    if recover or abort or confirm:  # what ends something needs nothing else of params.yaml
        check_recipe(workspace, recipe)
    else:
        load_recipe(workspace, recipe)
    if recover:
        if not component.recover(workspace, recipe):
            print(f"{recipe}: nothing to recover")
        return
    if abort:
        done = component.abort_canary(workspace, recipe, reason=str(reason), by=by)
    elif confirm:
        done = component.confirm_canary(workspace, recipe, by=by, despite_erasure=reason)
    else:
        take = component.show_canary if canary else component.promote
        done = take(
            workspace, recipe, by=by, allow_dirty=allow_dirty, again=reason if again else None
        )
    _tell_if_nothing_changed(done)


def approve(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="A scheduled run that waits for it: its id, or how that begins.",
            show_default=False,
        ),
    ] = None,
    *,
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", metavar="NAME", help="Of the candidate here.")
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who approves.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="On what grounds; the ledger keeps it.")
    ],
) -> None:
    """Approve the candidate, where its recipe asks people.

    How many are asked is promotion.approvals of the recipe. An approval is of one model, as judged
    by one set of rules against one champion; whoever forced it past the gate cannot approve it,
    and with promotion.two_people the word of whoever promotes it does not count.
    Look at the report first: artifacts/RECIPE/gate/report.html, or the link on the run's page.
    A scheduled run that waits goes on when the last approval that it lacks is there.

    \b
    Examples:
      segtrail approve --recipe nuclei --by "Grace Hopper" --reason "looked at all 61 images"
      segtrail approve 1f0c2b7e --by "Grace Hopper" --reason "looked at all 61 images"
    """
    for option, value in (("--by", by), ("--reason", reason)):
        if not value.strip():
            raise typer.BadParameter(f"{option} is empty; the ledger keeps it")
    if (run is None) == (recipe is None):
        raise typer.BadParameter("give the RUN that waits, or --recipe for the candidate here")
    workspace = Workspace.find()
    if run is not None:
        from flows.waiting import approve as approve_run

        print(approve_run(workspace, run, by.strip(), reason.strip()))
        return
    assert recipe is not None
    _approve_here(workspace, recipe, by.strip(), reason.strip())


def _approve_here(workspace: Workspace, recipe: str, by: str, reason: str) -> None:
    from components import promote as component
    from lineage import approvals
    from segtrail.artifacts import Verdict
    from segtrail.files import read_json
    from segtrail.params import load_recipe

    two_people = load_recipe(workspace, recipe).promotion.two_people
    found = Verdict.of(workspace, recipe).require()
    verdict = read_json(found.path)
    entry = component.approve(workspace, recipe, verdict, by=by, reason=reason)
    said = f"the approval is entry {entry.seq} of the ledger" if entry else "the ledger has it"
    _, lacking = approvals.ask(workspace, recipe, verdict)
    then = f"so far {lacking}" if lacking else f"to go on: segtrail promote --recipe {recipe}"
    then += "; whoever promotes it does not count as approving (two_people)" if two_people else ""
    passed = "forced past the gate" if verdict.get("forced") else "passed"
    print(
        f"{recipe}: the candidate {verdict['model_digest'][:12]} ({passed}; "
        f"{found.report.relative_to(workspace.root)}): {said}; {then}"
    )
    if entry and entry.signature is None:
        print("the approval is not signed: a claim, which segtrail audit --signed does not take")


def retire(
    recipe: Annotated[str, typer.Argument(help="A recipe that serves.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who does this.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; the ledger keeps it.")
    ],
) -> None:
    """Take a recipe out of service; its versions stay.

    Servers that follow serving/models.config stop answering for it. Nothing of it is promoted
    again, scheduled retraining included, until somebody says why: segtrail promote --again, or
    rolls back to a version.

    \b
    Example:
      segtrail retire nuclei --by Ada --reason "the microscope was sold"
    """
    from components import promote as component

    for option, value in (("--by", by), ("--reason", reason)):
        if not value.strip():
            raise typer.BadParameter(f"{option} is empty; the ledger keeps it")
    workspace = Workspace.find()
    check_recipe(workspace, recipe)
    component.retire(workspace, recipe, reason=reason, by=by)


def rollback(
    recipe: Annotated[str, typer.Argument(help="A recipe of params.yaml.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who does this.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; the ledger keeps it.")
    ],
    to: Annotated[
        int | None,
        typer.Option(
            "--to", metavar="VERSION", min=1,
            help="A version that served; default: the one that the present one replaced.",
        ),
    ] = None,
    despite_erasure: DespiteErasureOption = False,
) -> None:  # fmt: skip
    """Make a version that served before serve again.

    First its digests are compared with the ledger's, and a server of its own answers its golden
    images; until then nothing moves. Each step is told as it is done; starting that server, and the
    live server's own loading, which is waited for, take most of the time: seconds to minutes. A
    version that learned from images erased since is refused, unless --despite-erasure says that it
    is to serve all the same; ledger, history and audit tell of it.

    \b
    Examples:
      segtrail rollback nuclei --by Ada --reason "v4 misses mitotic cells"
      segtrail rollback nuclei --to 2 --by Ada --reason "v3 was trained on the same labels"
    """
    from components import promote as component

    for option, value in (("--by", by), ("--reason", reason)):
        if not value.strip():
            raise typer.BadParameter(f"{option} is empty; the ledger keeps it")
    workspace = Workspace.find()
    check_recipe(workspace, recipe)
    done = component.rollback(
        workspace, recipe, to, reason=reason, by=by, despite_erasure=despite_erasure
    )
    _tell_if_nothing_changed(done)


def _tell_if_nothing_changed(done: Promotion) -> None:
    """Tells why nothing was done; what was done was told step by step."""
    if not done.changed:
        print("\n".join(done.says))


def reject(recipe: RecipeOption, by: ByOption = None) -> None:
    """Write into the ledger that the gate, or its limits, turned the candidate down.

    \b
    Example:
      segtrail reject --recipe demo
    """
    from components import promote as component
    from lineage import verdicts

    workspace = Workspace.find()
    entry = component.reject(workspace, recipe, verdicts.read(workspace, recipe), by=by)
    print(
        f"{recipe}: the rejection is entry {entry.seq} of the ledger"
        if entry
        else f"{recipe}: the ledger says so already"
    )
