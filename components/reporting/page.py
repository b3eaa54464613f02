"""The report as one HTML file that needs nothing else: plots and pictures are inside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segtrail.html import data_uri, render_page
from segtrail.settings.base import ALL
from segtrail.settings.metrics import KINDS, OF_A_CLASS, kind_of

_DETAIL = re.compile(r"ap_(?!50$)\d\d$|canny|vi_")  # shown on demand


@dataclass(frozen=True)
class Plot:
    """A picture of numbers.

    Attributes:
        alt: What it shows, for those who do not see it.
        svg: The file.
    """

    alt: str
    svg: bytes

    @property
    def uri(self) -> str:
        """The file as a data URI, whose ids do not mix with those of other plots."""
        return data_uri("svg+xml", self.svg)


@dataclass(frozen=True)
class Section:
    """Plots under one heading.

    Attributes:
        title: The heading.
        plots: The plots.
        says: A sentence before them.
    """

    title: str
    plots: Sequence[Plot]
    says: str = ""


def shown(per_image: Any) -> list[str]:
    """Returns the metrics that plots are made of."""
    return ["mean_iou", *(["ap_50"] if "ap_50" in per_image else [])]


def render(template: str, **context: Any) -> str:
    """Returns the page of a template; whatever the context holds is escaped."""
    return render_page(
        "components.reporting", f"{template}.html.jinja", number=number, p_value=p_value, **context
    )


def metric_rows(metrics: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns the slices, and a row a metric with a cell a slice.

    Args:
        metrics: The JSON of an evaluation.
    """
    slices = [{"name": name, "n": part["n"]} for name, part in metrics["slices"].items()]
    have = metrics["slices"][ALL]
    known = [name for name in KINDS if name in have]
    names = [*known, *(name for name in have if name not in (*known, "n"))]
    return slices, [
        {
            "name": name,
            "says": says(name),
            "detail": is_detail(name),
            "cells": [
                {
                    "value": metrics["slices"][part["name"]].get(name),
                    "interval": metrics["intervals"][part["name"]].get(name),
                }
                for part in slices
            ],
        }
        for name in names
    ]


def number(value: float | None, signed: bool = False) -> str:
    """Returns a number for people; a hyphen for none."""
    if value is None:
        return "-"
    digits = 3 if abs(value) < 10 else 1
    return f"{value:{'+' if signed else ''}.{digits}f}"


def p_value(value: float | None) -> str:
    """Returns a p-value for people; a hyphen for none."""
    if value is None:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def is_detail(metric: str) -> bool:
    """Returns whether a metric is shown on demand only."""
    return bool(_DETAIL.search(metric)) or metric.startswith(tuple(OF_A_CLASS))


def says(metric: str) -> str:
    """Returns what a metric measures."""
    try:
        return kind_of(metric).says
    except KeyError:
        return "average precision in the sense of COCO"
