"""A case, and how it is judged."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from scripts.faults import state
from scripts.faults.bench import Bench
from scripts.faults.running import Said
from segtrail.errors import EXIT_FAULT


@dataclass(frozen=True)
class Found:
    """What came of a case.

    Attributes:
        says: What segtrail said, or did by itself.
        mended: What then made it whole.
        problems: What does not hold.
    """

    says: str
    mended: str
    problems: list[str]


@dataclass(frozen=True)
class Case:
    """One thing to break.

    Attributes:
        name: For `--only`, and to seed its random numbers.
        what: What is done, for the reader.
        run: Does it in a fresh copy of the workspace.
    """

    name: str
    what: str
    run: Callable[[Bench, random.Random], Found]


def ends_as_fault(done: Said) -> list[str]:
    """Returns in what a command did not end as a fault must: exit code and advice."""
    found = []
    if done.code != EXIT_FAULT:
        found.append(f"exit code {done.code}, expected {EXIT_FAULT}: {done.text[-800:]}")
    if not done.error:
        found.append(f"it does not say what was wrong: {done.text[-800:]}")
    return found


def again(bench: Bench, done: Said, problems: list[str]) -> Found:
    """Looks for what is half-done, retrains once more where that failed, and judges."""
    problems = [*problems, *state.nothing_half_done(bench)]
    if done.code == 0:
        return judged(bench, done, "nothing to mend", problems)
    then = bench.retrain().ends()
    if then.code:
        problems.append(f"run again: exit code {then.code}\n{then.text[-1500:]}")
    return judged(bench, done, "the same command, which went on", problems)


def judged(bench: Bench, done: Said, mended: str, problems: list[str]) -> Found:
    """Compares the mended workspace with that of an unbroken run."""
    found = [*problems, *state.as_if_nothing_had_happened(bench)]
    return Found(words(done), mended, found)


def words(done: Said) -> str:
    """Returns what segtrail said, for the table."""
    if done.code == 0:
        return "goes on, and ends well"
    return done.error or ("(killed)" if done.code < 0 else done.text[-200:])
