"""`segtrail gc`: housekeeping."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from components.gc import Plan

_HEADS = ("what", "count", "size", "why")


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: for scripts.")] = False,
) -> None:
    """Free disk: remove what nothing refers to any more.

    What stages made in runs that were neither promoted nor are the tip of a branch or tag leaves
    DVC's cache, with the clones of workers whose recipe is gone, and temporary files of killed
    commands. Stages can make theirs anew: check out the commit, then segtrail retrain. Every
    version of the data stays, what each training wrote about itself, and all that the ledger
    names: each promoted version can be audited, made again and rolled back to as before. Remotes
    and whatever is outside of the workspace are not touched. Shows what would go, and asks.

    \b
    Examples:
      segtrail gc --dry-run
      segtrail gc --yes
    """
    from components.gc import plan, remove
    from segtrail.errors import ConfigError
    from segtrail.workspace import Workspace

    workspace = Workspace.find()
    ask = not yes and not dry_run
    if ask and not sys.stdin.isatty():
        raise ConfigError(
            "there is no terminal to ask in: nothing was removed",
            "--yes removes without asking; --dry-run shows what would go",
        )
    shown = plan(workspace)
    _print(shown)
    if dry_run or not shown.found:
        return
    if ask:
        typer.confirm(f"Remove them, {_size(shown.bytes)} in all?", abort=True)
    print(f"{_size(remove(workspace, shown).bytes)} freed")


def _print(shown: Plan) -> None:
    from cli.status import print_table

    if shown.found:
        rows = [(each.kind, len(each.sizes), _size(each.bytes), each.why) for each in shown.found]
        print_table(_HEADS, [tuple(map(str, row)) for row in rows])
    else:
        print("nothing to remove")
    for line in shown.left:
        print(f"left as it is: {line}")


def _size(count: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024  # type: ignore[assignment]
    return f"{count:.1f} GiB"
