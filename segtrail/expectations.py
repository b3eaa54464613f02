"""The expectations that validation holds examples to: their names and default severities.

What each one asks is in `components.validating.suite`; a recipe changes a severity, or switches
an expectation off, under `validation.severity`.
"""

from __future__ import annotations

from typing import Literal

Severity = Literal["error", "warning", "off"]

# An error stops the pipeline before anything is learnt; a warning is for people to judge.
DEFAULTS: dict[str, Severity] = {
    # the manifest itself
    "columns": "error",
    "column-types": "error",
    "row-count": "error",
    "no-missing-values": "error",
    "ids-unique": "error",
    "image-digests": "error",
    "mask-digests": "error",
    "delivered-digests": "error",
    "deliveries-numbered": "error",
    "splits-known": "error",
    "splits-present": "error",
    "slices-named": "error",
    "groups-named": "error",
    # images
    "height-limits": "error",
    "width-limits": "error",
    "bits": "error",
    "channels": "error",
    "blank-images": "error",
    "saturated-images": "warning",
    # masks
    "mask-size": "error",
    "mask-values": "error",
    "instances-contiguous": "error",
    "masks-not-empty": "error",
    "foreground-limit": "error",
    "object-count": "error",
    "small-objects": "warning",
    "large-objects": "warning",
    "border-objects": "warning",
    "class-in-image": "warning",
    # content
    "duplicate-images": "warning",
    "duplicate-masks": "warning",
    "content-leakage": "error",
    "group-leakage": "error",
    # splits
    "split-shares": "warning",
    "slice-shares": "warning",
    "slice-coverage": "warning",
    "class-coverage": "error",
    # against the baseline of the dataset
    "baseline-there": "warning",
    "baseline-masks": "error",
    "baseline-columns": "warning",
    "baseline-slices": "warning",
    "bits-baseline": "warning",
    "channels-baseline": "warning",
    "height-baseline": "warning",
    "width-baseline": "warning",
    "brightness-baseline": "warning",
    "contrast-baseline": "warning",
    "saturation-baseline": "warning",
    "sharpness-baseline": "warning",
    "foreground-baseline": "warning",
    "object-count-baseline": "warning",
    "object-size-baseline": "warning",
}
