"""Ingestion: checks a delivery, lands it in `data/<dataset>`, records it in DVC and git."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from components.ingestion import clashes, intake, quarantine
from components.ingestion.adapter import Adapter, Item, adapter_for
from components.ingestion.archive import Source, open_source
from components.ingestion.dealing import Arrival, deal
from components.ingestion.delivery import Delivery, land, mark_removed, one_line, still_there
from components.ingestion.landing import Landing
from components.ingestion.problems import Problems
from components.ingestion.regrouping import regroup
from components.ingestion.session import writing
from components.ingestion.synthetic import generate
from segtrail import deliveries, git, mask_meaning, split_ledger, telemetry, tombstones
from segtrail.errors import ConfigError, DataError
from segtrail.images import decode_image
from segtrail.params import load_dataset
from segtrail.progress import say
from segtrail.settings.dataset import Dataset
from segtrail.split_ledger import Ledger
from segtrail.workspace import Workspace

SYNTHETIC = "synthetic"
OnBad = Literal["reject", "quarantine"]
_NOTES = 10  # shown


@dataclass(frozen=True)
class _Order:
    """What is asked of one ingestion: see `ingest`."""

    dataset: str
    settings: Dataset
    by: str
    licence: str
    replace: bool
    remove: tuple[str, ...]
    on_bad: OnBad


def ingest(
    workspace: Workspace,
    dataset: str,
    source: Path | str | None = None,
    *,
    by: str | None = None,
    licence: str | None = None,
    replace: bool = False,
    remove: Sequence[str] = (),
    on_bad: OnBad = "reject",
) -> Delivery:
    """Lands one delivery. The same delivery again changes nothing.

    Args:
        workspace: In git and DVC.
        dataset: A name under `datasets:` in `params.yaml`.
        source: A zip or tar archive or a folder in the layout of the dataset's adapter, or the
            word `synthetic`; None if images are only to be removed.
        by: Who delivers; by default git's identity, and `segtrail` for synthetic images.
        licence: By default the dataset's in `params.yaml`, or else the publisher's.
        replace: Take in images whose content or mask differs from what is there, and images
            that were removed before. Without it a delivery with other content is refused, and
            removed images are left out.
        remove: Ids of images to take away. They keep their place in the split ledger.
        on_bad: `reject`: nothing lands, and one report names every bad file; `quarantine`: the
            good images land and the bad ones go to `quarantine/<dataset>/`, with the report.

    Raises:
        ConfigError: No such dataset or adapter, no licence known, or `by` or `licence` is not
            one line.
        WorkspaceError: See `components.ingestion.session.writing`.
        DataError: The source is not what it should be; all problems together.
    """
    telemetry.switch_off()
    settings = load_dataset(workspace, dataset)
    adapter = adapter_for(settings)
    if not (licence := licence or settings.licence or adapter.licence):
        raise ConfigError(
            f"{dataset}: under which licence? Neither params.yaml nor the adapter says it",
            f"--licence CC-BY-4.0; or datasets.{dataset}.licence in params.yaml",
        )
    licence = one_line("licence", licence, "CC-BY-4.0")
    if by is not None:
        by = one_line("by", by, "Core facility")
    else:
        by = git.FALLBACK_NAME if source == SYNTHETIC else git.identity(workspace.root)
    removed = tuple(dict.fromkeys(remove))
    order = _Order(dataset, settings, by, licence, replace, removed, on_bad)
    mask_meaning.require_same(workspace.dataset(dataset), dataset, settings)
    with writing(workspace) as landing:
        order = _still_there(order, landing)
        if source is None:
            return _remove_only(order, landing)
        path = _generated(landing) if source == SYNTHETIC else Path(source)
        with open_source(path, settings.limits, landing.scratch) as opened:
            return _deliver(order, adapter, opened, landing)


def _deliver(order: _Order, adapter: Adapter, source: Source, landing: Landing) -> Delivery:
    folder = landing.workspace.dataset(order.dataset)
    ledger = _remaining(order, landing)
    sha256 = source.sha256()
    old = {row.image for row in split_ledger.present(ledger.values())}
    delivery = Delivery(order.dataset, source.name, sha256, removed=order.remove, images=len(old))
    landing.start()
    problems = Problems(source.name)
    items = [item for item in adapter.find(source, problems) if item.id not in order.remove]
    clashes.refuse_ids(items, ledger, problems)
    if not items:
        problems.raise_if_any()
    graves = tombstones.read(folder / tombstones.TOMBSTONES)
    erased = {row.sha256 for row in graves if row.sha256}
    taken = intake.read_all(
        source, items, adapter, ledger, problems, landing.stage,
        erased=erased, erased_ids={row.image for row in graves}, bring_back=order.replace,
    )  # fmt: skip
    if not order.replace:
        clashes.refuse_replacing(taken, ledger, problems)
    out = _settle_problems(landing, order, source, sha256, items, erased, problems)
    arrived = [a for a in taken.arrivals if a.row.image not in out]
    for image in out:
        landing.drop(f"images/{image}.png")
        landing.drop(f"masks/{image}.png")
    new = {a.row.image for a in arrived}
    ledger, regrouped = regroup(ledger, (i for i in items if i.id not in new | out))
    delivery = replace(
        delivery,
        added=tuple(sorted(new - old)),
        replaced=tuple(sorted(new & old)),
        regrouped=tuple(regrouped),
        quarantined=tuple(sorted(out)),
    )
    _tell(taken, order.dataset)
    if delivery.unchanged:
        rest = "no other image is new" if out else "all its images are there already"
        say(f"{source.name}: {rest}; nothing changes in {order.dataset}")
        return delivery
    return _deal_and_land(order, landing, delivery, ledger, taken_in=arrived, adapter=adapter)


def _remove_only(order: _Order, landing: Landing) -> Delivery:
    ledger = _remaining(order, landing)
    delivery = Delivery(order.dataset, "", "", removed=order.remove)
    if delivery.unchanged:
        there = split_ledger.present(ledger.values())
        return replace(delivery, images=len(there))
    landing.start()
    return _deal_and_land(
        order, landing, delivery, ledger, taken_in=[], adapter=adapter_for(order.settings)
    )


def _still_there(order: _Order, landing: Landing) -> _Order:
    """Returns the order without images to remove that were removed before."""
    ledger = split_ledger.read(landing.workspace.dataset(order.dataset) / split_ledger.LEDGER)
    return replace(order, remove=still_there(order.dataset, ledger, order.remove))


def _remaining(order: _Order, landing: Landing) -> Ledger:
    """Returns the ledger with the images marked that the delivery takes away."""
    ledger = split_ledger.read(landing.workspace.dataset(order.dataset) / split_ledger.LEDGER)
    return mark_removed(ledger, order.remove, _number(order, landing))


def _number(order: _Order, landing: Landing) -> int:
    """Returns the number that the delivery will have."""
    folder = landing.workspace.dataset(order.dataset)
    return len(deliveries.read(folder / deliveries.DELIVERIES)) + 1


def _deal_and_land(
    order: _Order,
    landing: Landing,
    delivery: Delivery,
    ledger: Ledger,
    *,
    taken_in: Sequence[Arrival],
    adapter: Adapter,
) -> Delivery:
    folder = landing.workspace.dataset(order.dataset)
    problems = Problems(delivery.source or order.dataset)
    if not taken_in and not split_ledger.present(ledger.values()):
        raise DataError(
            f"{order.dataset}: to remove all {len(order.remove)} images would leave none",
            "keep one, or give the dataset up: take it out of params.yaml",
        )

    def pixels(image: str) -> npt.NDArray[Any]:
        name = f"images/{image}.png"
        return decode_image(landing.read(order.dataset, name), name)

    dealt = deal(
        folder, ledger, intake.numbered(taken_in, _number(order, landing)), order.settings.splits,
        groups_known=adapter.groups_known, pixels=pixels, problems=problems,
        regrouped=delivery.regrouped,
    )  # fmt: skip
    problems.raise_if_any()
    if leaks := dealt.leaks:
        say(
            f"warning: {len(leaks)} pair{'' if len(leaks) == 1 else 's'} of images in different "
            "splits look alike or are of one group; no image moves to another split, so remove "
            f"those of one side: segtrail data leaks --dataset {order.dataset}"
        )
    if delivery.source:
        say(f"delivered by {order.by} under {order.licence} (--by, --licence say otherwise)")
    files = dealt.files | {mask_meaning.MEANING: mask_meaning.encode(order.settings)}
    done = land(landing, delivery, dealt.ledger, files, by=order.by, licence=order.licence)
    params = landing.workspace.params.name
    if git.run(landing.workspace.root, "status", "--porcelain", "--", params):
        say(
            f"note: {params} is not committed, and this data version may rest on it: "
            f"git commit {params}"
        )
    return done


def _settle_problems(
    landing: Landing,
    order: _Order,
    source: Source,
    sha256: str,
    items: Sequence[Item],
    erased: Collection[str],
    problems: Problems,
) -> set[str]:
    """Returns the images that stay out.

    Raises:
        DataError: There are problems, and nothing may land because of them.
    """
    kept = quarantine.folder_for(landing.workspace, order.dataset, source, sha256)
    if not problems:
        quarantine.forget(kept)
        return set()
    if order.on_bad == "reject":
        problems.raise_if_any()
    out = set(quarantine.keep(kept, source, sha256, items, erased, problems))
    say(
        f"{len(out)} image{'' if len(out) == 1 else 's'} quarantined, with the reasons: "
        f"{kept.relative_to(landing.workspace.root)}/{quarantine.PAGE}"
    )
    return out


def _tell(taken: intake.Intake, dataset: str) -> None:
    if shared := taken.overlaps:
        say(
            f"{len(shared)} image{'' if len(shared) == 1 else 's'} with overlaps of at most "
            f"{max(shared)} pixel{'' if max(shared) == 1 else 's'}; the later mask won"
        )
    for note in taken.notes[:_NOTES]:
        say(f"mended: {note}")
    if len(taken.notes) > _NOTES:
        say(f"… and {len(taken.notes) - _NOTES} more masks mended")
    for held, why, way in (
        (taken.held_back, "removed", "; --replace takes them again"),
        (taken.erased, "erased", "; another image needs another id"),
    ):
        if held:
            say(
                f"{len(held)} image{'' if len(held) == 1 else 's'} left out, {why} from {dataset} "
                f"before: {', '.join(held[:5])}{' …' if len(held) > 5 else ''}{way}"
            )


def _generated(landing: Landing) -> Path:
    folder = landing.scratch / SYNTHETIC
    shutil.rmtree(folder, ignore_errors=True)
    generate(folder)
    return folder
