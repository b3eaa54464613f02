"""What an audit leaves open, in sentences: what was asked, and what no audit can show."""

from __future__ import annotations

from lineage.audited import Audit
from lineage.link import HELD

_SIGNED = (
    "Who can rewrite the history can put a key of their own under trust/ as well. Compare the keys "
    "on this page with the keys as you know them, or the commits with a copy out of a forger's "
    "reach. A stolen key signs as its owner does."
)
_UNSIGNED = (
    "No signature was found to hold. Who can write to the store, the ledger and git can compute "
    "every digest anew, commit that and move the tag, and all links would hold; only a copy of the "
    "history out of their reach would show it."
)
_ALWAYS = (
    "Whether images, labels and what people stated were right before they were recorded: no digest "
    "tells that.",
    "A name is a claim unless it is marked as signed; and a signature says which key made it, not "
    "who held the key.",
    "This page is not signed. It says what one audit found when it was made; the command above "
    "repeats it.",
)


def standing(audit: Audit) -> list[str]:
    """Returns what holds or not whatever the links say."""
    live = (
        f"The live server {audit.target} was asked for its golden images alone, and at that moment "
        "only."
        if audit.target
        else "No live server was asked, so that what answers requests is this model is not shown: "
        "--target HOST:PORT asks one."
    )
    found = [live]
    if not audit.options.get("reproduce"):
        found.append(
            "The training was not run again: that this code and this data give this model is what "
            "the records say."
        )
    signed = any(link.name == "signature" and link.state == HELD for link in audit)
    return [*found, _SIGNED if signed else _UNSIGNED, *_ALWAYS]
