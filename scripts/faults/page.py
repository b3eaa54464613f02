"""The table of cases and outcomes, in a page that somebody wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.faults.case import Found
from segtrail.files import write_text

BEGIN, END = "<!-- table: python -m scripts.faults -->", "<!-- table ends -->"


def write_table(page: Path, found: Sequence[tuple[str, Found]]) -> None:
    """Replaces the table between the two marks of a page.

    Raises:
        ValueError: The page has not got the marks.
    """
    text = page.read_text("utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page}: expected the lines {BEGIN} and {END}")
    rows = "\n".join(
        f"| {what} | {_cell(one.says)} | {_cell(one.mended)} | {_holds(one)} |"
        for what, one in found
    )
    names = "| case | what segtrail says | mended by | correct at the end |"
    table = f"{names}\n| --- | --- | --- | --- |\n{rows}"
    write_text(page, f"{head}{BEGIN}\n{table}\n{END}{tail}")


def _holds(one: Found) -> str:
    return "yes" if not one.problems else f"**no**: {_cell('; '.join(one.problems))}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
