"""`segtrail ledger`: the promotion ledger, line by line."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from segtrail.errors import EXIT_AUDIT_BROKEN, LineageError

app = typer.Typer(
    name="ledger",
    help="""The promotion ledger: show its lines, check them.

    \b
    Examples:
      segtrail ledger show nuclei
      segtrail ledger verify
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)
HEADS = ("line", "at", "event", "version", "model", "by")


@app.command()
def show(
    recipe: Annotated[str, typer.Argument(help="A recipe that has a ledger.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every line of a ledger, newest first; checked on the way.

    A name is what somebody claimed, unless a key of that very name signed the line. What served
    when, in words, is told by `segtrail history`.

    \b
    Examples:
      segtrail ledger show nuclei
      segtrail ledger show nuclei --json | jq '.[] | select(.event == "forced")'
    """
    from cli.status import print_table
    from lineage import ledger, ledger_check
    from segtrail.words import plain
    from segtrail.workspace import Workspace

    workspace = Workspace.find()
    _require(recipe, workspace.ledgers())
    found = ledger_check.check(workspace, recipe)
    if as_json:
        lines = [json.loads(ledger.encode(entry)) for entry in found.entries]
        signers = {seq: each.name for seq, each in found.signers.items()}
        rows = [line | {"signed_by": signers.get(line["seq"])} for line in lines]
        print(json.dumps(rows[::-1], indent=2))
        return
    print_table(
        HEADS,
        [
            (
                str(entry.seq),
                entry.at.replace("T", " ").removesuffix("+00:00"),
                entry.event,
                f"v{entry.version}" if entry.version else "-",
                entry.model_digest[:12],
                plain(found.who(entry)),
            )
            for entry in reversed(found.entries)
        ],
    )


@app.command()
def verify(
    recipe: Annotated[str | None, typer.Argument(help="By default every ledger.")] = None,
) -> None:
    """Check chain, commit and signatures of ledgers.

    Each line names the digest of the one before, git holds what was committed, and a signature
    is by a key that git trusts or ever did. Exit code 0: all hold; 5: one does not.

    \b
    Examples:
      segtrail ledger verify
      segtrail ledger verify nuclei
    """
    from lineage import ledger_check
    from segtrail.workspace import Workspace

    workspace = Workspace.find()
    known = workspace.ledgers()
    if recipe is not None:
        _require(recipe, known)
    broken = False
    for name in [recipe] if recipe else known:
        try:
            found = ledger_check.check(workspace, name)
        except LineageError as e:
            broken = True
            print(f"{name}: BROKEN: {e.message}")
            continue
        new = len(found.entries) - found.committed
        print(
            f"{name}: {len(found.entries)} lines hold, {len(found.signers)} signed"
            + (f"; {new} not committed yet" if new else "")
        )
    if not known:
        print("no ledger yet: nothing was promoted or rejected")
    if broken:
        raise typer.Exit(EXIT_AUDIT_BROKEN)


def _require(recipe: str, known: list[str]) -> None:
    from segtrail.words import near

    if recipe not in known:
        raise typer.BadParameter(
            f"there is no ledger of {recipe!r}; there are: {', '.join(known) or 'none'}."
            f"{near(recipe, known)}"
        )
