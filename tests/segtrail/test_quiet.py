"""What is kept of what native libraries say while they are imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOISY = """
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to\\n")
os.write(2, b"I0000 00:00:1795252253.419367 28077 cudart_stub.cc:31] Could not find cuda\\n")
os.write(2, b"F0000 00:00:1795252253.419367 28077 cpu.cc:9] needs AVX\\n")
os.write(2, b"something else")
VALUE = 7
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={"PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_only_the_noise_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    done = run(
        "import sys; from segtrail.quiet import import_quietly\n"
        "print(import_quietly('noisy').VALUE, import_quietly('noisy') is sys.modules['noisy'])\n"
        "print(' and after', file=sys.stderr)",
        tmp_path,
    )
    assert done.stdout == "7 True\n"
    assert done.stderr == (
        "F0000 00:00:1795252253.419367 28077 cpu.cc:9] needs AVX\nsomething else and after\n"
    )


def test_a_failing_import_is_told_whole(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY + "raise ImportError('no such wheel')")
    done = run("from segtrail.quiet import import_quietly; import_quietly('noisy')", tmp_path)
    assert done.returncode == 1
    assert "something else" in done.stderr
    assert "ImportError: no such wheel" in done.stderr
    assert "cudart_stub" not in done.stderr


@pytest.mark.slow
def test_tensorflow_says_nothing() -> None:
    done = run(
        "from segtrail import telemetry; telemetry.switch_off()\n"
        "from segtrail.quiet import import_quietly; print(import_quietly('tensorflow').__name__)",
        ROOT,
    )
    assert "tensorflow" in done.stdout
    assert done.stderr == ""
