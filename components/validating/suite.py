"""What validation expects, as data: one `Check` a Great Expectations expectation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from components.validating.baseline import Baseline, Range
from components.validating.tables import required_columns
from segtrail.artifacts import SPLITS
from segtrail.expectations import DEFAULTS, Severity
from segtrail.images import MAX_LABEL
from segtrail.settings.dataset import Dataset
from segtrail.settings.validation import Validation

Table = Literal["images", "splits", "schema"]
KEYS: dict[Table, str] = {"images": "image", "splits": "key", "schema": "item"}  # names a row
_DIGEST = "^[0-9a-f]{64}$"
_ROUNDING = 1e-5  # of a range's larger end: baselines keep six digits


@dataclass(frozen=True)
class Check:
    """One expectation.

    Attributes:
        name: Its name: see `segtrail.expectations`. Several checks may share one.
        says: What is expected, in words.
        kind: The class in `great_expectations.expectations`.
        options: The arguments of that class.
        table: The table that it is about: see `components.validating.tables`.
        where: Only the rows with this value in this column.
        shows: The columns that tell why a row fails.
        severity: `error` or `warning`; the default of its name, unless the recipe says.
    """

    name: str
    says: str
    kind: str
    options: dict[str, Any]
    table: Table = "images"
    where: tuple[str, str] | None = None
    shows: tuple[str, ...] = field(default=())
    severity: Severity = "error"


def checks(
    options: Validation, dataset: Dataset, baseline: Baseline | None, well_formed: bool = True
) -> list[Check]:
    """Returns what examples must hold, without what the recipe switches off.

    Args:
        options: The recipe's.
        dataset: What its masks mean, and the shares of its splits.
        baseline: What its images looked like, if that is known.
        well_formed: Whether the manifest has its columns. If not, only they are looked at.
    """
    every = [*_schema(dataset, baseline), *_structure(options)]
    if well_formed:
        every += [*_rows(), *_images(options), *_masks(options, dataset), *_content()]
        every += _splits(options)
        every += _against(baseline, options, dataset) if baseline else []
    severities = DEFAULTS | options.severity
    return [
        replace(check, severity=severities[check.name])
        for check in every
        if severities[check.name] != "off"
    ]


def _schema(dataset: Dataset, baseline: Baseline | None) -> Iterator[Check]:
    yield Check(
        "columns",
        "the manifest has every column that it should",
        "ExpectTableColumnsToMatchSet",
        {"column_set": list(required_columns(dataset.classes)), "exact_match": False},
    )
    same = {"column_A": "expected", "column_B": "found"}

    def part(name: str, of: str, says: str) -> Check:
        return Check(
            name, says, "ExpectColumnPairValuesToBeEqual", same, "schema", ("part", of),
            ("expected", "found"),
        )  # fmt: skip

    yield part("column-types", "column", "each column holds the kind of values that it should")
    yield part("baseline-there", "baseline", "the dataset has a baseline to be compared with")
    if baseline:
        yield part("baseline-masks", "masks", "masks and classes are what the baseline knows")
        if set(baseline.columns) - set(required_columns(dataset.classes)):
            yield part(
                "baseline-columns", "baseline-column", "further columns are what the baseline knows"
            )


def _structure(options: Validation) -> Iterator[Check]:
    yield Check(
        "row-count",
        f"at least {options.min_images} images",
        "ExpectTableRowCountToBeBetween",
        {"min_value": options.min_images},
    )


def _rows() -> Iterator[Check]:
    yield _one_of("no-missing-values", "missing_values", [0], "no value is missing")
    yield Check(
        "ids-unique", "each image id once", "ExpectColumnValuesToBeUnique", {"column": "image"}
    )
    for name, column, of in (
        ("image-digests", "sha256", "image"),
        ("mask-digests", "mask_sha256", "mask"),
        ("delivered-digests", "delivered_sha256", "image as it was delivered"),
    ):
        yield _matches(name, column, _DIGEST, f"each {of} has its SHA-256")
    yield _matches("deliveries-numbered", "delivery", "^[1-9][0-9]*$", "each image has a delivery")
    yield _one_of("splits-known", "split", list(SPLITS), "each image is in a split that is known")
    yield Check(
        "splits-present",
        "there are training, validation and test images",
        "ExpectColumnDistinctValuesToContainSet",
        {"column": "split", "value_set": list(SPLITS)},
    )
    yield _matches("slices-named", "slice", "^[a-z0-9][a-z0-9-]*$", "each image is in a slice")
    yield _matches("groups-named", "group", ".", "each image is in a group")


def _images(options: Validation) -> Iterator[Check]:
    for side in ("height", "width"):
        low, high = options.min_side, options.max_side
        yield _between(f"{side}-limits", side, low, high, f"{side} is {low} to {high} pixels")
    yield _one_of("bits", "bits", [8, 16], "8 or 16 bits a channel")
    yield _one_of("channels", "channels", [1, 3, 4], "grey, RGB or RGBA: 1, 3 or 4 channels")
    yield _between(
        "blank-images", "visible_contrast", options.min_contrast, None,
        f"no image is blank: the contrast is at least {options.min_contrast:g}",
    )  # fmt: skip
    yield _between(
        "saturated-images", "median", None, 254,
        "no image is saturated: less than half of its pixels are at full scale",
    )  # fmt: skip


def _masks(options: Validation, dataset: Dataset) -> Iterator[Check]:
    classes = len(dataset.classes)
    highest, means = {
        "instances": (MAX_LABEL, "instance ids"),
        "classes": (classes, f"class indices, {classes} at most"),
        "multilabel": (2**classes - 1, f"one bit for each of {classes} classes"),
    }[dataset.masks]
    yield _one_of("mask-size", "same_size", [True], "each mask has the size of its image")
    yield _between("mask-values", "highest_value", 0, highest, f"values of masks are {means}")
    if dataset.masks == "instances":
        yield Check(
            "instances-contiguous",
            "instance ids are 1, 2, 3 … without gaps",
            "ExpectColumnPairValuesToBeEqual",
            {"column_A": "objects", "column_B": "highest_value"},
            shows=("objects", "highest_value"),
        )
    yield _between("masks-not-empty", "objects", 1, None, "each mask holds an object")
    yield _between(
        "foreground-limit", "foreground", None, options.max_foreground,
        f"at most {options.max_foreground:.0%} of an image is foreground",
    )  # fmt: skip
    yield _between(
        "object-count", "objects", None, options.max_objects,
        f"at most {options.max_objects} objects an image",
    )  # fmt: skip
    yield _between(
        "small-objects", "smallest", options.min_object, None,
        f"no object is smaller than {options.min_object} pixels",
    )  # fmt: skip
    yield _between(
        "large-objects", "largest_share", None, options.max_object,
        f"no object fills more than {options.max_object:.0%} of its image",
    )  # fmt: skip
    yield _between(
        "border-objects", "border_share", None, options.max_border_objects,
        f"at most {options.max_border_objects:.0%} of an image's objects touch its edge",
    )  # fmt: skip
    for name in dataset.classes if classes > 1 else []:
        yield Check(
            "class-in-image",
            f"each image shows the class {name}",
            "ExpectColumnValuesToBeBetween",
            {"column": f"foreground_{name}", "min_value": 0, "strict_min": True},
            shows=(f"foreground_{name}",),
        )


def _content() -> Iterator[Check]:
    for name, column, twin, says in (
        ("duplicate-images", "sha256", "image_twin", "no two images have the same content"),
        ("duplicate-masks", "mask_content", "mask_twin", "no two images have the same mask"),
    ):
        yield Check(name, says, "ExpectColumnValuesToBeUnique", {"column": column}, shows=(twin,))
    yield replace(
        _one_of("content-leakage", "splits_of_content", [1], "the same content is in one split"),
        shows=("split", "image_twin"),
    )
    yield replace(
        _one_of("group-leakage", "splits_of_group", [1], "images of one group are in one split"),
        shows=("split", "group"),
    )


def _splits(options: Validation) -> Iterator[Check]:
    tolerance = options.share_tolerance
    for name, part, of in (
        ("split-shares", "all", "the images"),
        ("slice-shares", "slice", "each slice"),
    ):
        yield replace(
            _between(
                name, "off", -tolerance, tolerance,
                f"each split's share of {of} is what the dataset's splits say, give or take "
                f"{tolerance:.0%} and one group",
            ),
            table="splits", where=("part", part), shows=("share", "wanted"),
        )  # fmt: skip
    for name, part, least, of in (
        ("slice-coverage", "slice", options.min_of_slice, "of each slice"),
        ("class-coverage", "class", options.min_of_class, "with each class"),
    ):
        yield replace(
            _between(name, "images", least, None, f"each split has {least} or more images {of}"),
            table="splits", where=("part", part),
        )  # fmt: skip


def _against(baseline: Baseline, options: Validation, dataset: Dataset) -> Iterator[Check]:
    yield _one_of(
        "baseline-slices", "slice", list(baseline.slices), "each slice is one that the baseline has"
    )
    names = {
        "objects": "object-count-baseline",
        "median_object": "object-size-baseline",
        **{f"foreground_{name}": "foreground-baseline" for name in dataset.classes},
    }
    for slice_, known in sorted(baseline.slices.items()):
        if known.images < options.min_baseline_images:
            continue
        rests = f"the baseline's {known.images} images of {slice_}"
        for column, values in (("bits", known.bits), ("channels", known.channels)):
            listed = " or ".join(map(str, values))
            check = _one_of(f"{column}-baseline", column, list(values), "")
            says = f"{column}: {listed}, like {rests}"
            yield replace(check, says=says, where=("slice", slice_))
        for column, seen in known.ranges.items():
            name = names.get(column, f"{column}-baseline")
            if name not in DEFAULTS or column not in required_columns(dataset.classes):
                continue  # of a class that the dataset has no longer: see baseline-masks
            low, high = _widened(seen, options.baseline_tolerance)
            says = (
                f"{column.replace('_', ' ')} is {low:.4g} to {high:.4g} ({rests} have "
                f"{seen.min:.4g} to {seen.max:.4g})"
            )
            yield replace(_between(name, column, low, high, says), where=("slice", slice_))


def _widened(seen: Range, tolerance: float) -> tuple[float, float]:
    margin = tolerance * (seen.max - seen.min) + _ROUNDING * max(abs(seen.min), abs(seen.max))
    return min(seen.min, max(seen.min - margin, 0.0)), seen.max + margin


def _between(name: str, column: str, low: float | None, high: float | None, says: str) -> Check:
    options = {"column": column, "min_value": low, "max_value": high}
    return Check(name, says, "ExpectColumnValuesToBeBetween", options, shows=(column,))


def _one_of(name: str, column: str, values: list[Any], says: str) -> Check:
    options = {"column": column, "value_set": values}
    return Check(name, says, "ExpectColumnValuesToBeInSet", options, shows=(column,))


def _matches(name: str, column: str, regex: str, says: str) -> Check:
    options = {"column": column, "regex": regex}
    return Check(name, says, "ExpectColumnValuesToMatchRegex", options, shows=(column,))
