"""What is a fault, that passes, and what a mistake, that stays."""

import errno
import shutil

import httpx
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from segtrail.errors import DataError, ServingError
from segtrail.faults import is_fault, is_full_disk, told
from serving.launch import free_port


def raised(inner: Exception, outer: Exception, hidden: bool = False) -> Exception:
    try:
        try:
            raise inner
        except Exception:
            if hidden:
                raise outer from None
            raise outer  # noqa: B904
    except Exception as e:
        return e


def of_library(name: str, base: type[Exception] = Exception, says: str = "no answer") -> Exception:
    module, _, kind = name.rpartition(".")
    return type(kind, (base,), {"__module__": module})(says)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        shutil.Error([("a", "b", "[Errno 28] No space left on device: 'a' -> 'b'")]),
        RuntimeError("Timed out while attempting to connect to ephemeral Prefect API server."),
        ConnectionRefusedError(),
        TimeoutError(),
        MemoryError(),
        of_library("sqlalchemy.exc.OperationalError"),
        raised(httpx.ConnectError("refused"), RuntimeError("Failed to reach API")),
        type("Own", (type(of_library("requests.exceptions.ConnectionError")),), {})(),
        raised(ConnectionResetError(), ServingError("127.0.0.1:8500: no answer"), hidden=True),
        raised(of_library("urllib3.exceptions.HTTPError"), RuntimeError("MLflow: no answer")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_faults(error):
    assert is_fault(error)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file"),
        PermissionError(errno.EACCES, "Permission denied"),
        DataError("a.png: no image"),
        raised(KeyError("x"), DataError("no x")),
        ValueError("wrong"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_mistakes(error):
    assert not is_fault(error)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        shutil.Error([("a", "b", "[Errno 28] No space left on device: 'a' -> 'b'")]),
        of_library("sqlite3.OperationalError", says="database or disk is full"),
        raised(OSError(errno.ENOSPC, "No space left on device"), DataError("a.png: not written")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_full_disk_is_told_with_what_frees_some(error):
    assert is_full_disk(error)
    assert "segtrail gc --dry-run" in told(error).hint


def test_an_mlflow_that_gives_no_answer_is_told_in_a_line(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(MlflowException) as failed:
        MlflowClient(nobody).get_run("a" * 32)
    assert is_fault(failed.value)
    said = told(failed.value)
    assert said.message == f"MLflow at {nobody} gives no answer: Connection refused"
    assert "run it again" in said.hint


def test_a_prefect_that_gives_no_answer_is_told_in_a_line():
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(httpx.ConnectError) as failed:
        httpx.get(f"{nobody}/api/health")
    for error in (failed.value, raised(failed.value, RuntimeError("Failed to reach API"))):
        assert told(error).message == f"Prefect at {nobody} gives no answer: Connection refused"
    unasked = httpx.ConnectError("refused")  # without its request
    assert told(unasked).message == "refused"


def test_another_fault_is_no_full_disk():
    assert not is_full_disk(ConnectionRefusedError("refused"))
    assert "gc" not in told(ConnectionRefusedError("refused")).hint


def test_a_chain_that_ends_in_itself_ends():
    error = ValueError()
    error.__context__ = other = KeyError()
    other.__context__ = error
    assert not is_fault(error)
