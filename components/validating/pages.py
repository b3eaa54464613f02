"""Puts what was found into the Data Docs: in words, with pictures of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from components.validating.running import Finding, marker
from segtrail.files import write_text

PAGE, THUMBNAILS = "findings.html", "thumbnails"
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
    failed = any(not f.passed and f.check.severity == "error" for f in findings)
    write_text(site / PAGE, _page(findings, thumbnails, summary, failed))
    for path in site.rglob("*.html"):
        page, root = path.read_text(encoding="utf-8"), ""
        if path.name == PAGE:
            continue
        root = "../" * len(path.relative_to(site).parents[0].parts)
        for number, finding in enumerate(findings):
            page = page.replace(marker(number), _in_table(number, finding, thumbnails, root))
        page = page.replace("<body>", f"<body>\n{_banner(summary, failed, root)}", 1)
        write_text(path, page)


def _banner(summary: Sequence[str], failed: bool, root: str) -> str:
    kind = "danger" if failed else "success"
    more = " ".join(map(escape, summary[1:]))
    return (
        f'<div class="alert alert-{kind} m-0 rounded-0"><strong>{escape(summary[0])}</strong> '
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
    findings: Sequence[Finding], thumbnails: Mapping[str, str], summary: Sequence[str], failed: bool
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
<div class="alert alert-{"danger" if failed else "success"}"><strong>{escape(summary[0])}</strong>
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
        f"<code>{escape(check.name)}</code></h2>\n<p>{escape(check.says)}"
    )
    if finding.count:
        noun = "images" if check.table == "images" else "rows"
        head += f": <strong>{finding.count:,} of {finding.of:,} {noun}</strong> are not so"
    if finding.problem:
        head += f": <strong>{escape(finding.problem)}</strong>"
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
