"""Puts what was found into the Data Docs: in words, with pictures of the images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Literal

from components.validating.running import Finding, marker
from segtrail.files import write_text

Status = Literal["danger", "warning", "success"]  # as Bootstrap calls its colours
PAGE, INDEX, THUMBNAILS = "findings.html", "index.html", "thumbnails"
PICTURES = 24  # images shown for each finding
_IN_TABLE = 6  # … and in Great Expectations' own tables
_STYLE = """
figure { display: inline-block; width: 200px; margin: 0 12px 12px 0; vertical-align: top; }
figure img { max-width: 192px; max-height: 192px; display: block; background: #ddd; }
figcaption { font-size: 12px; overflow-wrap: anywhere; }
.gone { width: 192px; height: 96px; background: #eee; color: #666; font-size: 12px; padding: 8px; }
"""


def add_findings(
    site: Path,
    findings: Sequence[Finding],
    thumbnails: Mapping[str, str],
    summary: Sequence[str],
) -> None:
    """Writes the page of findings and links each to its place in the Data Docs.

    Args:
        site: The folder of Data Docs.
        findings: One a check, in the order in which the checks were run.
        thumbnails: File names in the site's `thumbnails` folder, by image.
        summary: Lines that say how it went, the verdict first.
    """
    status = _status(findings)
    write_text(site / PAGE, _page(findings, thumbnails, summary, status))
    for path in site.rglob("*.html"):
        page, root = path.read_text(encoding="utf-8"), ""
        if path.name == PAGE:
            continue
        root = "../" * len(path.relative_to(site).parents[0].parts)
        for number, finding in enumerate(findings):
            page = page.replace(marker(number), _in_table(number, finding, thumbnails, root))
        page = page.replace("<body>", f"<body>\n{_banner(summary, status, root)}", 1)
        for table in {finding.check.table for finding in findings}:
            mine = [finding for finding in findings if finding.check.table == table]
            if _status(mine) == "warning":
                says = _warnings(sum(not finding.passed for finding in mine))
                if path == site / INDEX:
                    page = _amber_row(page, table, says)
                elif path.is_relative_to(site / "validations" / table):
                    page = _RESULT.sub(rf"\1{_AMBER} {says}", page)
        write_text(path, page)


# Great Expectations calls a run failed whatever the severity of what fails.
_AMBER = '<i class="fas fa-exclamation-triangle text-warning" aria-hidden="true"></i>'
_RESULT = re.compile(r'(Status:</span> )<i class="fas fa-times text-danger"[^>]*></i> Failed')


def _amber_row(index: str, table: str, says: str) -> str:
    """Returns the index with a run that has warnings only marked so."""
    row = re.compile(
        r'<i class="fas fa-times text-danger ge-failed-icon" ></i>'
        rf"((?:(?!ge-failed-icon).)*?'_table_row_link_path': 'validations/{table}/[^']*', "
        r"'_validation_success_text': ')Failed'"
    )
    return row.sub(rf"{_AMBER} {says}\1Warnings'", index)


def _status(findings: Sequence[Finding]) -> Status:
    failing = {finding.check.severity for finding in findings if not finding.passed}
    return "danger" if "error" in failing else "warning" if failing else "success"


def _warnings(count: int) -> str:
    return f"{count} warning{'' if count == 1 else 's'}"


def _banner(summary: Sequence[str], status: Status, root: str) -> str:
    more = " ".join(map(escape, summary[1:]))
    return (
        f'<div class="alert alert-{status} m-0 rounded-0"><strong>{escape(summary[0])}</strong> '
        f'{more} <a class="alert-link" href="{root}{PAGE}">The findings, with their images</a>'
        "</div>"
    )


def _in_table(number: int, finding: Finding, thumbnails: Mapping[str, str], root: str) -> str:
    name = f"<br><small>{_badge(finding)} <code>{escape(finding.check.name)}</code>"
    if finding.passed:
        return f"{name}</small>"
    pictures = "".join(
        f'<a href="{root}{PAGE}#check-{number}"><img height="64" class="mr-1" loading="lazy" '
        f'src="{root}{THUMBNAILS}/{escape(thumbnails[row.key])}" '
        f'alt="{escape(row.key)}" title="{escape(str(row))}"></a>'
        for row in finding.rows[:_IN_TABLE]
        if finding.check.table == "images" and row.key in thumbnails
    )
    link = f'<a href="{root}{PAGE}#check-{number}">what was found</a>'
    return f"{name} {link}</small><br>{pictures}"


def _badge(finding: Finding) -> str:
    kind = "danger" if finding.check.severity == "error" else "warning"
    kind = "light" if finding.passed else kind
    return f'<span class="badge badge-{kind}">{finding.check.severity}</span>'


def _page(
    findings: Sequence[Finding],
    thumbnails: Mapping[str, str],
    summary: Sequence[str],
    status: Status,
) -> str:
    numbered = [(n, finding) for n, finding in enumerate(findings) if not finding.passed]
    numbered.sort(key=lambda item: (item[1].check.severity != "error", item[0]))
    body = "\n".join(_section(n, finding, thumbnails) for n, finding in numbered)
    held = sum(finding.passed for finding in findings)
    lines = "".join(f"<p>{escape(line)}</p>" for line in summary[1:])
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src 'self' file:; \
style-src 'self' file: 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Findings</title>
<link rel="stylesheet" href="static/css/bootstrap.min.css">
<style>{_STYLE}</style>
</head>
<body>
<div class="container-fluid p-4">
<p><a href="index.html">Data Docs</a></p>
<h1 class="h3">What validation found</h1>
<div class="alert alert-{status}"><strong>{escape(summary[0])}</strong>
{lines}</div>
{body}
<p class="text-muted">{held} of {len(findings)} checks hold: see the <a href="index.html">Data \
Docs</a>.</p>
</div>
</body>
</html>
"""


def _section(number: int, finding: Finding, thumbnails: Mapping[str, str]) -> str:
    check = finding.check
    head = (
        f'<section id="check-{number}" class="mb-4"><h2 class="h5">{_badge(finding)} '
        f"<code>{escape(check.name)}</code></h2>\n<p>Expected: {escape(check.says)}"
    )
    if finding.count:
        noun = "images" if check.table == "images" else "rows"
        head += f"; not so for <strong>{finding.count:,} of {finding.of:,} {noun}</strong>"
    if finding.problem:
        head += f"; <strong>{escape(finding.problem)}</strong>"
    if check.name == "small-objects":
        head += ". Each such object has a ring"
    head += "</p>"
    if check.table != "images":
        items = "".join(f"<li>{escape(str(row))}</li>" for row in finding.rows)
        return f"{head}<ul>{items}</ul></section>"
    figures = "\n".join(_figure(row.key, row.why, thumbnails) for row in finding.rows[:PICTURES])
    left = finding.count - min(len(finding.rows), PICTURES)
    more = f"<p>… and {left:,} more; result.json names {len(finding.rows):,} of all.</p>"
    more = more if left > 0 else ""
    return f"{head}\n{figures}{more}</section>"


def _figure(image: str, why: str, thumbnails: Mapping[str, str]) -> str:
    caption = f"<figcaption>{escape(image)}<br>{escape(why)}</figcaption>"
    if image not in thumbnails:
        return f'<figure><div class="gone">no picture: the data is not here</div>{caption}</figure>'
    name = escape(thumbnails[image])
    return (
        f'<figure><img loading="lazy" src="{THUMBNAILS}/{name}" alt="{escape(image)}">'
        f"{caption}</figure>"
    )
