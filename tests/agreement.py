"""Whether store, configuration, registry, tags and ledger of a recipe say the same."""

from __future__ import annotations

from collections.abc import Iterator

from components import registry
from lineage import ledger
from segtrail import git, saved_model
from segtrail.workspace import Workspace
from serving import config, store

SERVED = (ledger.DONE, ledger.CANARY)  # the others that are kept may have


def problems(workspace: Workspace, recipe: str) -> list[str]:
    """Returns where they contradict each other, or where something half-way is left."""
    return list(_problems(workspace, recipe))


def _problems(workspace: Workspace, recipe: str) -> Iterator[str]:
    path = workspace.ledger(recipe)
    yield from ledger.verify(path) if path.exists() else []
    entries = ledger.read(path)
    if ledger.open_intent(entries) is not None:
        yield "the ledger has an open intent"
    champion, canary = ledger.champion(entries), ledger.canary(entries)
    serves = champion.version if champion else None
    shown = canary.version if canary else None
    models = config.read(workspace.models_config)
    base = workspace.models / recipe
    wanted = {
        name: (base, (version,), labels)
        for name, version, labels in (
            (recipe, serves, {"stable": serves}), (f"{recipe}-canary", shown, {}),
        )
        if version is not None
    }  # fmt: skip
    found = {name: (m.base_path, m.versions, dict(m.labels)) for name, m in models.items()}
    mine = {name: said for name, said in found.items() if name in (recipe, f"{recipe}-canary")}
    if mine != wanted:
        yield f"models.config says {mine}; the ledger {wanted}"
    for alias, version in ((registry.champion, serves), (registry.canary, shown)):
        if (named := alias(workspace, recipe)) != version:
            yield f"MLflow's alias {alias.__name__} names {named}; the ledger {version}"
    stored = set(store.versions(workspace.models, recipe))
    if (once := {e.version for e in entries if ledger.is_kept(e)}) != stored:
        yield f"the store holds {sorted(stored)}; kept should be {sorted(map(str, once))}"
    for entry in entries:
        if ledger.is_kept(entry):
            digest = saved_model.digest(base / str(entry.version))
            if digest != entry.model_digest:
                yield f"v{entry.version} is {digest}; entry {entry.seq} names {entry.model_digest}"
    promoted = {e.version for e in entries if e.event == ledger.DONE}
    for version in range(1, max([0, *stored]) + 3):
        tagged = git.tag_target(workspace.root, f"{recipe}/v{version}")
        if (tagged is not None) != (version in promoted):
            yield f"the tag of v{version} is on {tagged}; promoted were {sorted(promoted)}"
    if dirty := git.run(workspace.root, "status", "--porcelain"):
        yield f"not committed: {dirty}"
    folders = (workspace.models, workspace.models_config.parent, path.parent)
    for left in (each for folder in folders for each in folder.glob(".*")):
        yield f"left over: {left}"
