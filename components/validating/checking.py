"""Checks a manifest: the tables, the suite and what came of it, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.validating import offline, pages, tables, thumbnails
from components.validating.baseline import Baseline
from components.validating.running import Finding, run
from components.validating.suite import Table, checks
from components.validating.thumbnails import Tiny
from segtrail.settings.dataset import Dataset
from segtrail.settings.validation import Validation

if TYPE_CHECKING:
    import pandas as pd

_PICTURES_AT_MOST = 240


@dataclass(frozen=True)
class Outcome:
    """What validation found.

    Attributes:
        findings: One a check.
        baseline: What the images were compared with, if there was one.
        images: How many there are.
    """

    findings: list[Finding]
    baseline: Baseline | None
    images: int

    @property
    def errors(self) -> list[Finding]:
        """What fails and stops the pipeline."""
        return [f for f in self.findings if not f.passed and f.check.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """What fails and is for people to judge."""
        return [f for f in self.findings if not f.passed and f.check.severity == "warning"]

    @property
    def passed(self) -> bool:
        """Whether there are no errors."""
        return not self.errors

    @property
    def verdict(self) -> str:
        """Whether the images are valid, and how many checks they fail."""
        failing = (("error", self.errors), ("warning", self.warnings))
        counts = [_count(len(found), kind) for kind, found in failing if found]
        return ", ".join(["Valid" if self.passed else "NOT VALID", *counts])

    @property
    def summary(self) -> list[str]:
        """How much was checked, and what the images were compared with."""
        errors, warnings = len(self.errors), len(self.warnings)
        return [
            f"{_count(self.images, 'image')}, {_count(len(self.findings), 'check')}: "
            f"{_count(errors, 'error')}, {_count(warnings, 'warning')}.",
            "No baseline: the images were not compared with earlier ones."
            if self.baseline is None
            else f"Compared with the baseline of {self.baseline.images} images.",
        ]

    def as_json(self) -> dict[str, Any]:
        """Returns the outcome as plain JSON values."""
        return {
            "passed": self.passed,
            "images": self.images,
            "expectations": len(self.findings),
            "failed": [_as_json(finding) for finding in self.errors],
            "warnings": [_as_json(finding) for finding in self.warnings],
        }


def check(
    manifest: pd.DataFrame,
    options: Validation,
    dataset: Dataset,
    baseline: Baseline | None,
    docs: Path | None = None,
    data: Path | None = None,
) -> Outcome:
    """Checks a manifest of examples.

    Args:
        manifest: One row an image: see `components.examples`. It may be anything: what its
            columns lack is found out.
        options: The recipe's.
        dataset: What the masks mean, and the shares of the splits.
        baseline: What the dataset's images looked like, if that is known.
        docs: Where to put the Data Docs, a folder that is not there yet; None makes none.
        data: The dataset's folder, for pictures of the images; None makes none.
    """
    well_formed = tables.is_well_formed(manifest, dataset.classes)
    made: dict[Table, pd.DataFrame] = {
        "schema": tables.schema_table(manifest, dataset, baseline),
        "images": manifest.reset_index(drop=True),
    }
    if well_formed:
        made["images"] = tables.images_table(manifest, dataset.classes)
        known = baseline.slices if baseline else ()
        made["splits"] = tables.splits_table(manifest, dataset.splits, dataset.classes, known)
    found = run(checks(options, dataset, baseline, well_formed), made, docs)
    outcome = Outcome(found, baseline, len(manifest))
    if docs is not None:
        offline.make_offline(docs)
        pictures = {}
        if data is not None:
            tiny = Tiny(dataset.masks, len(dataset.classes), options.min_object)
            pictures = _pictures(outcome, manifest, data, docs / pages.THUMBNAILS, tiny)
        pages.add_findings(docs, found, pictures, [f"{outcome.verdict}.", *outcome.summary])
    return outcome


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number < 2 else 's'}"


def _pictures(
    outcome: Outcome, manifest: pd.DataFrame, data: Path, folder: Path, tiny: Tiny
) -> dict[str, str]:
    failing = [
        row.key
        for finding in (*outcome.errors, *outcome.warnings)
        if finding.check.table == "images"
        for row in finding.rows[: pages.PICTURES]
    ]
    wanted = list(dict.fromkeys(failing))[:_PICTURES_AT_MOST]
    if not wanted:
        return {}
    named = manifest[manifest["image"].isin(wanted)]
    columns = (named[name].astype(str) for name in ("image", "sha256", "mask_sha256"))
    digests = {image: (own, mask) for image, own, mask in zip(*columns, strict=True)}
    return thumbnails.write(wanted, digests, data, folder, tiny)


def _as_json(finding: Finding) -> dict[str, Any]:
    check = finding.check
    of_images = check.table == "images"
    return {
        "name": check.name,
        "severity": check.severity,
        "expectation": check.kind,
        "column": check.options.get("column"),
        "slice": check.where[1] if check.where and check.where[0] == "slice" else None,
        "says": finding.says,
        "images": [row.key for row in finding.rows] if of_images else [],
        "count": finding.count,
    }
