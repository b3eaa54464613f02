"""Versions that change under load, and walks that are killed: `benchmarks/promotion.py`, small."""

from __future__ import annotations

import sys
from pathlib import Path

import miniature
import pytest

pytest.importorskip("tensorflow")

from benchmarks import promotion
from benchmarks.promotion_load import PLAIN, Answer, Span, champions_of, went_back

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_no_request_fails_or_mixes_versions_while_the_champion_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    assert promotion.under_load(tmp_path, walks=5, clients=4, hold_s=1.0) == []
    out = capsys.readouterr().out
    assert "5 changes seen" in out
    assert out.count(" answers") == 3


def test_after_a_kill_at_any_point_everything_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    with pytest.MonkeyPatch.context() as patch:
        miniature.put_server_on_path(tmp_path / "bin", patch)  # for the load tests alone
    assert promotion.killed(tmp_path, kills=10, seed=3, load_tests=tmp_path / "bin") == []
    assert " killed, " in capsys.readouterr().out


def test_what_the_benchmark_would_find() -> None:
    """It cannot pass by seeing nothing: the rules themselves, on answers made up."""
    spans = [Span(0, frozenset({1})), Span(10, frozenset({1, 2})), Span(20, frozenset({2}))]
    assert champions_of(spans, 1, 2) == {1}
    assert champions_of(spans, 9, 11) == {1, 2}
    assert champions_of(spans, 21, 22) == {2}

    def answer(sent: float, came: float, version: int) -> Answer:
        return Answer(sent, came, PLAIN, None, version, 0)

    new, late, overlapping = answer(12, 13, 2), answer(14, 15, 1), answer(12.5, 15, 1)
    assert went_back([new, overlapping], spans) == []
    assert len(went_back([new, late], spans)) == 1
