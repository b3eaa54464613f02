"""Compares new images with the baseline, statistic by statistic and slice by slice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from components.drifting.distances import jensen_shannon, kolmogorov_smirnov, quantile_bins
from components.drifting.permutation import Relabelling
from components.drifting.sample import Codes, Sample
from components.drifting.verdict import INSUFFICIENT, NONE, Severity, holm, severity, worst
from components.drifting.words import finding_says, slice_says
from segtrail.settings.base import ALL
from segtrail.settings.drift import Drift

IN_TRAINING = "in training"
MIX = "slice"  # the share of each slice, as if it were a statistic
MOST_IMAGES = 2000  # of a side; more would find differences that do not matter
_DRAWS_PER_TEST = 2  # of relabellings, over the number of tests by the false alarm rate
_FEWEST_DRAWS = 999


@dataclass(frozen=True)
class Finding:
    """One statistic of one slice.

    Attributes:
        statistic: Its name; `slice` stands for the share of each slice.
        n: New images.
        baseline_n: Images of the baseline.
        median: Of the new images; None for `slice`.
        baseline_median: Of the baseline.
        js: Jensen-Shannon distance, 0 to 1, over the baseline's quantile bins.
        expected_js: Its root mean square under relabelling: what chance gives.
        effect: The root of what `js` squared is above `expected_js` squared; 0 if below.
        ks: The largest difference of the distribution functions; None for `slice`.
        p: Of `ks`, of `js` for `slice`; by relabelling groups where images depend on each other.
        adjusted_p: For the number of all tests, by Holm.
        severity: `none`, `moderate` or `severe`.
        says: All that in a sentence.
    """

    statistic: str
    n: int
    baseline_n: int
    median: float | None
    baseline_median: float | None
    js: float
    expected_js: float
    effect: float
    ks: float | None
    p: float
    adjusted_p: float = 1.0
    severity: Severity = NONE
    says: str = ""


@dataclass(frozen=True)
class SliceFindings:
    """What was found in one slice.

    Attributes:
        slice: Its name, or `all`.
        images, groups: Of the new images.
        baseline_images, baseline_groups: Of the baseline.
        severity: The worst of the findings; `insufficient evidence` if it was not compared.
        says: In a sentence.
        findings: The worst first.
    """

    slice: str
    images: int
    groups: int
    baseline_images: int
    baseline_groups: int
    severity: Severity
    says: str
    findings: tuple[Finding, ...] = ()


def compare(
    baseline: Sample, new: Sample, options: Drift, among: str = IN_TRAINING, mix: bool = True
) -> list[SliceFindings]:
    """Compares two samples, all images first, then each slice.

    The chance of any alarm where nothing drifted is at most `options.false_alarms`, provided
    that images of different groups are independent.

    Args:
        baseline: What the champion learnt from.
        new: What is looked at. If any image's slice is not known, only `all` is compared.
            A statistic that is the same in every image of both is left out.
        options: The recipe's thresholds.
        among: Where the baseline is from, in words.
        mix: Whether the share of each slice is compared too.
    """
    pairs = {ALL: (baseline, new)}
    if all(new.slices):
        for name in sorted({*baseline.slices, *new.slices}):
            pairs[name] = (baseline.of_slice(name), new.of_slice(name))
    enough = [n for n, (b, x) in pairs.items() if min(len(b), len(x)) >= options.min_images]
    tests = len(enough) * len(_shared(baseline, new)) + 1
    least_ways = tests / options.false_alarms
    draws = max(_FEWEST_DRAWS, math.ceil(_DRAWS_PER_TEST * least_ways))
    found: dict[str, list[Finding]] = {}
    why: dict[str, str] = {}
    for number, (name, (old, young)) in enumerate(pairs.items()):
        if not _shared(baseline, new):
            why[name] = "no statistic is known of both"
            continue
        if name not in enough:
            why[name] = (
                f"expected at least {options.min_images} new ones"
                if len(young) < options.min_images
                else "the champion learnt from too few such images to compare with"
            )
            continue
        seed = [options.seed, number]
        old, young = (_thinned(sample, seed) for sample in (old, young))
        relabelling = Relabelling(old.groups, young.groups, draws, seed)
        if relabelling.ways < least_ways:
            why[name] = (
                f"{young.group_count} and {old.group_count} groups of images that depend on each "
                "other are too few to tell drift from chance"
            )
            continue
        found[name] = _measure(old, young, relabelling, options, mix=mix and name == ALL)
        if not found[name]:
            why[name] = "each statistic has one value in all of them"
    judged = _judge(found, options, among)
    return [
        _summary(name, *pair, judged.get(name), why.get(name, ""), among)
        for name, pair in pairs.items()
    ]


def _shared(baseline: Sample, new: Sample) -> list[str]:
    return [name for name in new.values if name in baseline.values]


def _measure(
    baseline: Sample, new: Sample, relabelling: Relabelling, options: Drift, mix: bool
) -> list[Finding]:
    found = []
    for name in _shared(baseline, new):
        old, young = baseline.values[name], new.values[name]
        both = np.concatenate([old, young])
        if both.min() == both.max():
            continue  # grey images have no colour: nothing to compare
        bins, count = quantile_bins(old, both, options.bins)
        ks, p = kolmogorov_smirnov(old, young)
        # The p for independent images is too small where they are not: only such a one is
        # worth the relabelling, and the larger of two valid p is valid.
        if p <= options.false_alarms and not relabelling.independent:
            p = max(p, relabelling.kolmogorov_smirnov_p(both))
        js, expected, effect = _effect(bins, count, len(old), relabelling)
        medians = float(np.median(young)), float(np.median(old))
        found.append(
            Finding(name, len(young), len(old), *medians, js, expected, effect, ks, p)
        )  # fmt: skip
    slices = np.array([*baseline.slices, *new.slices])
    if mix and all(new.slices) and len(set(slices)) > 1:
        names, bins = np.unique(slices, return_inverse=True)
        js, expected, effect = _effect(bins, len(names), len(baseline), relabelling)
        p = relabelling.distance_p(bins, len(names), js)
        found.append(
            Finding(MIX, len(new), len(baseline), None, None, js, expected, effect, None, p)
        )
    return found


def _effect(
    bins: Codes, count: int, baseline: int, relabelling: Relabelling
) -> tuple[float, float, float]:
    """Returns distance, what chance gives, and what is left: divergences add up, roughly."""
    old, young = (np.bincount(part, minlength=count) for part in np.split(bins, [baseline]))
    js = float(jensen_shannon(old, young))
    by_chance = float(np.mean(relabelling.distances(bins, count) ** 2))
    return js, math.sqrt(by_chance), math.sqrt(max(0.0, js**2 - by_chance))


def _judge(
    found: dict[str, list[Finding]], options: Drift, among: str
) -> dict[str, tuple[Finding, ...]]:
    places = [(name, i) for name, findings in found.items() for i in range(len(findings))]
    adjusted = holm([found[name][i].p for name, i in places])
    for (name, i), p in zip(places, adjusted, strict=True):
        finding = replace(
            found[name][i],
            adjusted_p=p,
            severity=severity(p, found[name][i].effect, options),
        )
        found[name][i] = replace(finding, says=finding_says(finding, name, among))
    return {
        name: tuple(sorted(findings, key=lambda f: (f.severity == NONE, -f.effect)))
        for name, findings in found.items()
    }


def _summary(
    name: str, baseline: Sample, new: Sample, findings: Sequence[Finding] | None, why: str,
    among: str,
) -> SliceFindings:  # fmt: skip
    found = INSUFFICIENT if findings is None else worst([NONE, *(f.severity for f in findings)])
    findings = findings or ()
    return SliceFindings(
        name, len(new), new.group_count, len(baseline), baseline.group_count, found,
        slice_says(name, len(new), len(baseline), findings, found, why, among), tuple(findings),
    )  # fmt: skip


def _thinned(sample: Sample, seed: Sequence[int]) -> Sample:
    """Returns at most about `MOST_IMAGES` images, whole groups drawn by chance."""
    if len(sample) <= MOST_IMAGES:
        return sample
    names, codes, sizes = np.unique(sample.groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng([*seed, len(sample)]).permutation(len(names))
    kept = order[: max(1, int(np.searchsorted(np.cumsum(sizes[order]), MOST_IMAGES)))]
    return sample.take(np.isin(codes, kept))
