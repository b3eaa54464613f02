"""The report as one HTML page that needs nothing else: plots and thumbnails are inside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import cv2

from components.drifting.arrivals import Pixels
from components.drifting.compare import Finding, SliceFindings
from components.drifting.words import name_of, number
from segtrail.html import data_uri
from segtrail.images import encode_png
from segtrail.overlay import to_rgb

_SIDE = 192
_PROBLEMS_SHOWN = 200

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem;
       color: #222; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; margin: .5rem 0 1rem; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child, td:last-child, th:last-child { text-align: left }
.severe { background: #f7d4d4 } .moderate { background: #fbecc8 } .none { background: #dff0df }
.insufficient { background: #e6e6e6 }
.mark { padding: .1rem .5rem; border-radius: .3rem; font-weight: 600 }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem }
figure { margin: 0; width: 12.5rem } figcaption { font-size: .8rem; overflow-wrap: anywhere }
img { max-width: 100% } .picture { height: 192px; object-fit: contain; image-rendering: auto }
"""


@dataclass(frozen=True)
class Page:
    """What the report shows.

    Attributes:
        title: Its heading.
        severity: Of all.
        lines: Sentences at the top, the first the most important.
        slices: What was found.
        plots: PNG files, by slice and statistic.
        pictures: Of unusual images: name, PNG file or None, and why it is shown.
        problems: Images that could not be read.
        answered: What was found of the champion's answers.
    """

    title: str
    severity: str
    lines: Sequence[str]
    slices: Sequence[SliceFindings]
    plots: Mapping[tuple[str, str], bytes]
    pictures: Sequence[tuple[str, bytes | None, str]]
    problems: Sequence[str]
    answered: Sequence[SliceFindings] = ()


def render(page: Page) -> str:
    """Returns the HTML; every name and message in it is escaped."""
    parts = [
        "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>",
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
        f"<title>{escape(page.title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(page.title)} {_mark(page.severity)}</h1>",
        *(f"<p>{escape(line)}</p>" for line in page.lines),
        *(_slice(found, page.plots) for found in page.slices),
    ]
    if page.answered:
        parts.append("<h2>What the champion answers</h2>")
        parts += [_slice(found, page.plots) for found in page.answered]
    if page.pictures:
        parts.append("<h2>The most unusual images</h2><div class=pictures>")
        parts += [_picture(*picture) for picture in page.pictures]
        parts.append("</div>")
    if page.problems:
        parts.append(f"<h2>{len(page.problems)} could not be read</h2><ul>")
        parts += [f"<li>{escape(problem)}</li>" for problem in page.problems[:_PROBLEMS_SHOWN]]
        if (more := len(page.problems) - _PROBLEMS_SHOWN) > 0:
            parts.append(f"<li>and {more} more, in drift.json</li>")
        parts.append("</ul>")
    parts.append("</body></html>\n")
    return "\n".join(parts)


def thumbnail(pixels: Pixels) -> bytes:
    """Returns an image as a small RGB PNG; 16 bits are stretched."""
    height, width = pixels.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return encode_png(cv2.resize(to_rgb(pixels), size, interpolation=cv2.INTER_AREA))


def _mark(severity: str) -> str:
    return f'<span class="mark {severity.split()[0]}">{escape(severity)}</span>'


def _slice(found: SliceFindings, plots: Mapping[tuple[str, str], bytes]) -> str:
    title = "All images" if found.slice == "all" else found.slice
    parts = [
        f"<h2>{escape(title)} {_mark(found.severity)}</h2><p>{escape(found.says)}; "
        f"{found.groups} and {found.baseline_groups} groups</p>"
    ]
    if found.findings:
        heads = ("statistic", "median", "baseline", "JS distance", "by chance", "effect", "KS",
                 "p (Holm)", "severity")  # fmt: skip
        parts.append(
            "<table><tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>"
            + "".join(_row(finding) for finding in found.findings)
            + "</table>"
        )  # fmt: skip
    own = {finding.statistic for finding in found.findings}
    for (name, statistic), png in plots.items():
        if name == found.slice and statistic in own:
            parts.append(
                f'<p><img alt="{escape(name_of(statistic))}" src="{data_uri("png", png)}"></p>'
            )
    return "\n".join(parts)


def _row(finding: Finding) -> str:
    cells: list[Any] = [
        name_of(finding.statistic),
        number(finding.median),
        number(finding.baseline_median),
        *(f"{value:.2f}" for value in (finding.js, finding.expected_js, finding.effect)),
        "-" if finding.ks is None else f"{finding.ks:.2f}",
        "&lt; 0.001" if finding.adjusted_p < 0.001 else f"{finding.adjusted_p:.3f}",
    ]
    name, *rest = cells
    body = f"<td>{escape(name)}</td>" + "".join(f"<td>{cell}</td>" for cell in rest)
    return f"<tr>{body}<td>{_mark(finding.severity)}</td></tr>"


def _picture(name: str, png: bytes | None, says: str) -> str:
    image = (
        f'<img class=picture alt="" src="{data_uri("png", png)}">'
        if png
        else "<p>not readable now</p>"
    )
    return (
        f"<figure>{image}<figcaption><b>{escape(name)}</b><br>{escape(says)}</figcaption></figure>"
    )
