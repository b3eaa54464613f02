"""Writes docs/reference/cli.md, the reference of the command line, from the commands themselves.

    python scripts/cli_reference.py [--check]

With `--check` nothing is written; the exit code is 1 if the page is not what would be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from cli.main import app

PAGE = Path(__file__).resolve().parents[1] / "docs/reference/cli.md"
COLUMNS = 80
HEAD = """\
# The command line

What `segtrail COMMAND --help` prints, command by command. Each works in the workspace or any
folder below it, ends with one of the [exit codes](exit-codes.md), and imports TensorFlow, Prefect
or MLflow only if it needs them. `segtrail --install-completion` completes names by the tab key.
"""


def page() -> str:
    """Returns the page in Markdown."""
    root = typer.main.get_command(app)
    helps = dict(_helps(root, root.make_context("segtrail", [], resilient_parsing=True)))
    parts = [f"## {name}\n\n```text\n{text}\n```" for name, text in helps.items()]
    end = "Made by `python scripts/cli_reference.py` from the commands.\n"
    return "\n\n".join([HEAD.rstrip(), *parts, end])


def _helps(command: Any, context: Any) -> Iterator[tuple[str, str]]:
    """Yields the full name and the help of a command, then those of the commands below it."""
    context.terminal_width = context.max_content_width = COLUMNS
    yield context.command_path, "\n".join(map(str.rstrip, command.get_help(context).splitlines()))
    for name, each in getattr(command, "commands", {}).items():
        if not each.hidden:
            inner = each.make_context(name, [], parent=context, resilient_parsing=True)
            yield from _helps(each, inner)


def main(check: bool) -> None:
    """Writes the page, or exits with 1 if it is not what would be written."""
    if not check:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE} is not of these commands: python scripts/cli_reference.py")


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    main(check="--check" in sys.argv)
