"""`segtrail keys`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segtrail import git, secrets


@pytest.mark.parametrize("stdin", ["closed", "empty"])
def test_where_nobody_types_a_passphrase_it_says_what_to_do(tmp_path: Path, stdin: str) -> None:
    git.run(tmp_path, "init", "--quiet")
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text("{}")
    command = [sys.executable, "-m", "cli.main", "keys", "new", "ada", "--out", "../ada.pem"]
    close = "import os, sys; os.close(0); os.execv(sys.executable, sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", close, *command] if stdin == "closed" else command,
        cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        start_new_session=True,
        env={k: v for k, v in os.environ.items() if k not in (secrets.KEY, secrets.PASSPHRASE)}
        | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "error: no passphrase was given" in done.stderr
    assert "set SEGTRAIL_KEY_PASSPHRASE, or give --no-passphrase" in done.stderr
    assert not (tmp_path / "trust").exists()
