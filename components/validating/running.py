"""Runs checks with Great Expectations and reads what it found."""

from __future__ import annotations

import html
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.validating.suite import KEYS, Check, Table

if TYPE_CHECKING:
    import pandas as pd

KEPT = 1000  # failing rows that are named for each check; all are counted
_SHOWN = 10  # … and in its sentence
_SITE = "local_site"


@dataclass(frozen=True)
class Row:
    """One row that fails a check.

    Attributes:
        key: The image's id, or what else names the row.
        why: The values that the check looks at, in words.
    """

    key: str
    why: str

    def __str__(self) -> str:
        return f"{self.key} ({self.why})" if self.why else self.key


@dataclass(frozen=True)
class Finding:
    """What came of one check.

    Attributes:
        check: The check.
        passed: Whether it holds.
        count: How many rows fail it; 0 if it is not about rows.
        of: Out of how many.
        rows: The first thousand of them.
        problem: Why it could not be checked at all, or what else was found; empty if nothing.
    """

    check: Check
    passed: bool
    count: int = 0
    of: int = 0
    rows: tuple[Row, ...] = ()
    problem: str = ""

    @property
    def says(self) -> str:
        """The check in words; if it fails, that it was expected, and what was found."""
        if self.passed:
            return self.check.says
        says = [f"expected: {self.check.says}"]
        if self.rows:
            shown = ", ".join(map(str, self.rows[:_SHOWN]))
            more = f" and {self.count - _SHOWN} more" if self.count > _SHOWN else ""
            says.append(f"not so for {shown}{more}")
        if self.problem:
            says.append(self.problem)
        return "; ".join(says)


def run(
    checks: Sequence[Check], tables: Mapping[Table, pd.DataFrame], docs: Path | None = None
) -> list[Finding]:
    """Returns what came of each check, in their order.

    Args:
        checks: Each about one of the tables.
        tables: With rows numbered from 0.
        docs: Where to put Great Expectations' Data Docs, a folder that is not there yet. The
            description of the check number n of `checks` ends with `marker(n)`.
    """
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    found: dict[int, Finding] = {}
    with tempfile.TemporaryDirectory(prefix="segtrail-validate-") as temporary:
        context = gx.get_context(mode="file", project_root_dir=temporary)
        context.variables.progress_bars = {"globally": False}
        sites = dict(context.variables.data_docs_sites)
        sites[_SITE] = sites[_SITE] | {"show_how_to_buttons": False}
        context.variables.data_docs_sites = sites
        source = context.data_sources.add_pandas("examples")
        for name, table in tables.items():
            numbered = [(n, check) for n, check in enumerate(checks) if check.table == name]
            if not numbered:
                continue
            suite = context.suites.add(
                gx.ExpectationSuite(name, expectations=[_expectation(c, n) for n, c in numbered])
            )
            asset = source.add_dataframe_asset(name)
            batch = asset.add_batch_definition_whole_dataframe("all")
            definition = context.validation_definitions.add(
                gx.ValidationDefinition(name=name, data=batch, suite=suite)
            )
            checkpoint = context.checkpoints.add(
                gx.Checkpoint(
                    name=name,
                    validation_definitions=[definition],
                    # Row numbers without values: the cost stays the same however many fail.
                    result_format={
                        "result_format": "SUMMARY",
                        "partial_unexpected_count": KEPT,
                        "exclude_unexpected_values": True,
                    },
                )
            )
            outcome = checkpoint.run(
                batch_parameters={"dataframe": table}, run_id=RunIdentifier(run_name=name)
            )
            (validation,) = outcome.run_results.values()
            for item in validation.results:
                n = int(item.expectation_config.meta["check"])
                found[n] = _finding(checks[n], item, table)
        if docs is not None:
            context.build_data_docs()
            shutil.copytree(next(Path(temporary).rglob(_SITE)), docs)
    return [found[n] for n in range(len(checks))]


def marker(number: int) -> str:
    """Returns what Data Docs hold in the place of a check's images until they are put there."""
    return f"segtrail-check-{number:04d}-"


def _expectation(check: Check, number: int) -> Any:
    from great_expectations import expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    where = {}
    if check.where is not None:
        column, value = check.where
        where = {"row_condition": Column(column) == value}
    return getattr(gxe, check.kind)(
        **check.options,
        **where,
        severity="critical" if check.severity == "error" else "warning",
        # Data Docs put descriptions into the page as they are.
        description=f"{html.escape(check.says)} {marker(number)}",
        meta={"check": number, "name": check.name},
    )


def _finding(check: Check, item: Any, table: pd.DataFrame) -> Finding:
    raised = [info for info in _exceptions(item.exception_info) if info.get("raised_exception")]
    if raised:
        return Finding(check, False, problem=f"not checked: {raised[0].get('exception_message')}")
    if item.success:
        return Finding(check, True)
    result = item.result
    numbers = result.get("partial_unexpected_index_list") or []
    named = tuple(_rows(check, table, numbers)) if numbers else ()
    problem = "" if named else _observed(result)
    count, total = result.get("unexpected_count"), result.get("element_count")
    return Finding(check, False, int(count or 0), int(total or 0), named, problem)


def _rows(check: Check, table: pd.DataFrame, numbers: list[int]) -> Iterator[Row]:
    failing = table.loc[numbers, [KEYS[check.table], *check.shows]]
    for key, *values in failing.itertuples(index=False):
        yield Row(str(key), ", ".join(map(_why, check.shows, values)))


def _exceptions(info: Any) -> list[Mapping[str, Any]]:
    """Great Expectations has one such dictionary, or one for each metric."""
    if not info:
        return []
    return [info] if "raised_exception" in info else list(info.values())


def _why(column: str, value: Any) -> str:
    if value is None or value != value:  # not a number
        return f"no {column.replace('_', ' ')}"
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{column.replace('_', ' ')} {shown}"


def _observed(result: Mapping[str, Any]) -> str:
    missing = result.get("details", {}).get("mismatched", {}).get("missing")
    if missing:
        return f"missing {', '.join(map(str, missing))}"
    value = result.get("observed_value")
    if isinstance(value, list):
        value = ", ".join(map(str, value)) or "none"
    return "" if value is None else f"found {value}"
