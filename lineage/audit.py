"""The audit: walks the lineage of a served model from the server back to the delivered bytes.

It reads what is stored (model store, git objects, DVC's cache, MLflow, ledger) and writes
nothing. A digest is never believed: it is computed anew, and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lineage import (
    ledger,
    links_code,
    links_data,
    links_ledger,
    links_model,
    links_results,
    links_source,
)
from lineage.audited import Audit, stood
from lineage.evidence import Evidence
from lineage.link import BROKEN, HELD, NOT_CHECKED, Link, exit_code, look
from segtrail.errors import LineageError, SegtrailError, ServingError
from segtrail.lock import is_held
from segtrail.workspace import Workspace
from serving import config, store

if TYPE_CHECKING:
    from serving.endpoint import Endpoint
    from serving.tls import Tls

__all__ = ["Audit", "Link", "audit", "exit_code"]

Check = Callable[[Evidence], str]

_MOVES = {
    "live server", "serving configuration", "MLflow registry", "git tag", "ledger", "ledger head",
}  # fmt: skip
_LIVE, _FOLDER, _REMOTE = "live server", "given folder", "remote"
_CHAIN: tuple[tuple[str, Check], ...] = (
    ("serving configuration", links_model.configured),
    ("model store", links_model.stored),
    ("provenance", links_model.proved),
    ("signature", links_model.signed),
    ("MLflow registry", links_model.registered),
    ("MLflow model", links_model.kept),
    ("training run", links_model.trained),
    ("git commit", links_code.committed),
    ("git tag", links_source.tagged),
    ("recipe", links_source.configured),
    ("dvc.lock", links_source.locked),
    ("code", links_code.computed_with),
    ("requirements", links_source.required),
    ("data version", links_data.versioned),
    ("data bytes", links_data.rehashed),
    ("deliveries and splits", links_data.delivered),
    ("validation", links_results.validated),
    ("evaluation", links_results.evaluated),
    ("verdict", links_results.judged),
    ("infra validation", links_results.served),
    ("approvals", links_results.approved),
    ("ledger", links_ledger.chained),
    ("ledger head", links_ledger.headed),
    ("working tree", links_ledger.unchanged),
)


def audit(
    workspace: Workspace,
    name: str,
    *,
    version: int | None = None,
    target: str | None = None,
    tls: Tls | None = None,
    folder: Path | None = None,
    quick: bool = False,
    fetch: bool = False,
    signed: bool = False,
    more: Sequence[tuple[str, Check]] = (),
) -> Audit:
    """Returns every link of the lineage of one served model. Never raises for a broken one.

    Args:
        workspace: The workspace.
        name: The recipe.
        version: Which version; by default the one that serves.
        target: `host:port` of a live server to start from; by default the serving
            configuration.
        tls: How to trust that server; None: in clear.
        folder: A SavedModel somewhere else, such as a copy that was deployed by hand: of which
            version it is, is told by its digest.
        quick: Do not re-hash the data; that link is then `not checked`.
        fetch: Bring what DVC's cache lacks from the remote first; nothing else is written.
        signed: What is not signed is broken, whatever the recipe says.
        more: Links that come last, by name, of checks that lineage has no hands for.
    """
    found = partial(
        Audit,
        recipe=name,
        target=target,
        folder=str(folder) if folder else None,
        options={"quick": quick, "fetch": fetch, "signed": signed, "reproduce": bool(more)},
        over_tls=tls is not None,
        stood=stood(workspace.root),
    )
    chain = (*_CHAIN, *more)
    links: list[Link] = []
    endpoint = None
    if target:
        from serving.endpoint import Endpoint

        endpoint = Endpoint(target, tls)
    if folder is not None:

        def given(folder: Path = folder) -> str:
            nonlocal version
            version, says = links_model.elsewhere(workspace, name, folder, version)
            return says

        links.append(look(_FOLDER, given))
        if links[0].state == BROKEN:
            links += (Link(each, NOT_CHECKED, "of which model?") for each, _ in chain)
            return found(links, version=None)
    if not target and not _was_promoted(workspace, name, version):
        says = f"no version of {name} was ever promoted: segtrail retrain --recipe {name}"
        return found([Link(each, NOT_CHECKED, says) for each, _ in chain], version=None)
    if version is None and not target:
        version = _last(workspace, name)
    if version is None:
        try:
            version = _serving(workspace, name, endpoint)
        except Exception as e:
            says = e.message if isinstance(e, SegtrailError) else str(e)
            links.append(Link(_LIVE if target else _CHAIN[0][0], BROKEN, says))
            version = _configured(workspace, name) if target else None
    if version is None:
        done = {link.name for link in links}
        rest = (each for each, _ in chain if each not in done)
        links += (Link(each, NOT_CHECKED, "no version is known to serve") for each in rest)
        return found(links, version=None)
    evidence = Evidence(workspace, name, version, quick=quick, signed=signed)
    if endpoint and not any(link.name == _LIVE for link in links):
        links.append(look(_LIVE, lambda: links_model.live(evidence, endpoint)))
    if fetch:
        links.append(look(_REMOTE, lambda: links_data.fetched(evidence)))
        evidence.fetched, evidence.way_to_fetch = links[-1].state == HELD, ""
    moving = is_held(workspace.promotion_lock)
    links += (look(each, partial(check, evidence)) for each, check in chain)
    if moving or is_held(workspace.promotion_lock):
        links = [_in_motion(link) for link in links]
    return found(links, version=version, evidence=evidence)


def _in_motion(link: Link) -> Link:
    """Takes back that what a promotion is just changing is broken."""
    if link.state != BROKEN or link.name not in _MOVES:
        return link
    says = f"a promotion or rollback is under way, ask again when it has ended: {link.says}"
    return replace(link, state=NOT_CHECKED, says=says)


def _serving(workspace: Workspace, name: str, endpoint: Endpoint | None) -> int:
    if endpoint:
        return links_model.served_version(endpoint, name)
    found = config.champion(workspace.models_config, name)
    if found is None:
        raise LineageError(f"{workspace.models_config}: names no version of {name}")
    return found


def _was_promoted(workspace: Workspace, name: str, version: int | None) -> bool:
    """Whether anything tells of a promotion; a ledger that cannot be read tells of one.

    Or of a version that is asked for, and may have answered without one.
    """
    path = workspace.ledger(name)
    try:
        entries = ledger.read(path)
    except SegtrailError:
        return True
    undone = {e.version for e in entries if ledger.is_kept(e)}  # kept, though never promoted
    done = version in undone or any(entry.event == ledger.DONE for entry in entries)
    return done or bool(set(store.versions(workspace.models, name)) - undone)


def _last(workspace: Workspace, name: str) -> int | None:
    """Returns what was retired last; or, in a clone without a store, the champion by the ledger.

    None: neither, so that the serving configuration says which version it is.
    """
    try:
        entries = ledger.read(workspace.ledger(name))
    except SegtrailError:
        return None
    is_clone = not workspace.models_config.exists() and not workspace.models.exists()
    entry = ledger.retirement(entries) or (ledger.champion(entries) if is_clone else None)
    return entry.version if entry else None


def _configured(workspace: Workspace, name: str) -> int | None:
    try:
        return config.champion(workspace.models_config, name)
    except ServingError:
        return None
