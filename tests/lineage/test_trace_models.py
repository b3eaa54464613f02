"""When a model served, by the entries of a ledger; and how that is put in a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lineage import ledger
from lineage.tracing import words
from lineage.tracing.models import Model, Service, services


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def at(number: int) -> str:
    return day(number).isoformat(timespec="seconds")


def written(path: Path, *lines: tuple[str, int, dict[str, Any]]) -> list[ledger.Entry]:
    """Returns a ledger with one line a day."""
    for number, (event, version, details) in enumerate(lines, 1):
        ledger.append(
            path, event, version=version, model_digest=f"{version}" * 64, by="Ada",
            details=details, at=day(number),
        )  # fmt: skip
    return ledger.read(path)


def test_a_canary_that_is_confirmed_goes_on_as_champion(tmp_path: Path) -> None:
    entries = written(
        tmp_path / "r.jsonl",
        (ledger.DONE, 1, {}), (ledger.CANARY, 2, {"previous": 1}), (ledger.DONE, 2, {"canary": 2}),
    )  # fmt: skip
    assert services(entries, 1) == [Service("champion", at(1), at(3))]
    assert services(entries, 2) == [
        Service("canary", at(2), at(3)),
        Service("champion", at(3), None),
    ]


def test_a_canary_stays_out_while_the_champion_is_rolled_back(tmp_path: Path) -> None:
    entries = written(
        tmp_path / "r.jsonl",
        (ledger.DONE, 1, {}), (ledger.DONE, 2, {}), (ledger.CANARY, 3, {"previous": 2}),
        (ledger.DONE, 1, {"rollback": "v2 misses cells", "previous": 2}),
    )  # fmt: skip
    assert services(entries, 3) == [Service("canary", at(3), None)]
    assert services(entries, 1)[-1] == Service("champion", at(4), None)


def test_a_promotion_that_failed_when_it_may_have_answered(tmp_path: Path) -> None:
    entries = written(
        tmp_path / "r.jsonl",
        (ledger.DONE, 1, {}), (ledger.INTENT, 2, {}), (ledger.FAILED, 2, {"kept": True}),
        (ledger.INTENT, 3, {}), (ledger.FAILED, 3, {}),
    )  # fmt: skip
    assert services(entries, 2) == [Service("perhaps", at(2), at(3))]
    assert services(entries, 3) == []


def model(version: int | None, *served: Service) -> Model:
    return Model("r", version, "", "ab12cd34ef", "d", "m", "", "", None, served)


def test_the_conclusion_names_what_serves_and_counts_what_is_many() -> None:
    now = model(9, Service("champion", at(9), None))
    canary = model(10, Service("canary", at(10), None))
    past = [model(n, Service("champion", at(n), at(n + 1))) for n in range(1, 6)]
    never = [model(None), model(None)]
    assert words.of_models([*past[:1], now, canary, *never], "learned from it") == (
        "r v9, which serves now, learned from it; "
        "r v10, which serves now as a canary, learned from it; "
        "r v1, which served 2026-01-01 to 2026-01-02, learned from it; "
        "2 models that never served learned from it"
    )
    assert words.of_models(past, "learned from it") == (
        "5 others, which served between 2026-01-01 and 2026-01-06, learned from it"
    )
    same_day = model(4, Service("perhaps", at(2), at(2)))
    assert words.of_models([same_day], "x") == "r v4, which served 2026-01-02 perhaps, x"
    assert model(None).name == "r run ab12cd34"
    assert words.of_models([], "learned from it") == ""
