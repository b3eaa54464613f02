"""HTML pages that need nothing but themselves."""

from __future__ import annotations

import base64
from typing import Any


def render_page(package: str, template: str, **context: Any) -> str:
    """Returns a page; whatever the context holds is escaped.

    Args:
        package: Beside whose modules the template is.
        template: A Jinja file.
        context: What the template names; a name that is not given is an error.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**context)


def data_uri(kind: str, content: bytes) -> str:
    """Returns a file as a data URI.

    Args:
        kind: Of image: `png`, `jpeg` or `svg+xml`.
        content: The file.
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
