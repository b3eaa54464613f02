"""Drift: are new images still like those that the champion learnt from?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.drifting import predictions
from components.drifting.arrivals import Arrivals
from components.drifting.baseline import Baseline, find_baseline
from components.drifting.compare import MIX, SliceFindings, compare
from components.drifting.folder import read_folder
from components.drifting.plots import plot, plot_shares
from components.drifting.report import Page, render, thumbnail
from components.drifting.sample import Sample, sample_of, statistics_of
from components.drifting.unusual import most_unusual
from components.drifting.verdict import INSUFFICIENT, NONE, Severity, worst
from components.drifting.version import read_version
from components.ingestion.clusters import CLUSTERS
from segtrail.errors import ConfigError, SegtrailError
from segtrail.files import atomic_folder, read_json, write_json, write_text
from segtrail.params import dump, load_dataset, load_recipe
from segtrail.recipe import Recipe
from segtrail.settings.base import ALL
from segtrail.settings.dataset import Dataset
from segtrail.task import Task
from segtrail.workspace import Workspace

FOR_TESTS = "for its test images"
RESULT, REPORT = "drift.json", "report.html"
_KIND = "segtrail drift"
_MOST_PLOTS = 12
_MOST_PICTURES = 16


@dataclass(frozen=True)
class DriftReport:
    """What was found.

    Attributes:
        severity: `none`, `moderate`, `severe` or `insufficient evidence`, of all slices.
        says: In a sentence.
        slices: All images first, then each slice.
        result: All of it as JSON values: what `drift.json` holds.
        folder: Where `drift.json`, `report.html` and `plots/` are.
    """

    severity: Severity
    says: str
    slices: Sequence[SliceFindings]
    result: dict[str, Any]
    folder: Path

    @property
    def notes(self) -> list[str]:
        """What else to know of the new images, in sentences."""
        return _notes_on_new(self.result)

    @property
    def report(self) -> Path:
        """The HTML page."""
        return self.folder / REPORT


def drift(
    workspace: Workspace,
    name: str,
    *,
    images: Path | None = None,
    data_version: str | None = None,
    out: Path | None = None,
    answers: bool = False,
) -> DriftReport:
    """Compares new images with the champion's training images, and writes what it found.

    Args:
        workspace: In git and DVC.
        name: The recipe's.
        images: A folder of images without masks, such as production saw.
        data_version: A git revision: what its data has and the champion's data had not. With
            neither, what `data/` has now.
        out: The folder to write; by default `artifacts/<recipe>/drift`.
        answers: Compare the champion's answers too, with those for its test images.

    Raises:
        ConfigError: Both `images` and `data_version`, no such revision, or `out` is a folder
            with something else in it.
        DataError: `images` is no folder, or has no image in it.
        LineageError: What the champion learnt from, or the data version, is not in DVC's cache.
        MissingArtifactError: Nothing is promoted, and no examples were made; or no data.
    """
    if images is not None and data_version is not None:
        raise ConfigError("expected --images or --data-version; received both")
    recipe = load_recipe(workspace, name)
    dataset = load_dataset(workspace, recipe.dataset)
    target = workspace.artifacts(name) / "drift" if out is None else out.resolve()
    _refuse_other_content(target)
    baseline = find_baseline(workspace, name)
    if images is not None:
        by_modality = _slices_by_modality(baseline, dataset)
        arrivals = read_folder(images, dataset.limits, by_modality, baseline)
    else:
        arrivals = read_version(workspace, recipe.dataset, dataset, baseline, data_version)
    statistics = statistics_of(recipe.drift, dataset.classes, arrivals.masks)
    old, new = (
        sample_of(rows, statistics, dataset.slices) for rows in (baseline.training, arrivals.rows)
    )
    options = recipe.drift
    asked = None
    if answers and baseline.version is not None:
        asked = _answers(workspace, recipe, name, baseline.version, arrivals, dataset)
    if asked is not None:  # two comparisons share the rate of false alarms
        options = options.model_copy(update={"false_alarms": options.false_alarms / 2})
    slices = compare(old, new, options)
    answered = compare(*asked, options, FOR_TESTS, mix=False) if asked is not None else []
    severity = worst(found.severity for found in [*slices, *answered])
    says = _says(severity, [*slices, *answered], arrivals, baseline)
    unusual = most_unusual(old, new, _MOST_PICTURES, recipe.drift.min_images)
    result = {
        "kind": _KIND,
        "recipe": name,
        "dataset": recipe.dataset,
        "severity": severity,
        "says": says,
        "settings": dump(recipe.drift),
        "baseline": {
            "champion": baseline.version,
            "commit": baseline.commit,
            "says": baseline.says,
            "images": len(old),
            "groups": old.group_count,
        },
        "new": {
            "says": arrivals.says,
            **arrivals.about,
            "compared": len(new),
            "groups": new.group_count,
            "unreadable": [{"image": p.where, "says": p.what} for p in arrivals.problems],
        },
        "not_compared": [s for s in statistics if s not in old.values or s not in new.values],
        "slices": {found.slice: _plain(found) for found in slices},
        "answers": {found.slice: _plain(found) for found in answered},
        "unusual": [asdict(image) for image in unusual],
    }
    page = Page(
        f"Drift of {name}",
        severity,
        [says, *_notes_on_new(result), *_notes(result)],
        slices,
        _plots(slices, old, new) | (_plots(answered, *asked) if asked else {}),
        [(u.image, _thumbnail(arrivals, u.image), u.says) for u in unusual],
        [str(problem) for problem in arrivals.problems],
        answered,
    )
    _write(target, result, page)
    return DriftReport(severity, says, slices, result, target)


def _slices_by_modality(baseline: Baseline, dataset: Dataset) -> bool:
    """Whether the slices of the baseline are those that the modality gives, and no publisher's."""
    by_modality = {*CLUSTERS, *(dataset.slices.get(kind, kind) for kind in CLUSTERS)}
    return {row["slice"] for row in baseline.training} <= by_modality


def _says(
    severity: Severity, slices: Sequence[SliceFindings], arrivals: Arrivals, baseline: Baseline
) -> str:
    against = f"{arrivals.says}, against the {baseline.says}"
    if severity == INSUFFICIENT:
        return f"{severity}: {slices[0].says.split(': ', 2)[-1]} ({against})"
    if severity == NONE:
        return f"no drift: {against}"
    where = dict.fromkeys(found.slice for found in slices if found.severity == severity)
    return f"{severity} drift in {', '.join(where)}: {against}"


def _plain(found: SliceFindings) -> dict[str, Any]:
    plain = asdict(found)
    findings = {f.pop("statistic"): f for f in plain.pop("findings")}
    return plain | {"statistics": findings}


def _refuse_other_content(folder: Path) -> None:
    """The folder is replaced whole: it must be new, empty, or a report of before."""
    if not folder.exists():
        return
    if folder.is_dir():
        try:
            if not any(folder.iterdir()) or read_json(folder / RESULT)["kind"] == _KIND:
                return
        except (OSError, ValueError, LookupError, TypeError):
            pass
    raise ConfigError(
        f"--out {folder}: has something else in it than a drift report, and would be replaced",
        "name a folder that is not there yet",
    )


def _write(target: Path, result: dict[str, Any], page: Page) -> None:
    with atomic_folder(target) as folder:
        write_json(folder / RESULT, result)
        write_text(folder / REPORT, render(page))
        (folder / "plots").mkdir()
        for (where, statistic), png in page.plots.items():
            safe = re.sub(r"[^\w-]+", "_", where)
            (folder / "plots" / f"{safe}-{statistic}.png").write_bytes(png)


def _answers(
    workspace: Workspace, recipe: Recipe, name: str, version: int, arrivals: Arrivals,
    dataset: Dataset,
) -> tuple[Sample, Sample] | None:  # fmt: skip
    """Returns the champion's answers for its test images and for the new ones, if both are here."""
    old = predictions.baseline(workspace, name, version, dataset.slices)
    if old is None or not arrivals.rows:
        return None
    new = predictions.answers(
        workspace, name, version, arrivals, dataset.slices, Task.of(recipe, dataset),
        recipe.drift.seed,
    )  # fmt: skip
    return old, new


def _notes_on_new(result: dict[str, Any]) -> list[str]:
    new = result["new"]
    if not (known := new.get("training_images", 0)):
        return []
    verb = "is a training image" if new["compared"] == 1 else "are training images"
    return [f"{known} of {new['compared']} images {verb} of the baseline"]


def _notes(result: dict[str, Any]) -> list[str]:
    settings, notes = result["settings"], []
    notes.append(
        f"Drift is moderate from an effect of {settings['moderate']} and severe from "
        f"{settings['severe']}: the Jensen-Shannon distance less what chance gives; and only if "
        "Kolmogorov-Smirnov is significant: over all statistics and slices, at most "
        f"{settings['false_alarms']:.0%} of comparisons without drift alarm."
    )
    if result["not_compared"]:
        notes.append(f"Not in the baseline's manifest: {', '.join(result['not_compared'])}.")
    return notes


def _plots(
    slices: Sequence[SliceFindings], old: Sample, new: Sample
) -> dict[tuple[str, str], bytes]:
    drifted = [(s.slice, f) for s in slices for f in s.findings if f.severity != NONE]
    drifted.sort(key=lambda item: -item[1].effect)
    found: dict[tuple[str, str], bytes] = {}
    for where, finding in drifted[:_MOST_PLOTS]:
        title = "all images" if where == ALL else where
        first, second = (
            sample if where == ALL else sample.of_slice(where) for sample in (old, new)
        )
        if finding.statistic == MIX:
            png = plot_shares("share of each slice", _shares(first), _shares(second))
        else:
            name = finding.statistic
            png = plot(finding, title, first.values[name], second.values[name])
        found[where, finding.statistic] = png
    return found


def _shares(sample: Sample) -> dict[str, float]:
    return {name: count / len(sample) for name, count in Counter(sample.slices).items()}


def _thumbnail(arrivals: Arrivals, image: str) -> bytes | None:
    """Returns a small picture; None if the image is gone since it was looked at."""
    try:
        return thumbnail(arrivals.pixels(image))
    except (SegtrailError, OSError):
        return None
