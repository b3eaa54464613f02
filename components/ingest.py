"""Ingestion: checks a delivery, lands it in `data/<dataset>`, records it in DVC and git."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from components.ingestion import checks, deliveries, dsb2018, splits, versioning
from components.ingestion.archive import Source, open_source
from components.ingestion.clusters import cluster
from components.ingestion.landing import Landing
from components.ingestion.problems import Problems
from components.ingestion.synthetic import generate
from segtrail import git, png, telemetry
from segtrail.files import sha256_bytes
from segtrail.lock import flow_lock
from segtrail.params import load_dataset
from segtrail.progress import say, track
from segtrail.recipe import Dataset
from segtrail.workspace import Workspace

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Delivery:
    """What one ingestion did.

    Attributes:
        dataset: Its name.
        source: The name of the archive or folder.
        source_sha256: Its digest.
        added: Ids of new images.
        replaced: Ids of images with other content now; they keep their split.
        images: How many the dataset has now.
        commit: The git commit that records it; None if nothing changed.
    """

    dataset: str
    source: str
    source_sha256: str
    added: tuple[str, ...]
    replaced: tuple[str, ...]
    images: int
    commit: str | None = None

    @property
    def unchanged(self) -> bool:
        """Whether all of it was there already."""
        return not self.added and not self.replaced


def ingest(
    workspace: Workspace,
    dataset: str,
    source: Path | str,
    *,
    by: str | None = None,
    licence: str | None = None,
) -> Delivery:
    """Lands one delivery, or refuses all of it.

    Adds and replaces images; takes none away. The same delivery again changes nothing. An
    ingestion that was interrupted is finished first. Waits until no flow runs: the data of a
    candidate that is being judged must not change.

    Args:
        workspace: In git and DVC.
        dataset: A name under `datasets:` in `params.yaml`.
        source: A zip archive or a folder in the dataset's layout, or the word `synthetic`.
        by: Who delivers; by default git's identity, and `segtrail` for synthetic images.
        licence: By default the dataset's in `params.yaml`.

    Raises:
        ConfigError: No such dataset.
        WorkspaceError: No git or DVC, `data/` was changed by hand or cannot be restored, or
            another ingestion is running.
        DataError: The source is not what it should be; all problems together.
    """
    telemetry.switch_off()
    settings = load_dataset(workspace, dataset)
    versioning.require_repositories(workspace)
    landing = Landing(workspace)
    with landing.lock(), flow_lock(workspace, say):
        if unfinished := landing.resume(lambda message: versioning.record(workspace, message)):
            say(f"finished the interrupted ingestion of {unfinished.dataset}")
        versioning.restore(workspace)
        versioning.require_unchanged(workspace)
        if source == SYNTHETIC:
            source, by = _generated(landing), by or git.FALLBACK_NAME
        try:
            with open_source(Path(source)) as opened:
                return _deliver(
                    workspace,
                    dataset,
                    opened,
                    landing,
                    settings,
                    by or git.identity(workspace.root),
                    licence or settings.licence,
                )
        finally:
            shutil.rmtree(_generated_folder(landing), ignore_errors=True)
            if not landing.journal.exists():
                landing.abandon()


def _deliver(
    workspace: Workspace,
    dataset: str,
    source: Source,
    landing: Landing,
    settings: Dataset,
    by: str,
    licence: str,
) -> Delivery:
    folder = workspace.dataset(dataset)
    ledger = splits.read(folder / splits.LEDGER)
    before = deliveries.read(folder / deliveries.DELIVERIES)
    sha256 = source.sha256()
    delivery = Delivery(dataset, source.name, sha256, (), (), len(ledger))
    if before and before[-1].source_sha256 == sha256:
        say(f"{source.name}: the last delivery of {dataset} already; nothing changes")
        return delivery

    landing.start()
    arrived, shared = _read_all(source, ledger, landing)
    problems = Problems(source.name)
    extended = splits.extend(ledger, arrived, settings.splits, problems)
    problems.raise_if_any()
    delivery = replace(
        delivery,
        added=tuple(row.image for row in arrived if row.image not in ledger),
        replaced=tuple(row.image for row in arrived if row.image in ledger),
        images=len(extended),
    )
    if delivery.unchanged:
        say(f"{source.name}: all its images are in {dataset} already; nothing changes")
        return delivery

    changed = {row.image for row in arrived}
    for image in ledger:
        if image not in changed:
            landing.keep(dataset, f"images/{image}.png")
            landing.keep(dataset, f"masks/{image}.png")
    row = deliveries.Row(
        len(before) + 1, source.name, sha256, by, licence,
        len(delivery.added), len(delivery.replaced),
    )  # fmt: skip
    landing.stage(splits.LEDGER, splits.to_csv(extended).encode())
    landing.stage(deliveries.DELIVERIES, deliveries.to_csv([*before, row]).encode())
    commit = landing.commit(
        dataset, _message(dataset, row), lambda message: versioning.record(workspace, message)
    )
    if shared:
        say(
            f"{len(shared)} image{'' if len(shared) == 1 else 's'} with overlaps of at most "
            f"{max(shared)} pixel{'' if max(shared) == 1 else 's'}; the later mask won"
        )
    return replace(delivery, commit=commit)


def _read_all(
    source: Source, ledger: splits.Ledger, landing: Landing
) -> tuple[list[splits.Row], list[int]]:
    """Checks all images and stages those that are new or other than in the ledger.

    Returns:
        Their rows; and of those whose masks overlap, the most pixels that a mask shares.
    """
    problems = Problems(source.name)
    items = dsb2018.find_items(source.names, problems)
    arrived, shared = [], []
    for item in track(items, f"checking the images of {source.name}"):
        checked = checks.read_item(source, item, problems)
        if checked is None:
            continue
        mask = png.encode(checked.labels)
        row = splits.Row(
            image=checked.id,
            sha256=sha256_bytes(checked.image),
            mask_sha256=sha256_bytes(mask),
            group="",
            cluster=cluster(checked.pixels),
        )
        old = ledger.get(row.image)
        if old and (old.sha256, old.mask_sha256) == (row.sha256, row.mask_sha256):
            continue
        if not problems:  # else nothing will land
            landing.stage(f"images/{row.image}.png", checked.image)
            landing.stage(f"masks/{row.image}.png", mask)
        arrived.append(row)
        if checked.shared:
            shared.append(checked.shared)
    problems.raise_if_any()
    return arrived, shared


def _generated_folder(landing: Landing) -> Path:
    return landing.folder / SYNTHETIC


def _generated(landing: Landing) -> Path:
    folder = _generated_folder(landing)
    shutil.rmtree(folder, ignore_errors=True)
    generate(folder)
    return folder


def _message(dataset: str, row: deliveries.Row) -> str:
    def images(count: int) -> str:
        return f"{count} image{'' if count == 1 else 's'}"

    return (
        f"Ingest {dataset}: {images(row.added)} added, {row.replaced} replaced\n\n"
        f"Delivery {row.delivery}: {row.source} (sha256 {row.source_sha256[:12]})\n"
        f"By: {row.by}\n"
        f"Licence: {row.licence}\n"
    )
