"""`segtrail trace`: lineage both ways."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import trace_print

if TYPE_CHECKING:
    from lineage.trace import Answer

app = typer.Typer(
    name="trace",
    help="""Which models came of an image, data or a commit.

    \b
    Examples:
      segtrail trace image withdrawn.png
      segtrail trace data 91538f661c
      segtrail trace commit HEAD~3
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)
_JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def image(
    word: Annotated[
        str,
        typer.Argument(
            metavar="FILE|HASH|ID",
            help="An image file anywhere, also as it was delivered; a SHA-256 or MD5, or at least "
            "8 characters of one; or an image's id in splits.csv.",
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", metavar="NAME", help="Only images of this dataset."),
    ] = None,
    as_json: _JsonOption = False,
) -> None:
    """Tell which data versions hold an image, and which models learned from it.

    Also what it was for each: learned from (train), tuned on (validation) or judged by (test),
    and which served when. From git, DVC's cache and the promotion ledgers, on all branches; what
    is not in the cache is named. The first time it reads every data version, later the new ones.

    \b
    Examples:
      segtrail trace image withdrawn.png
      segtrail trace image p17_a --dataset dsb2018
      segtrail trace image 91538f66 --json | jq -r '.images[].conclusion'
    """
    from lineage import trace
    from segtrail.workspace import Workspace

    with redirect_stdout(sys.stderr):  # progress
        answer = trace.image(Workspace.find(), word, dataset)
    _tell("images", answer, trace_print.image, as_json)


@app.command()
def data(
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION",
            help="The hash that segtrail data log shows, or its beginning; or a git revision.",
        ),
    ],
    as_json: _JsonOption = False,
) -> None:
    """Tell what brought a data version, and which models were trained on it.

    \b
    Examples:
      segtrail trace data 91538f661c
      segtrail trace data HEAD --json
    """
    from lineage import trace
    from segtrail.workspace import Workspace

    with redirect_stdout(sys.stderr):
        answer = trace.data(Workspace.find(), version)
    _tell("data", answer, trace_print.data, as_json)


@app.command()
def commit(
    revision: Annotated[str, typer.Argument(metavar="SHA", help="A git revision.")],
    as_json: _JsonOption = False,
) -> None:
    """Tell what a commit holds, and which models came of it.

    \b
    Examples:
      segtrail trace commit HEAD
      segtrail trace commit nuclei/v3 --json
    """
    from lineage import trace
    from segtrail.workspace import Workspace

    with redirect_stdout(sys.stderr):
        answer = trace.commit(Workspace.find(), revision)
    _tell("commit", answer, trace_print.commit, as_json)


def _tell(key: str, answer: Answer[Any], tell: Callable[[Any], None], as_json: bool) -> None:
    """Prints an answer: as JSON, what was found under a key; else each with `tell`."""
    if as_json:
        from json import dumps

        from lineage.trace import to_json

        print(dumps(to_json({key: answer.found, "unread": answer.unread}), indent=2))
        return
    for each in answer.found if isinstance(answer.found, list) else [answer.found]:
        tell(each)
    trace_print.unread(answer.unread)
