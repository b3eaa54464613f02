"""What a person reads when many files of a delivery are bad."""

from __future__ import annotations

import pytest

from components.ingestion.problems import Problem, Problems, alike
from segtrail.errors import DataError


def told(*found: Problem) -> tuple[list[str], str]:
    """Returns the lines about these problems, and the hint."""
    problems = Problems("source")
    for problem in found:
        problems.add(problem.where, problem.what, problem.remedy, problem.image)
    with pytest.raises(DataError) as caught:
        problems.raise_if_any()
    return caught.value.message.splitlines()[1:], caught.value.hint or ""


def test_words_that_differ_in_the_name_alone_are_said_once() -> None:
    found = [
        Problem(f"{n}/images/x.png", f"expected it to be named {n}.png", f"call it {n}.png", n)
        for n in ("d1", "d2", "d3", "d4")
    ]
    lines, hint = told(*found, Problem("d5/masks/m.png", "is all black", "", "d5"))
    assert lines == [
        "  - 4 files (first: d1/images/x.png, d2/images/x.png, d3/images/x.png): expected it to be "
        "named <id>.png (call it <id>.png)",
        "  - d5/masks/m.png: is all black",
    ]
    assert "--on-bad quarantine" in hint


def test_an_id_that_is_a_word_is_not_taken_out_of_words() -> None:
    lines, _ = told(*(Problem(f"{n}.png", "found a mask alone", "", n) for n in "abc"))
    assert lines == ["  - 3 files (a.png, b.png, c.png): found a mask alone"]


def test_different_problems_are_not_thrown_together() -> None:
    lines, _ = told(
        Problem("a.png", "expected 3 pages, found 2", "", "a"),
        Problem("b.png", "expected 3 pages, found 1", "", "b"),
        Problem("c.png", "expected 3 pages, found 2", "export it", "c"),
    )
    assert len(lines) == 3


def test_beyond_twenty_lines_problems_are_counted() -> None:
    many = [Problem(f"x{n:02d}.png", f"{n} bytes") for n in range(22)]
    lines, _ = told(*many, Problem("y.png", "is a link"), Problem("z.png", "is a link"))
    assert lines[0] == "  - 2 files (y.png, z.png): is a link"
    assert len(lines) == 21
    assert lines[-1] == "  … and 3 more"


def test_long_names_do_not_fill_the_screen() -> None:
    lines, _ = told(*(Problem(f"{n}" * 100, "is a link") for n in range(5)))
    assert lines == [f"  - 5 files (first: {'0' * 100}): is a link"]


def test_nothing_is_lost() -> None:
    found = [Problem(f"{n % 7}.png", f"of {n % 3}", "", str(n)) for n in range(40)]
    assert sorted(problem for group in alike(found) for problem in group) == sorted(found)
