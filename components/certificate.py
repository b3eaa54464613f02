"""The certificate of an audit: one HTML file to file, to send and to print."""

from __future__ import annotations

import shlex
from pathlib import Path

import segtrail
from components.certifying import graph, judgement, limits, people, samples, source
from components.certifying.part import gather
from lineage.audited import Audit
from lineage.link import BROKEN, HELD, NOT_CHECKED, WARNING
from segtrail.files import write_bytes
from segtrail.html import render_page


def write_certificate(audit: Audit, path: Path) -> None:
    """Writes the page, which needs nothing but itself; the facts are gathered now.

    What cannot be read is told as such: a certificate is written whatever is broken.

    Args:
        audit: What was found.
        path: The file; replaced if it is there.

    Raises:
        OSError: It cannot be written.
    """
    found = {link.name: link for link in audit}
    html = render_page(
        "components.certifying",
        "page.html.jinja",
        recipe=audit.recipe,
        audit=audit,
        verdict=_verdict(audit),
        state=_state(audit),
        made=f"{audit.made:%Y-%m-%d %H:%M:%S} UTC",
        by=f"segtrail {segtrail.__version__}",
        stood=audit.stood,
        audited=_audited(audit),
        command=command(audit),
        graph=graph.draw(audit.links),
        size=(graph.WIDTH, graph.HEIGHT),
        standing=limits.standing(audit),
        judgement=gather(audit, ("verdict", "evaluation", "infra validation"), judgement.read),
        signer=gather(audit, ("signature",), lambda e: people.signer(e, found["signature"])),
        trusted=gather(audit, (), lambda e: people.trusted(e.root)),
        lines=gather(audit, ("ledger",), people.lines),
        source=gather(
            audit, ("provenance", "git commit", "recipe", "data version", "data bytes"), source.read
        ),
        splits=gather(audit, ("deliveries and splits",), source.splits),
        samples=gather(audit, ("provenance",), lambda e: samples.read(e, found["provenance"])),
    )
    write_bytes(path, html.encode(errors="replace"))  # JSON may hold halves of surrogate pairs


def command(audit: Audit) -> str:
    """Returns the command that makes the same audit of the same version again."""
    words = ["segtrail", "audit", audit.recipe]
    words += ["--version", str(audit.version)] if audit.version else []
    words += ["--target", audit.target] if audit.target else []
    words += ["--folder", audit.folder] if audit.folder else []
    return shlex.join([*words, *(f"--{name}" for name, given in audit.options.items() if given)])


def _state(audit: Audit) -> str:
    """Returns the worst state of a link."""
    states = {link.state for link in audit}
    return next(state for state in (BROKEN, NOT_CHECKED, WARNING, HELD) if state in states)


def _verdict(audit: Audit) -> tuple[str, str]:
    """Returns the conclusion in a few words, and in a sentence."""
    names = {
        state: [link.name for link in audit if link.state == state]
        for state in (HELD, BROKEN, NOT_CHECKED, WARNING)
    }
    warned = names[WARNING]
    held = f"{len(names[HELD])} of {len(audit)} links hold"
    if warned:
        held += f", {len(warned)} give{'s' if len(warned) == 1 else ''} a warning"
        held += f" ({', '.join(warned)})"
    if names[BROKEN]:
        return "Broken", (
            f"The chain is broken at: {', '.join(names[BROKEN])}. {held}, "
            f"{len(names[NOT_CHECKED])} could not be checked."
        )
    if names[NOT_CHECKED]:
        missing = names[NOT_CHECKED]
        if len(missing) == len(audit):
            return "Nothing was checked", audit.links[0].says
        were = f"{len(missing)} links were" if len(missing) > 1 else f"{missing[0]} was"
        return "Incomplete", f"Nothing broken was found, but {were} not checked. {held}."
    if warned:
        return "Nothing broken, with warnings", f"Every link was checked: {held}."
    return "Every link holds", f"All {len(audit)} links were checked, and hold."


def _audited(audit: Audit) -> str:
    version = "no version, since none is known to serve"
    if audit.version:
        version = f"version {audit.version} in the model store"
    if audit.target:
        over = " over TLS, trusted as the recipe or --tls-... said" if audit.over_tls else ""
        return f"the live server {audit.target}{over}, and {version}"
    if audit.folder:
        return f"the SavedModel in {audit.folder}, and {version}; no live server was asked"
    return f"{version}; no live server was asked"
