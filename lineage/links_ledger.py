"""Links about the ledger, and the warning about the working tree."""

from __future__ import annotations

from collections.abc import Sequence

from lineage import erasures, ledger, ledger_check
from lineage.evidence import Evidence
from lineage.ledger import Entry
from lineage.ledger_check import Checked
from lineage.link import Warn
from segtrail import git
from segtrail.errors import LineageError
from segtrail.words import counted
from serving import config


def chained(e: Evidence) -> str:
    """The ledger's chain verifies, continues the committed one, and agrees with what serves."""
    found = ledger_check.check(e.workspace, e.recipe)
    entries = found.entries
    mine = [x for x in entries if ledger.is_kept(x) and x.version == e.version]
    if not mine:
        raise LineageError(f"v{e.version} was never promoted, by this ledger")
    signed = _signed(e, found, mine)
    if (intent := ledger.open_intent(entries)) is not None:
        raise LineageError(
            f"the promotion of v{intent.version} was never finished: "
            f"segtrail promote --recipe {e.recipe} --recover"
        )
    if found.committed < len(entries):
        raise LineageError(
            f"line {found.committed + 1} and what follows are not committed: "
            f"segtrail promote --recipe {e.recipe} --recover"
        )
    last = ledger.champion(entries)
    serves = config.champion(e.workspace.models_config, e.recipe)
    if (last.version if last else None) != serves and not e.has_no_store:
        ends = f"v{last.version}" if last else "no version"
        raise LineageError(f"ends with {ends} as champion; v{serves} serves")
    out, shown = ledger.canary(entries), config.canary(e.workspace.models_config, e.recipe)
    if (out.version if out else None) != shown and not e.has_no_store:
        raise LineageError(
            f"tells of {f'v{out.version}' if out else 'no version'} as canary; the serving "
            f"configuration names {f'v{shown}' if shown else 'none'}"
        )
    beside = f" and v{shown} as canary" if shown else ""
    ends = f"v{serves}" if serves else "no version"
    return (
        f"{len(entries)} entries, each naming the one before; ends with {ends} as champion"
        f"{beside}{_never_promoted(mine)}{_despite(mine[-1])}{signed}"
    )


def headed(e: Evidence) -> str:
    """The ledger continues what MLflow, and git's tags of promotions, have seen of it."""
    seen, tags = ledger_check.check_heads(e.workspace, e.recipe)
    if seen is None and e.demands_signatures:
        raise LineageError("MLflow keeps no head of it")
    if seen is None:
        raise Warn("MLflow keeps no head of it, since an older segtrail wrote it last")
    at = counted(tags, "tag", "tags")
    return f"continues line {seen.seq}, which MLflow has seen, and those at {at}"


def _signed(e: Evidence, found: Checked, mine: Sequence[Entry]) -> str:
    """Returns how many entries are signed, and by whom the one by which the version came.

    Where signatures are demanded, that one must be. A rollback to it may have had to do without:
    an auditor who demands signatures finds that broken, a recipe that does is warned.
    """
    count = len(found.signers)
    came = [x for x in mine if "rollback" not in x.details]
    own = found.signers.get(came[-1].seq) if came else None
    last = found.signers.get(mine[-1].seq)
    if own is not None and last is None and e.demands_signatures:
        says = (
            f"line {mine[-1].seq}, by which v{e.version} came back, is signed by nobody, though "
            f"{own.name} signed line {came[-1].seq}, by which it first came"
        )
        raise LineageError(says) if e.signed else Warn(says)
    bare = [x for x in mine if x.seq not in found.signers]
    if own is None and e.demands_signatures:
        lines = ", ".join(str(x.seq) for x in bare)
        raise LineageError(f"line {lines}: not signed, though a signature is demanded")
    if count and e.demands_signatures and (bare := _after_the_first(found)):
        told = ", ".join(f"{x.seq} ({x.event}, by {x.by})" for x in bare)
        raise Warn(f"signed by nobody, though lines before them are: line {told}")
    if own is not None:
        return f"; {count} are signed, line {came[-1].seq} of v{e.version} by {own.name}"
    return f"; {count} are signed, none of them for v{e.version}" if count else ""


def _after_the_first(found: Checked) -> list[Entry]:
    """Returns the lines without a signature that came after somebody had begun to sign."""
    first = min(found.signers)
    return [x for x in found.entries if x.seq > first and x.seq not in found.signers]


def _never_promoted(mine: Sequence[Entry]) -> str:
    """Returns what the ledger tells of a version that may have answered, but was undone."""
    if any(x.event in (ledger.DONE, ledger.CANARY) for x in mine):
        return ""
    last = mine[-1]
    return f"; v{last.version} may have answered before entry {last.seq}, by which it {last.event}"


def _despite(last: Entry) -> str:
    """Returns who let the version serve although it learned from what was erased."""
    word = last.details.get(erasures.DETAIL)
    return f"; v{last.version} may serve {erasures.says(word)} (line {last.seq})" if word else ""


def unchanged(e: Evidence) -> str:
    """The working tree is the commit's: only a warning, since nothing stored rests on it."""
    paths = [*git.dirty_paths(e.root), *git.hidden_paths(e.root)]
    changed = git.run(e.root, "diff", "--name-only", e.commit, "--", "dvc.lock", "data.dvc")
    if found := [*paths, *changed.splitlines()]:
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        raise Warn(f"differs from what was promoted: {', '.join(found[:4])}{more}")
    return "nothing uncommitted; dvc.lock and data.dvc as promoted"
