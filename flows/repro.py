"""Runs one stage of a recipe through DVC and says what DVC did."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from flows import process
from flows.restored import forget_damaged
from flows.step_fault import BUSY_S, BusyError, StepFault, patiently
from segtrail.errors import EXIT_FAULT, StageError

_BUSY = re.compile(r"Unable to acquire lock|is busy, it is being blocked by", re.IGNORECASE)
_DVC_OWN = re.compile(r"^(ERROR: |WARNING: Process '.*' had been killed|\s*$)")
_EXITED = re.compile(r"^ERROR: .* exited with (-?\d+)$")
_SIGNALS = range(129, 193)  # a shell's exit code after signal n is 128 + n
_OWN_ERROR = "error: "  # how `segtrail` starts what it says when a command fails
_HINT = "\n  -> "
_TAIL = 15


class Did(StrEnum):
    """What became of a stage."""

    SKIPPED = "didn't change"
    RESTORED = "restored from an earlier run"
    RAN = "ran"


def reproduce(
    root: Path,
    stage: str,
    on_line: Callable[[str], None],
    keep_open: Sequence[int] = (),
    busy_s: float = BUSY_S,
    anew: bool = False,
    environment: Mapping[str, str] | None = None,
    until: float | None = None,
) -> Did:
    """Runs `dvc repro --single-item STAGE`.

    What DVC puts back from its cache is compared with `dvc.lock`, and made anew where it differs.

    Args:
        root: The workspace.
        stage: `<stage>@<recipe>`.
        on_line: Gets the stage's lines, without DVC's.
        keep_open: See `flows.process.run`.
        busy_s: How long to wait when another DVC command holds the workspace.
        anew: Compute it whatever was computed before, and put nothing into DVC's cache.
        environment: See `flows.process.run`.
        until: See `flows.process.run`.

    Raises:
        StageError: The stage failed, in the words that it printed itself.
        StepFault: So it did, by a fault of what it runs on.
        BusyError: Another DVC command held the workspace all the while.
    """

    def pass_on(line: str) -> None:
        if not _is_dvc_line(line):
            on_line(line)

    repro = [sys.executable, "-m", "dvc", "repro", "--single-item"]
    again = ["--force", "--no-run-cache"]

    def attempt(*options: str) -> Did:
        command = [*repro, *options, stage]
        done = process.run(command, root, pass_on, keep_open, environment, until)
        if done.code == 0:
            return _what(done.out + done.err, stage)
        error = as_error(done, stage)
        raise BusyError(error.message) if _BUSY.search("\n".join(done.err)) else error

    if anew:
        return patiently(lambda: attempt(*again, "--no-commit"), on_line, busy_s)
    did = patiently(attempt, on_line, busy_s)
    if did is Did.RESTORED and (damaged := forget_damaged(root, stage)):
        what = damaged[0].relative_to(root)
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        on_line(f"DVC's cache has other bytes than were made of {what}{more}: made anew")
        did = patiently(lambda: attempt(*again), on_line, busy_s)
    return did


def _is_dvc_line(line: str) -> bool:
    return bool(_DVC_OWN.match(line)) or line.startswith(
        ("Running stage '", "Stage '", "> ", "Updating lock file", "Generating lock file",
         "To track the changes with git", "\tgit add ", "To enable auto staging",
         "\tdvc config core.autostage", "Use `dvc push`", "Data and pipelines are up to date")
    )  # fmt: skip


def _what(lines: Sequence[str], stage: str) -> Did:
    if f"Running stage '{stage}':" in lines:
        return Did.RAN
    if any(line.startswith(f"Stage '{stage}' is cached") for line in lines):
        return Did.RESTORED
    return Did.SKIPPED


def as_error(done: process.Finished, stage: str) -> StageError:
    """Returns the error that a command printed; failing that its last lines, or DVC's.

    Args:
        done: How it ended.
        stage: What to call it.
    """
    if done.too_late:
        return StageError(
            f"{stage}: ended, since the time of a scheduled run was up",
            "give it more: operations.time_out of the recipe, in hours; what it finished is kept",
        )
    code = _code(done)
    if _is_signal(code):
        number = -code if code < 0 else code - 128
        return StepFault(
            f"{stage}: killed by signal {number} ({signal.strsignal(number)})",
            "by somebody, or by the kernel for want of memory; what stands is kept: run it again",
        )
    kind = StepFault if code == EXIT_FAULT else StageError
    own = [line for line in done.err if not _is_dvc_line(line)]
    starts = [i for i, line in enumerate(own) if line.startswith(_OWN_ERROR)]
    if starts:
        text = "\n".join(own[starts[-1] :]).removeprefix(_OWN_ERROR)
        message, _, hint = text.partition(_HINT)
        return kind(message, hint or None)
    if own:
        last = "\n  ".join(own[-_TAIL:])
        return kind(f"{stage} failed (exit code {done.code}):\n  {last}")
    dvc = [line.removeprefix("ERROR: ") for line in done.err if line.startswith("ERROR: ")]
    said = f"DVC: {dvc[-1]}" if dvc else f"failed with exit code {done.code} and said nothing"
    return kind(f"{stage}: {said}")


def _code(done: process.Finished) -> int:
    """Returns the exit code of a command, or of the stage that DVC ran for it."""
    told = [int(found[1]) for line in done.err if (found := _EXITED.search(line))]
    return told[-1] if told else done.code


def _is_signal(code: int) -> bool:
    return code < 0 or code in _SIGNALS
