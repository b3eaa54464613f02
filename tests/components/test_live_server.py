"""Promotions and recoveries beside a live server that lags, is silent, or failed before."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import agreement
import miniature
import pytest
import yaml
from certificates import Authority
from miniature import RECIPE

from components.promote import promote, recover, rollback
from components.promotion import changeover, live
from components.promotion.live import Live
from lineage import history, ledger, ledger_events
from segtrail import git
from segtrail.errors import ConfigError, StageError
from segtrail.params import load_recipe
from segtrail.workspace import Workspace
from serving import config
from serving.client import SegmentationClient
from serving.failures import LoadError
from serving.launch import running_server, server_command, server_environment


class Crash(BaseException):
    """Like a SIGKILL, nothing in the code catches it."""


@contextlib.contextmanager
def server(workspace: Workspace, models_config: Path) -> Iterator[int]:
    """Runs a server at the recipe's target; yields its process id."""
    target = load_recipe(workspace, RECIPE).serving.target
    command = server_command(int(target.rpartition(":")[2]), config=models_config)
    process = subprocess.Popen(command, env=server_environment())
    try:
        while not live.is_listening(target):
            assert process.poll() is None
            time.sleep(0.05)
        yield process.pid
    finally:
        process.kill()  # it may have been stopped
        process.wait()


@pytest.fixture
def at_v2(promoted: Workspace, monkeypatch: pytest.MonkeyPatch) -> tuple[Workspace, Path]:
    """A workspace that serves v2, and a configuration that still names v1."""
    old = promoted.models_config.with_name("old.config")
    shutil.copy(promoted.models_config, old)
    promote(promoted, RECIPE)
    monkeypatch.setattr(changeover, "UNDO_WITHIN_S", 0.3)
    monkeypatch.setattr(live, "CONFIRM_WITHIN_S", 1.0)
    return promoted, old


def test_a_server_that_stays_behind_is_led_by_an_intent_that_is_closed(at_v2) -> None:
    workspace, old = at_v2
    with server(workspace, old):
        lines = recover(workspace, RECIPE)
    assert any("at v1: it missed a change" in line for line in lines)
    entries = ledger.read(workspace.ledger(RECIPE))
    assert [e.event for e in entries[-2:]] == [ledger.INTENT, ledger.LED]
    assert agreement.problems(workspace, RECIPE) == []
    assert [period.version for period in history.periods(entries)] == [1, 2]
    assert "stayed at v1" in ledger_events.events(entries)[-1].says
    assert rollback(workspace, RECIPE, reason="a drill").version == 1


@pytest.mark.parametrize("wait", [0, 1])
def test_a_crash_while_it_is_led_is_recovered(at_v2, monkeypatch, wait: int) -> None:
    workspace, old = at_v2
    with server(workspace, old):
        with monkeypatch.context() as patch, pytest.raises(Crash):
            left = [wait]

            def crash(*_: object) -> None:
                if not left[0]:
                    raise Crash
                left[0] -= 1

            patch.setattr(changeover, "_wait", crash)
            recover(workspace, RECIPE)
        assert len(config.read(workspace.models_config)[RECIPE].versions) == 2
        with contextlib.suppress(StageError):  # this server never follows
            recover(workspace, RECIPE)
        recover(workspace, RECIPE)
    assert agreement.problems(workspace, RECIPE) == []
    assert config.champion(workspace.models_config, RECIPE) == 2
    assert ledger.champion(ledger.read(workspace.ledger(RECIPE))).version == 2


def test_a_server_of_a_version_that_nobody_knows_is_left_alone(at_v2) -> None:
    workspace, old = at_v2
    shutil.copytree(workspace.models / RECIPE / "1", workspace.root.parent / "other" / "9")
    config.set_champion(old, RECIPE, workspace.root.parent / "other", 9)
    before = workspace.ledger(RECIPE).read_bytes()
    with server(workspace, old):
        lines = recover(workspace, RECIPE)
    assert any("v9" in line and "no version" in line for line in lines)
    assert workspace.ledger(RECIPE).read_bytes() == before
    assert agreement.problems(workspace, RECIPE) == []


def test_a_server_that_does_not_answer_stops_a_promotion(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_PROBE_S", 0.5)
    with server(promoted, promoted.models_config) as pid:
        before = promoted.ledger(RECIPE).read_bytes()
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(StageError, match="does not say what it serves; nothing was changed"):
            promote(promoted, RECIPE)
        assert promoted.ledger(RECIPE).read_bytes() == before  # asked before the load test
        os.kill(pid, signal.SIGCONT)
        stable = changeover._stable

        def stop_and_go_on(plan: Any) -> Any:
            os.kill(pid, signal.SIGSTOP)
            return stable(plan)

        monkeypatch.setattr(changeover, "_stable", stop_and_go_on)
        with pytest.raises(StageError, match="does not say what it serves; v1 serves on"):
            promote(promoted, RECIPE)
    assert agreement.problems(promoted, RECIPE) == []
    assert config.champion(promoted.models_config, RECIPE) == 1


def test_a_server_that_dies_during_a_rollback_is_not_waited_for(
    promoted: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(promoted, RECIPE)
    monkeypatch.setattr(live, "GONE_S", 0.5)  # CONFIRM_WITHIN_S is as it is: two minutes
    write = changeover._write
    with server(promoted, promoted.models_config) as pid:

        def kill_and_write(*what: Any, **beside: Any) -> None:
            os.kill(pid, signal.SIGKILL)
            write(*what, **beside)

        monkeypatch.setattr(changeover, "_write", kill_and_write)
        capsys.readouterr()
        with pytest.raises(StageError) as gone:
            rollback(promoted, RECIPE, reason="a drill")
    assert gone.value.message.startswith("demo v1 is not rolled back to: 127.0.0.1:")
    assert "refused every connection for 0.5 s; v2 is the champion still" in gone.value.message
    assert str(gone.value.hint).startswith("segtrail serve")
    done = capsys.readouterr().out
    assert done.count("load test: ") == done.count("ledger: intent to serve v1") == 1
    told = ledger_events.events(ledger.read(promoted.ledger(RECIPE)))[-1]
    assert (told.event, told.version) == (ledger.FAILED, 1)
    assert told.says.startswith("not rolled back to: introduce: ")
    assert agreement.problems(promoted, RECIPE) == []
    assert config.champion(promoted.models_config, RECIPE) == 2


def test_a_server_that_speaks_tls_is_told_before_the_load_test(
    promoted: Workspace, tmp_path: Path
) -> None:
    pair = Authority().sign("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, content in (("key", pair.key), ("certificate", pair.certificate)):
        (tmp_path / name).write_bytes(content)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    port = int(load_recipe(promoted, RECIPE).serving.target.rpartition(":")[2])
    before = promoted.ledger(RECIPE).read_bytes()
    with socket.create_server(("127.0.0.1", port)) as listening:

        def greet() -> None:
            while True:
                try:
                    other, _ = listening.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), context.wrap_socket(other, True) as secured:
                    secured.recv(1)

        greeter = threading.Thread(target=greet)
        greeter.start()
        try:
            with pytest.raises(StageError, match="this client does not") as refused:
                promote(promoted, RECIPE)
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            greeter.join()
    hint = "mend recipes.demo.serving.tls of params.yaml, and try again"
    assert refused.value.hint == hint
    assert promoted.ledger(RECIPE).read_bytes() == before


def test_nothing_moves_while_params_yaml_cannot_be_read(at_v2) -> None:
    workspace, _ = at_v2
    before = workspace.ledger(RECIPE).read_bytes(), workspace.models_config.read_bytes()
    text = workspace.params.read_text()
    for broken, says in (
        (text.replace("target:", "targett:"), "targett"),
        (text.replace("\nrecipes:", "\nrecipies:"), "recipies"),
        (f"{text}\nrecipes: {{}}\n", "recipes: given twice"),
    ):
        workspace.params.write_text(broken)
        with pytest.raises(ConfigError, match=says):
            rollback(workspace, RECIPE, reason="a drill")
    now = workspace.ledger(RECIPE).read_bytes(), workspace.models_config.read_bytes()
    assert now == before


def test_each_state_stays_for_servers_that_follow_the_file_and_are_not_asked(
    promoted: Workspace,
) -> None:
    hold_s = 1.0
    params = yaml.safe_load(promoted.params.read_text())
    params["recipes"][RECIPE]["serving"]["hold_s"] = hold_s
    promoted.params.write_text(yaml.safe_dump(params))
    git.commit(promoted.root, ["params.yaml"], "Hold")
    states: dict[tuple[object, ...], float] = {}
    over = threading.Event()

    def follow() -> None:
        while not over.wait(0.02):
            written = promoted.models_config.stat().st_mtime
            model = config.read(promoted.models_config)[RECIPE]
            states.setdefault((tuple(sorted(model.versions)), model.labels["stable"]), written)

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        promote(promoted, RECIPE)
        over.wait(0.2)
    finally:
        over.set()
        follower.join()
    assert list(states) == [((1,), 1), ((1, 2), 1), ((1, 2), 2), ((2,), 2)]
    _, *written = states.values()
    # by the file's own times, which step by some milliseconds
    assert all(later - earlier > 0.95 * hold_s for earlier, later in itertools.pairwise(written))


def test_a_version_that_did_not_load_is_tried_again_by_the_same_server(tmp_path: Path) -> None:
    """The server tells of the old failure until it has read the configuration again."""
    store = tmp_path / "store"
    for number, model in enumerate(miniature.save_models(tmp_path / "made", [90, 110]).values(), 1):
        shutil.copytree(model, store / str(number))
    graph, path = store / "2" / "saved_model.pb", tmp_path / "models.config"
    good = graph.read_bytes()
    graph.write_bytes(b"cut")
    config.set_champion(path, "demo", store, 1)
    log = tmp_path / "server.log"
    with (
        running_server("demo", config=path, log=log) as running,
        SegmentationClient(running.target) as client,
    ):
        server = Live(running.target, client)
        config.set_champion(path, "demo", store, 1, beside=2)
        with pytest.raises(LoadError):
            server.wait_loaded("demo", 2, 60)
        config.set_champion(path, "demo", store, 1)
        graph.write_bytes(good)
        time.sleep(2)
        assert client.status("demo")[2] == "END"
        config.set_champion(path, "demo", store, 1, beside=2)
        server.wait_loaded("demo", 2, 60)
        assert client.status("demo") == {1: "AVAILABLE", 2: "AVAILABLE"}
