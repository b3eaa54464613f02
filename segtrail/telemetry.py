"""Turns the telemetry and the start-up noise of the libraries off, unless a user set it."""

from __future__ import annotations

import os

OFF = {
    "DO_NOT_TRACK": "true",  # MLflow reads the word, not 1
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 8 processes that outlive the server
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "GRPC_VERBOSITY": "ERROR",
}


def switch_off() -> None:
    """Sets the switches in this process's environment, which its children inherit."""
    for name, value in OFF.items():
        os.environ.setdefault(name, value)
