"""What a check of `segtrail doctor` finds, and how checks are run apart from each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from flows.doctor.here import Here
from segtrail.errors import SegtrailError
from segtrail.secrets import without_password

SECTION_S = 30.0


class State(StrEnum):
    """How it is with what was looked at, the worst first."""

    BROKEN = "broken"
    WARNING = "warning"
    NOT_SET_UP = "not set up"
    OK = "ok"


@dataclass(frozen=True)
class Finding:
    """One line of `segtrail doctor`.

    Args:
        state: How it is.
        what: In one sentence.
        next: The next command; None where nothing is to be done.
    """

    state: State
    what: str
    next: str | None = None


Check = Callable[[Here], Iterable[Finding]]


def ok(what: str) -> Finding:
    """Returns that something is as it should be."""
    return Finding(State.OK, what)


def run(sections: Mapping[str, Sequence[Check]], here: Here) -> dict[str, list[Finding]]:
    """Runs the checks of each section, the sections side by side.

    A check that fails is a finding, and so is one that gives no answer in `SECTION_S` seconds.
    """
    found: dict[str, list[Finding]] = {name: [] for name in sections}
    threads = {
        name: threading.Thread(target=_run, args=(checks, here, found[name]), daemon=True)
        for name, checks in sections.items()
    }
    for thread in threads.values():
        thread.start()
    for name, thread in threads.items():
        thread.join(SECTION_S)
        if thread.is_alive():
            late = Finding(State.WARNING, f"no answer in {SECTION_S:.0f} s; the rest is not known")
            found[name] = [*found[name], late]
    return found


def most_important(sections: Sequence[Sequence[Finding]]) -> str:
    """Returns the next command of the worst finding; of the earliest section where equal.

    What is not set up counts where segtrail itself is what sets it up.
    """
    for state in State:
        for finding in (each for section in sections for each in section):
            optional = state == State.NOT_SET_UP and not (finding.next or "").startswith("segtrail")
            if finding.state == state and finding.next and not optional:
                return finding.next
    return "segtrail status"


def _run(checks: Sequence[Check], here: Here, found: list[Finding]) -> None:
    for check in checks:
        try:
            found.extend(check(here))
        except SegtrailError as e:
            found.append(Finding(State.BROKEN, without_password(e.message), e.hint))
        except Exception as e:  # a check must not hide the others
            name = check.__name__.strip("_").replace("_", " ")
            says = without_password(" ".join(str(e).split()))[:300]
            found.append(Finding(State.WARNING, f"{name}: not known ({type(e).__name__}: {says})"))
