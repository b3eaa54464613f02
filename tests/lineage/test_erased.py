"""An audit that needs erased bytes says so, and believes no other absence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import miniature
import pytest

from components.ingestion import erasure, erasure_plan, versioning
from components.ingestion.history import data_versions
from components.ingestion.object_stores import open_stores
from components.ingestion.remains import remains
from lineage import data_version, dvc_files
from lineage.audit import audit
from lineage.link import BROKEN, NOT_CHECKED, Link
from segtrail import deliveries, git, split_ledger, tombstones
from segtrail.errors import EXIT_AUDIT_BROKEN, EXIT_AUDIT_INCOMPLETE, LineageError
from segtrail.workspace import Workspace

DATASET, IMAGE = "tiny", "two"


def bury(workspace: Workspace, **changes: object) -> list[tombstones.Row]:
    """Takes the test image out of `data/`, with a tombstone, as an erasure does; commits."""
    folder = workspace.dataset(DATASET)
    with open_stores(workspace) as stores:
        rows = erasure_plan.order(
            DATASET, [IMAGE], [], data_versions(workspace, stores.read), stores, delivery=4,
            reason="consent withdrawn", by="Ada",
        )  # fmt: skip
    rows = [replace(row, **changes) for row in rows]  # type: ignore[arg-type]
    (folder / "images" / f"{IMAGE}.png").unlink()
    ledger = split_ledger.read(folder / "splits.csv")
    ledger[IMAGE] = replace(ledger[IMAGE], removed="4")
    before = deliveries.read(folder / "deliveries.csv")
    for name, text in (
        ("splits.csv", split_ledger.to_csv(ledger)),
        ("deliveries.csv", deliveries.to_csv([*before, replace(before[0], delivery=4)])),
        ("tombstones.csv", tombstones.to_csv(rows)),
    ):
        (folder / name).unlink(missing_ok=True)  # it may be a link into the cache
        (folder / name).write_text(text)
    versioning.record(workspace, "Erase")
    return rows


def links(workspace: Workspace) -> dict[str, Link]:
    return {link.name: link for link in audit(workspace, "demo")}


def test_the_audit_names_what_was_erased_and_all_else_holds(promoted: Workspace) -> None:
    before = {name: link.state for name, link in links(promoted).items()}
    bury(promoted)
    purged = erasure.purge(promoted, DATASET)
    assert purged.deleted["DVC's cache"] > 0
    found = links(promoted)
    data = found["data bytes"]
    assert data.state == NOT_CHECKED
    assert data.says.startswith(
        "1 image erased (consent withdrawn, delivery 4): their bytes cannot be re-hashed; "
        "5 of 6 files hold; with the digests that the tombstones name, the root is "
    )
    changed = {name for name, link in found.items() if link.state != before[name]}
    assert changed == {"data bytes"}
    with open_stores(promoted) as stores:
        said = "\n".join(remains(promoted, purged.plan, stores))
    assert "demo v1 (serves)" in said
    assert f"serving/models/demo/1/assets.extra/segtrail/golden/{IMAGE}.png" in said


def test_what_was_erased_is_not_fetched_and_what_else_is_missing_is_lost(
    promoted: Workspace, tmp_path: Path
) -> None:
    """A remote that was not purged must not bring back what was erased."""
    miniature.dvc(promoted.root, "remote", "add", "-q", "--default", "store", str(tmp_path / "s"))
    miniature.dvc(promoted.root, "push", "--quiet", "--all-commits")
    bury(promoted)
    erasure.purge(promoted, DATASET)
    commit = git.run(promoted.root, "rev-list", "-n", "1", "demo/v1")
    files = data_version.tree(promoted.root, commit, DATASET)
    cache = dvc_files.cache_folder(promoted.root)
    dvc_files.object_path(cache, files["images/one.png"]).unlink()
    data = links(promoted)["data bytes"]
    assert data.state == NOT_CHECKED
    assert "1 of 6 files are not in DVC's cache, such as images/one.png" in data.says
    found = {link.name: link for link in audit(promoted, "demo", fetch=True)}
    assert found["remote"].says == "1 files came from the remote"
    assert found["data bytes"].says.startswith("1 image erased (consent withdrawn")


def test_a_tombstone_with_another_digest_breaks_the_link(promoted: Workspace) -> None:
    """Whoever hides a change of the data behind a tombstone must know the root's preimage."""
    bury(promoted, sha256="0" * 64)
    erasure.purge(promoted, DATASET)
    data = links(promoted)["data bytes"]
    assert data.state == BROKEN
    assert "the SHA-256 root of the data" in data.says


def test_a_tombstone_without_a_digest_leaves_the_root_unchecked(promoted: Workspace) -> None:
    bury(promoted, sha256="")
    erasure.purge(promoted, DATASET)
    data = links(promoted)["data bytes"]
    assert data.state == NOT_CHECKED
    assert "does not know the digest" in data.says


def test_a_tombstone_counts_once_it_is_committed(promoted: Workspace) -> None:
    """One in the working tree alone excuses nothing."""
    root = promoted.root
    commit = git.run(root, "rev-list", "-n", "1", "demo/v1")
    head = git.head(root)
    bury(promoted)
    erasure.purge(promoted, DATASET)
    git.run(root, "reset", "--quiet", "--soft", head)
    data = links(promoted)["data bytes"]
    assert data.state == NOT_CHECKED
    assert "1 of 6 files are not in DVC's cache, such as images/two.png" in data.says
    with pytest.raises(LineageError, match="not in DVC's cache"):
        data_version.at_commit(root, commit, DATASET)


def test_a_commit_with_erased_files_is_no_data_version_to_train_on(promoted: Workspace) -> None:
    old = git.head(promoted.root)
    bury(promoted)
    erasure.purge(promoted, DATASET)
    with pytest.raises(LineageError, match="1 of its files were erased since"):
        data_version.at_commit(promoted.root, old, DATASET)
    now = data_version.at_commit(promoted.root, "HEAD", DATASET)
    assert f"images/{IMAGE}.png" not in now.files


def test_exit_codes(promoted: Workspace, tmp_path: Path) -> None:
    from lineage.link import exit_code

    bury(promoted)
    erasure.purge(promoted, DATASET)
    assert exit_code(links(promoted).values()) == EXIT_AUDIT_INCOMPLETE
    shutil.rmtree(promoted.root / ".dvc/cache")  # as in a clone that never fetched
    assert exit_code(links(promoted).values()) == EXIT_AUDIT_INCOMPLETE
    assert exit_code(audit(promoted, "demo", fetch=True)) == EXIT_AUDIT_BROKEN
