"""What a terminal shows of a flow, in a process of its own since Prefect's loggers are its."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from serving.launch import free_port

SAID = """
import logging
from flows import console

console.quieten()
logging.getLogger("prefect.flow_runs").info("own", extra={"segtrail": True})
logging.getLogger("prefect.flow_runs").error("Encountered an exception")
logging.getLogger("prefect._internal.concurrency").error("Service failed to process item")
logging.getLogger("prefect.engine").warning("deprecated")
"""

LOST = """
from flows import console
from prefect.logging.handlers import APILogWorker

console.quieten()
APILogWorker.instance().send({"message": "lost", "level": 20, "__payload_size__": 4})
APILogWorker.instance().drain()
"""


def said(home: Path, code: str, **variables: str) -> str:
    usual = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    ours = {"PREFECT_HOME": str(home), "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=usual | ours | variables,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_terminal_shows_segtrails_lines_and_warnings(tmp_path) -> None:
    assert said(tmp_path, SAID).split("\n") == ["own", "deprecated", ""]


def test_logs_that_the_server_does_not_take_are_no_lines(tmp_path) -> None:
    nobody = {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}
    never = {"PREFECT_CLIENT_MAX_RETRIES": "0"}
    assert said(tmp_path, LOST, **nobody, **never) == ""
