"""What mkdocs.yml does to the pages: links to files outside of docs/ work in the site, too.

On a code host `[the client](../serving/client.py)` opens the file. The site is docs/ alone, and
mkdocs calls that link broken. The other ways out were dearer: links to a code host's address name
one host for good and need a network; symlinks below docs/ are copies to each tool that follows
them; `include` plugins show a file where it should be linked. So each file that a page links to is
put into the site as `source/<path>.txt`, which every browser shows, and the link is turned there.
A file that does not exist is a warning, which ends `mkdocs build --strict`.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?P<before>\]\()(?P<target>\.\./[^)\s#]+)(?:#[^)\s]*)?(?=\))")
log = logging.getLogger("mkdocs.hooks.docs_hook")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turns a page's links to files outside of docs/; called by mkdocs for each page."""
    docs = Path(config.docs_dir)
    source = docs / page.file.src_uri

    def turned(link: re.Match[str]) -> str:
        path = (source.parent / link["target"]).resolve()
        if path.is_relative_to(docs):
            return link[0]  # mkdocs checks those
        if not path.is_relative_to(ROOT) or not path.is_file():
            log.warning("%s links to %s, which is no file", page.file.src_uri, link["target"])
            return link[0]
        uri = f"source/{path.relative_to(ROOT).as_posix()}.txt"
        if files.get_file_from_path(uri) is None:
            files.append(File.generated(config, uri, abs_src_path=str(path)))
        return link["before"] + posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or ".")

    return LINK.sub(turned, markdown)
