"""`segtrail history`: what served when, and why it changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import check_recipe
from cli.status import print_table
from segtrail.errors import LineageError
from segtrail.words import plain
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from lineage.history import Period
    from lineage.ledger_events import Event
    from lineage.origin import Origin

HEADS = (
    "version", "served from", "until", "for", "by", "data", "commit", "MLflow run", "in store",
    "why",
)  # fmt: skip
UNKNOWN = "?"
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def history(
    recipe: Annotated[str, typer.Argument(help="A recipe of params.yaml.")],
    with_events: Annotated[
        bool,
        typer.Option(
            "--events",
            help="Also rejections, forces, canaries, recoveries, and what is unfinished.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what served when, and why it changed.

    From the ledger, newest first and read-only; its chain is checked on the way. Data, run and
    the gate's numbers are from the provenance of each version in the store. Times are UTC; a
    name is what somebody claimed.

    \b
    Examples:
      segtrail history nuclei
      segtrail history nuclei --events
      segtrail history nuclei --json | jq '.[0].git_commit'
    """
    from lineage import history, ledger, ledger_events, origin

    workspace = Workspace.find()
    check_recipe(workspace, recipe)
    entries = history.read(workspace, recipe)
    problem = history.disagreement(workspace, recipe, entries)
    served = [
        (each, origin.of_version(workspace, recipe, each.version, each.provenance_sha256))
        for each in history.periods(entries)
    ]
    others = ledger_events.events(entries)
    kept = {
        each.entry: origin.of_version(workspace, recipe, each.version, each.provenance_sha256)
        for each in others
        if each.version is not None and each.provenance_sha256 is not None
    }
    now = datetime.now(UTC)
    if as_json:
        objects = [_object(period, made, now) for period, made in served]
        if with_events:
            objects += [_event_object(event, kept.get(event.entry)) for event in others]
        objects.sort(key=lambda each: each["entry"], reverse=True)
        print(json.dumps([{"recipe": recipe, **each} for each in objects], indent=2))
        if problem:
            print(problem, file=sys.stderr)
        return
    rows = {period.entry: _row(period, made, now, problem) for period, made in served}
    if with_events:
        rows |= {event.entry: _event_row(event, kept.get(event.entry)) for event in others}
    if rows:
        print_table(HEADS, [rows[entry] for entry in sorted(rows, reverse=True)])
        print()
    if not served:
        print(
            f"{recipe} was never promoted; this trains, judges and promotes its first version:\n"
            f"  -> segtrail retrain --recipe {recipe}"
        )
    if entries:
        path = workspace.ledger(recipe).relative_to(workspace.root).as_posix()
        print(f"{path}: the chain of its {len(entries)} entries is whole")
    if others and not with_events:
        more = f"{len(others)} more {'entry' if len(others) == 1 else 'entries'}"
        print(f"{more}, such as a rejection: segtrail history {recipe} --events")
    if (out := ledger.canary(entries)) is not None:
        print(
            f"v{out.version} is out as a canary since {_at(out.at)}, by {_name(out.by)}\n"
            f"  -> segtrail promote --recipe {recipe} --confirm   (or --abort --reason TEXT)"
        )
    if problem:
        print(problem)
    elif (intent := ledger.open_intent(entries)) is not None:
        print(
            f"the promotion of v{intent.version} is under way, or was cut short\n"
            f"  -> segtrail promote --recipe {recipe} --recover"
        )


def _row(
    period: Period, made: Origin, now: datetime, problem: LineageError | None
) -> tuple[str, ...]:
    still = "serves now" if problem is None else "now, by the ledger"
    return (
        f"v{period.version}",
        _at(period.since),
        _at(period.until) if period.until else still,
        _lasted(period.seconds(now)),
        _name(period.by),
        *_came_from(made, period.git_commit, period.uncommitted),
        plain(period.why(made.numbers)),
    )


def _came_from(
    made: Origin, git_commit: str | None, uncommitted: Sequence[str]
) -> tuple[str, str, str, str]:
    """Returns data, commit, MLflow run, and whether the store has it."""
    stored = "yes" if made.stored else "no"
    return (
        (made.data_dvc_md5 or UNKNOWN)[:10],
        (git_commit or UNKNOWN)[:10] + (" + uncommitted" if uncommitted else ""),
        (made.mlflow_run or UNKNOWN)[:8],
        f"{stored}, but {made.problem}" if made.stored and made.problem else stored,
    )


def _event_row(event: Event, made: Origin | None) -> tuple[str, ...]:
    version = "-" if event.version is None else f"v{event.version}"
    details = event.details
    came_from = ("-",) * 4
    if made is not None:
        came_from = _came_from(made, details.get("git_commit"), details.get("uncommitted", ()))
    return (version, _at(event.at), "-", "-", _name(event.by), *came_from, plain(event.says))


def _event_object(event: Event, made: Origin | None) -> dict[str, Any]:
    return {**asdict(event), **(asdict(made) if made is not None else {})}


def _object(period: Period, made: Origin, now: datetime) -> dict[str, Any]:
    return {
        "event": "done",
        **asdict(period),
        "seconds": int(period.seconds(now)),
        "why": period.why(made.numbers),
        **asdict(made),
    }


def _at(time: str) -> str:
    return time.replace("+00:00", "Z")


def _name(by: str) -> str:
    """Returns a git identity without its address."""
    return plain(by.partition(" <")[0])


def _lasted(seconds: float) -> str:
    """Returns a time in its two largest units; of a clock that was set back, `?`."""
    if seconds < 0:
        return UNKNOWN
    whole = int(seconds)
    for (unit, size), (smaller, part) in pairwise(_UNITS):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {smaller}"
    return f"{whole} s"
