"""Collects what is wrong with a delivery, so that all of it can be mended in one go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from segtrail.errors import DataError

SHOWN = 20
_NAMED, _NAMES_WIDTH = 3, 120  # of the files that have the same problem


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        where: The file.
        what: What was expected and what was found.
        remedy: What to do about it.
        image: The id of the image that cannot land because of it; empty when it is not about
            one image, so that nothing of the delivery can.
    """

    where: str
    what: str
    remedy: str = ""
    image: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.remedy})" if self.remedy else "")


class Problems:
    """A list of problems with one source. `add` may be called from several threads.

    Args:
        source: What to call the delivery in the message.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._found: list[Problem] = []

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(sorted(self._found))

    def add(self, where: str, what: str, remedy: str = "", image: str = "") -> None:
        """Notes one problem; for the arguments see `Problem`."""
        if not where.isprintable():  # a name may hold control characters or broken Unicode
            where = ascii(where)
        self._found.append(Problem(where, what, remedy, image))

    def raise_if_any(self) -> None:
        """Raises:
        DataError: There are problems. What hits several files is said once; the message has
            twenty lines at most and counts the rest.
        """
        if not self._found:
            return
        count = len(self._found)
        shared = alike(self)
        lines = [f"  - {_line(found)}" for found in shared[:SHOWN]]
        if more := sum(map(len, shared[SHOWN:])):
            lines.append(f"  … and {more} more")
        hint = "mend or take out what is named, then deliver again"
        if any(len(found) > _NAMED for found in shared) or more:
            if all(problem.image for problem in self._found):
                hint += "; --on-bad quarantine lands the good images, and lists each bad file"
            elif len(shared) == 1:
                hint += "; or is it the wrong folder, or the wrong --dataset?"
        noun = "problem" if count == 1 else "problems"
        raise DataError(
            f"{self.source}: {count} {noun}; nothing was ingested:\n" + "\n".join(lines), hint
        )


def alike(problems: Iterable[Problem]) -> list[list[Problem]]:
    """Returns problems together whose words differ in the name of file or image alone.

    Returns:
        The largest sets first, else in the order of the files.
    """
    every = sorted(problems)
    hit: dict[tuple[str, str], set[str]] = {}
    for problem in every:
        hit.setdefault((problem.what, problem.remedy), set()).add(problem.image or problem.where)
    together: dict[tuple[str, str], list[Problem]] = {}
    for problem in every:
        # Words that several images have do not name one, though an id may be a word such as "a".
        words = problem.what, problem.remedy
        key = words if len(hit[words]) > 1 else _nameless(problem)
        together.setdefault(key, []).append(problem)
    return sorted(together.values(), key=lambda found: -len(found))


def _nameless(problem: Problem) -> tuple[str, str]:
    """Returns what is wrong and what to do, with a placeholder for names."""
    what, remedy = problem.what, problem.remedy
    for name, placeholder in ((problem.where, "<file>"), (problem.image, "<id>")):
        if name:
            whole = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
            what, remedy = (whole.sub(placeholder, text) for text in (what, remedy))
    return what, remedy


def _line(found: Sequence[Problem]) -> str:
    """Returns what several files have in common in a line."""
    first = found[0]
    if len(found) == 1:
        return str(first)
    files = list(dict.fromkeys(problem.where for problem in found))
    same = all((p.what, p.remedy) == (first.what, first.remedy) for p in found)
    what, remedy = (first.what, first.remedy) if same else _nameless(first)
    if len(files) == 1:
        return f"{Problem(first.where, what, remedy)} ({len(found)} times)"
    named = files[:_NAMED]
    while len(named) > 1 and len(", ".join(named)) > _NAMES_WIDTH:
        named.pop()
    names = ("first: " if len(named) < len(files) else "") + ", ".join(named)
    return str(Problem(f"{len(files)} files ({names})", what, remedy))
