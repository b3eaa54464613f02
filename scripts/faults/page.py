"""The table of cases and outcomes, in a page that somebody wrote."""

from __future__ import annotations

from pathlib import Path

from scripts.faults.case import Case, Found
from scripts.faults.cases import CASES
from segtrail.files import write_text

BEGIN, END = "<!-- table: python -m scripts.faults -->", "<!-- table ends -->"
_HEAD = (
    "| case | what segtrail says | mended by | correct at the end |",
    "| --- | --- | --- | --- |",
)


def check(page: Path) -> None:
    """Looks whether a page has a place for the table.

    Raises:
        ValueError: It has not got the two marks.
    """
    _parts(page)


def write_row(page: Path, case: Case, found: Found) -> None:
    """Writes the outcome of a case into its row of the table; the other rows stay.

    Raises:
        ValueError: See `check`.
    """
    head, table, tail = _parts(page)
    rows = {line.split(" | ")[0]: line for line in table.splitlines() if line.startswith("| ")}
    rows[f"| {case.what}"] = (
        f"| {case.what} | {_cell(found.says)} | {_cell(found.mended)} | {_holds(found)} |"
    )
    known = [rows[f"| {each.what}"] for each in CASES if f"| {each.what}" in rows]
    lines = "\n".join([*_HEAD, *known])
    write_text(page, f"{head}{BEGIN}\n{lines}\n{END}{tail}")


def _parts(page: Path) -> tuple[str, str, str]:
    text = page.read_text("utf-8")
    head, begin, rest = text.partition(BEGIN)
    table, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page}: expected the lines {BEGIN} and {END}")
    return head, table, tail


def _holds(found: Found) -> str:
    return "yes" if not found.problems else f"**no**: {_cell('; '.join(found.problems))}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
