"""The log of a run: what is in its lines, and what never is."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from segtrail import run_log
from segtrail.errors import MissingArtifactError, StageError
from segtrail.workspace import Workspace

RUN = "0c9f4e1a-0000-4000-8000-000000000001"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, tmp_path)


def lines(workspace: Workspace) -> list[dict]:
    text = run_log.path_of(workspace, RUN).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_each_line_is_an_object_of_this_run(workspace):
    logger, told = logging.Logger("test"), []
    with run_log.kept(workspace, RUN, {"recipe": "nuclei"}, [logger], told.append):
        assert os.environ[run_log.VARIABLE] == RUN
        logger.info("   train | epoch 3", extra={"step": "train", "line": "epoch 3"})
        logger.warning("Größe\nunknown", extra={"flow_run_id": RUN, "task_name": "gate"})
        logger.info("of another", extra={"flow_run_id": "another"})
    assert run_log.VARIABLE not in os.environ
    logger.info("after it")
    first, second = lines(workspace)
    time = first.pop("time")
    assert (len(time), time[10], time[-1]) == (len("2026-02-03T04:05:06.789Z"), "T", "Z")
    assert first == {
        "level": "INFO", "run": RUN, "recipe": "nuclei", "step": "train", "message": "epoch 3",
    }  # fmt: skip
    assert (second["level"], second["step"], second["message"]) == (
        "WARNING", "gate", "Größe\nunknown",
    )  # fmt: skip
    assert told == [f"run {RUN}; log: .segtrail/logs/{RUN}.jsonl"]


def test_a_failure_is_in_it_and_shows_the_way_to_it(workspace):
    logger, told = logging.Logger("test"), []
    with (
        pytest.raises(StageError),
        run_log.kept(workspace, RUN, {}, [logger], told.append),
    ):
        raise StageError("the images are upside down", "turn them round")
    (line,) = lines(workspace)
    assert line["level"] == "ERROR"
    assert line["message"] == "the images are upside down\n  -> turn them round"
    assert told[-1] == f"failed; log: .segtrail/logs/{RUN}.jsonl"


def test_secrets_are_not_in_it(workspace, monkeypatch):
    monkeypatch.setenv("SEGTRAIL_KEY_PASSPHRASE", "abc")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    logger = logging.Logger("test")
    with run_log.kept(workspace, RUN, {}, [logger], print):
        logger.info("opens with %s and wJalrXUtnFEMI", "abc")
        logger.error("no answer of postgresql://ada:pa/55@word@db.example/mlflow")
    said = [line["message"] for line in lines(workspace)]
    assert said == [
        "opens with *** and ***", "no answer of postgresql://***@db.example/mlflow",
    ]  # fmt: skip


def test_the_newest_are_kept(workspace):
    folder = run_log.folder(workspace)
    folder.mkdir(parents=True)
    for number in range(run_log.KEPT + 5):
        path = folder / f"{number}.jsonl"
        path.touch()
        os.utime(path, (number, number))
    with run_log.kept(workspace, RUN, {}, [logging.Logger("test")], print):
        pass
    left = {path.stem for path in folder.iterdir()}
    assert left == {RUN, *(str(n) for n in range(6, run_log.KEPT + 5))}


def test_a_run_goes_on_where_no_log_can_be_written(workspace):
    workspace.scratch.write_text("in the way")
    told = []
    with run_log.kept(workspace, RUN, {}, [logging.Logger("test")], told.append):
        pass
    assert "no log" in told[0]


def test_a_log_is_found_by_the_beginning_of_its_name(workspace):
    for run in ("aa1", "aa2", "b1"):
        with run_log.kept(workspace, run, {}, [logging.Logger("test")], print):
            pass
    os.utime(run_log.path_of(workspace, "aa2"), (2**32, 2**32))
    assert run_log.find(workspace, "b").stem == "b1"
    assert run_log.find(workspace, "last").stem == "aa2"
    with pytest.raises(MissingArtifactError, match=r"2 logs in .* begin so.*aa2"):
        run_log.find(workspace, "aa")
    with pytest.raises(MissingArtifactError, match=r"no logs in .*: aa2"):
        run_log.find(workspace, "c")


def test_a_line_that_was_cut_off_is_shown_as_it_is():
    assert run_log.readable('{"time": "2026-02') == '{"time": "2026-02'
    line = {"time": "2026-02-03T04:05:06.789Z", "level": "ERROR", "step": None, "message": "no"}
    shown = run_log.readable(json.dumps(line))
    assert shown == "2026-02-03 04:05:06                 | ERROR: no"
