"""Makes Great Expectations' Data Docs look the same without a network."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
_STATIC = "static"
_KEPT_IMAGES = ("favicon.ico", "logo-long.png")

# By the name that a page asks for; a file that is not here is left out of the page.
_LOCAL = {
    "bootstrap.min.css": ["css/bootstrap.min.css"],
    "bootstrap-table.min.css": ["css/bootstrap-table.min.css"],
    "bootstrap-table-filter-control.min.css": ["css/bootstrap-table-filter-control.min.css"],
    "bootstrap-table-filter-control.css": ["css/bootstrap-table-filter-control.min.css"],
    "bootstrap-datepicker.min.css": ["css/bootstrap-datepicker.min.css"],
    "all.min.css": ["css/fontawesome.min.css", "css/solid.min.css"],
    "jquery-3.7.1.min.js": ["js/jquery.min.js"],
    "popper.min.js": ["js/popper.min.js"],
    "bootstrap.min.js": ["js/bootstrap.min.js"],
    "bootstrap-table.min.js": ["js/bootstrap-table.min.js"],
    "bootstrap-table-filter-control.min.js": ["js/bootstrap-table-filter-control.min.js"],
    "bootstrap-datepicker.min.js": ["js/bootstrap-datepicker.min.js"],
}
_ICON = re.compile(r'(<link rel="shortcut icon" href=)"[^"]*"')
_REMOTE = r'"(?:https?:)?//[^"]*?([^"/?]+)(?:\?[^"]*)?"'
_SCRIPT = re.compile(rf"<script\b[^>]*\bsrc={_REMOTE}[^>]*></script>")
_STYLE = re.compile(rf"<link\b[^>]*\bhref={_REMOTE}[^>]*>")
_IMAGE = re.compile(rf"(<img\b[^>]*?\bsrc=){_REMOTE}")
_URL = re.compile(r"""url\(\s*['"]?(?:https?:)?//[^)]*\)""")
_FOOTER = re.compile(r"<footer\b.*?</footer>", re.DOTALL)
# Nothing is loaded from, or sent to, anywhere else, whatever a page may hold.
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "img-src 'self' file: data:; font-src 'self' file: data:; "
    "style-src 'self' file: 'unsafe-inline'; script-src 'self' file: 'unsafe-inline'\">"
)


def make_offline(site: Path) -> None:
    """Puts assets beside the pages of a site and makes the pages use them, and nothing remote.

    Args:
        site: The folder of Data Docs, as Great Expectations wrote it.
    """
    for page in site.rglob("*.html"):
        root = "../" * len(page.relative_to(site).parents[0].parts)
        page.write_text(rewritten(page.read_text(encoding="utf-8"), root), encoding="utf-8")
    static = site / _STATIC
    for path in [*static.rglob("*")]:
        if path.is_file() and path.name not in _KEPT_IMAGES:
            path.unlink()
    for path in sorted(static.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    shutil.copytree(ASSETS, static, dirs_exist_ok=True)


def rewritten(page: str, root: str) -> str:
    """Returns a page that loads what it needs from `<root>static/`.

    Args:
        page: HTML.
        root: How to get from the page to the site's root: empty, or `../` some times.
    """

    def tags(name: str) -> str:
        paths = (f"{root}{_STATIC}/{path}" for path in _LOCAL.get(name, []))
        return "\n    ".join(
            f'<link rel="stylesheet" href="{path}">'
            if path.endswith(".css")
            else f'<script src="{path}"></script>'
            for path in paths
        )

    page = _SCRIPT.sub(lambda found: tags(found[1]), page)
    page = _STYLE.sub(lambda found: tags(found[1]), page)
    page = _IMAGE.sub(lambda found: f'{found[1]}"{root}{_STATIC}/images/{found[2]}"', page)
    page = _ICON.sub(rf'\1"{root}{_STATIC}/images/favicon.ico"', page)  # theirs is one level off
    page = _URL.sub("none", page)
    page = _FOOTER.sub("", page)
    return page.replace("<head>", f"<head>\n    {_POLICY}", 1)
