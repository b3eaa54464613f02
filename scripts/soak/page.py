"""The timeline as one HTML page: runs, versions, requests and what happened."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from scripts.soak.days import Month
from scripts.soak.world import World
from segtrail.files import write_text

_WIDTH, _LEFT, _ROW = 1120, 90, 26
_COLOURS = {
    "Promoted": "#2e7d32", "Already serves": "#9e9e9e", "Rejected": "#c62828",
    "Crashed": "#6a1b9a", "Failed": "#ad1457", "Landed": "#1565c0", "Refused": "#ef6c00",
    "Severe": "#ef6c00", "Suspended": "#f9a825", "None": "#90a4ae", "Nothing new": "#cfd8dc",
    "Judged": "#f9a825",
}  # fmt: skip
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
       color: #222; background: #fff }
.wide { overflow-x: auto } svg text { font: 12px system-ui, sans-serif; fill: #333 }
table { border-collapse: collapse } td, th { padding: .2rem .7rem; text-align: left;
       border-bottom: 1px solid #ddd; vertical-align: top }
.bad { color: #c62828; white-space: pre-wrap } .good { color: #2e7d32 }
.key { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem }
"""


def write_page(
    path: Path,
    world: World,
    month: Month,
    found: Mapping[str, str | None],
) -> None:
    """Writes the page.

    Args:
        path: Of the HTML file.
        world: What happened in.
        month: The days that were lived.
        found: See `scripts.soak.checks.check`.
    """
    runs = month.runs
    times = [each[0] for each in world.events] + [r["start"] for r in runs if r["start"]]
    begin, end = min(times), max([*times, *(r["end"] for r in runs if r["end"])])

    def x(at: float) -> float:
        return _LEFT + (at - begin) / max(1.0, end - begin) * (_WIDTH - _LEFT - 10)

    rows = [*_runs(runs, x), *_versions(month, x), *_requests(month, x), *_events(world, x)]
    height = 6 * _ROW + 20
    answers = month.client.answers
    title = f"{month.days} simulated days"
    says = (
        f"{month.days} scheduled runs in {(end - begin) / 60:.0f} minutes; "
        f"{len(answers)} requests answered, {len(month.client.failures)} failed"
    )
    checks = "".join(
        f"<tr><td>{escape(name)}</td><td class={'bad' if bad else 'good'}>"
        f"{escape(bad or 'holds')}</td></tr>"
        for name, bad in found.items()
    )
    events = "".join(
        f"<tr><td>{(at - begin) / 60:.1f} min</td><td>{escape(kind)}</td><td>{escape(w)}</td></tr>"
        for at, kind, w in world.events
    )
    key = "".join(
        f'<span class=key style="background:{colour}"></span>{name}'
        for name, colour in _COLOURS.items()
    )
    page = (
        f"<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>{title}</title>"
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p>{escape(says)}</p>"
        f'<div class=wide><svg width="{_WIDTH}" height="{height}" role=img aria-label="timeline">'
        f"{''.join(rows)}</svg></div><p>{key}</p><h2>What must hold</h2><table>{checks}</table>"
        f"<h2>What happened</h2><table>{events}</table></body></html>\n"
    )
    write_text(path, page)


def _bar(left: float, right: float, row: int, colour: str, title: str) -> str:
    return (
        f'<rect x="{left:.1f}" y="{row * _ROW + 4}" width="{max(2.0, right - left):.1f}" '
        f'height="{_ROW - 8}" fill="{colour}"><title>{escape(title)}</title></rect>'
    )


def _label(row: int, text: str) -> str:
    return f'<text x="0" y="{row * _ROW + 18}">{escape(text)}</text>'


def _runs(runs: Sequence[Mapping[str, Any]], x: Any) -> Iterator[str]:
    for row, flow in enumerate(("ingest", "retrain", "monitor")):
        yield _label(row, flow)
        for run in runs:
            if run["flow"] == flow and run["start"]:
                end = run["end"] or time.time()
                colour = _COLOURS.get(run["state"], "#607d8b")
                words = f"{run['state']}: {run['says']}"
                yield _bar(x(run["start"]), x(end), row, colour, words)


def _versions(month: Month, x: Any) -> Iterator[str]:
    yield _label(3, "answers")
    colours = ("#1b5e20", "#66bb6a")
    for version, group in groupby(month.client.answers, key=lambda each: each[2]):
        times = [each[0] for each in group]
        yield _bar(x(times[0]), x(times[-1]), 3, colours[version % 2], f"v{version}")
        yield f'<text x="{x(times[0]):.1f}" y="{3 * _ROW + 2}">v{version}</text>'


def _requests(month: Month, x: Any) -> Iterator[str]:
    yield _label(4, "failed")
    for at, words in month.client.failures:
        yield _bar(x(at), x(at), 4, "#c62828", words)


def _events(world: World, x: Any) -> Iterator[str]:
    yield _label(5, "happenings")
    for at, kind, words in world.events:
        if kind != "day":
            yield _bar(x(at), x(at) + 3, 5, "#37474f", f"{kind}: {words}")
