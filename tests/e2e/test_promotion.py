"""Versions change under load, and walks are killed: `benchmarks/promotion.py`, in small."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import agreement
import miniature
import pytest
import yaml

pytest.importorskip("tensorflow")

from benchmarks import promotion
from benchmarks.promotion_load import PLAIN, Answer, Span, champions_of, went_back
from benchmarks.promotion_workspace import RECIPE, Bench, build, live_server, load_tests_by
from components.promote import promote, recover
from segtrail import git
from serving.client import SegmentationClient
from serving.launch import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked by clients is the embedded server, in any case."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")


def load_tests(folder: Path) -> Path:
    """Returns a folder with the stand-in for TF Serving, which starts at once."""
    with pytest.MonkeyPatch.context() as patch:
        miniature.put_server_on_path(folder / "bin", patch)
    return folder / "bin"


def test_no_request_fails_or_mixes_versions_while_the_champion_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = promotion.under_load(
        tmp_path, walks=5, clients=4, hold_s=1.0, pause_s=0.02, load_tests=load_tests(tmp_path)
    )
    assert wrong == []
    out = capsys.readouterr().out
    assert "5 changes seen" in out
    assert out.count(" answers") == 3


def test_after_a_kill_at_any_point_everything_agrees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promotion.killed(tmp_path, kills=10, seed=3, load_tests=load_tests(tmp_path)) == []
    assert " killed, " in capsys.readouterr().out


def test_a_server_that_missed_a_state_is_led_through_them_again(tmp_path: Path) -> None:
    """It sees only the last: the label on a version that it has not loaded, and refuses it."""
    bench = build(tmp_path, 2, 0.0)
    target = bench.target
    with load_tests_by(load_tests(tmp_path)):
        promote(bench.workspace, RECIPE)
    log = tmp_path / "server.log"
    with contextlib.ExitStack() as stack:
        pid = stack.enter_context(live_server(bench, log))
        stack.enter_context(load_tests_by(tmp_path / "bin"))
        os.kill(pid, signal.SIGSTOP)
        stack.callback(os.kill, pid, signal.SIGCONT)
        move(bench, f"127.0.0.1:{free_port()}")  # where nobody is asked
        bench.next_candidate()
        assert promote(bench.workspace, RECIPE).version == 2
        os.kill(pid, signal.SIGCONT)
        move(bench, target)
        end = time.monotonic() + 60
        while "Request to assign label to version 2" not in log.read_text():
            assert time.monotonic() < end
            time.sleep(0.1)
        client = stack.enter_context(SegmentationClient(target))
        assert client.served_version(RECIPE) == 1
        said = recover(bench.workspace, RECIPE)
        assert any("at v1: it missed a change" in line for line in said)
        assert client.served_version(RECIPE, "stable") == 2
        assert agreement.problems(bench.workspace, RECIPE) == []


def move(bench: Bench, target: str) -> None:
    """Changes the recipe's address."""
    path = bench.workspace.params
    params = yaml.safe_load(path.read_text())
    params["recipes"][RECIPE]["serving"]["target"] = target
    path.write_text(yaml.safe_dump(params))
    git.commit(bench.workspace.root, ["params.yaml"], "Another address")


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
