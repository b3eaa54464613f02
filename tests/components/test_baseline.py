"""`segtrail data baseline`: shows the difference, asks, writes, and refuses bad examples."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from cli.data_baseline import baseline
from components.baseline import propose_baseline
from components.validating.baseline import COMPARED, read
from components.validating.tables import NUMBER, TEXT, TRUTH, required_columns
from segtrail.artifacts import Examples, ValidationResult
from segtrail.errors import DataError, MissingArtifactError, StageError
from segtrail.files import sha256_file, write_json
from segtrail.workspace import Workspace

app = typer.Typer()
app.command()(baseline)


def manifest(level: float) -> pd.DataFrame:
    """Returns a manifest of three images whose numbers lie around `level`."""
    value = {TEXT: "x", TRUTH: True, NUMBER: level}
    columns = {
        name: [value[kind]] * 3 if kind in value else [int(level)] * 3
        for name, kind in required_columns(["nucleus"]).items()
    }
    return pd.DataFrame(columns).assign(image=["a", "b", "c"], slice="dark")


def put(workspace: Workspace, table: pd.DataFrame) -> Path:
    path = Examples.of(workspace, "nuclei").manifest
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, index=False)
    return path


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    root = Path(__file__).parents[2]
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(root / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return Workspace(tmp_path, tmp_path)


def ask(*arguments: str, answer: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["--recipe", "nuclei", *arguments], input=answer)
    return done.exit_code, done.output


def test_it_is_made_shown_kept_and_replaced_only_when_told_to(workspace: Workspace) -> None:
    path = workspace.root / "expectations" / "dsb2018.json"
    put(workspace, manifest(10.0))

    code, said = ask(answer="n\n")
    assert code != 0
    assert "slices.dark.ranges.brightness" in said
    assert not path.exists()

    code, said = ask(answer="y\n")
    assert code == 0
    assert "git add expectations/dsb2018.json" in said
    first = read(path)
    assert first is not None
    assert first.slices["dark"].images == 3
    assert set(first.slices["dark"].ranges) == {*COMPARED, "foreground_nucleus"}

    code, said = ask()
    assert (code, "nothing differs" in said) == (0, True)

    put(workspace, manifest(20.0))
    code, said = ask("--yes")
    assert code == 0
    assert "10 to 10" in said
    assert "20 to 20" in said
    assert "--update" in said
    assert read(path) == first

    code, said = ask("--update", "--yes")
    assert code == 0
    changed = read(path)
    assert changed is not None
    assert changed.slices["dark"].ranges["brightness"].min == 20


def test_examples_that_failed_validation_make_no_baseline(workspace: Workspace) -> None:
    path = put(workspace, manifest(10.0))
    result = ValidationResult.of(workspace, "nuclei")
    found = {"passed": False, "failed": [{"says": "each mask has the size of its image: a"}]}
    write_json(result.result, found | {"examples_digest": sha256_file(path)})
    with pytest.raises(StageError, match="each mask has the size of its image"):
        propose_baseline(workspace, "nuclei")
    put(workspace, manifest(11.0))  # other examples: the result is not about them
    assert propose_baseline(workspace, "nuclei").now.images == 3


def test_a_manifest_that_is_not_whole_makes_no_baseline(workspace: Workspace) -> None:
    with pytest.raises(MissingArtifactError):
        propose_baseline(workspace, "nuclei")
    table = manifest(10.0)
    for damaged, says in (
        (table.drop(columns=["brightness"]), "expected images, and the columns"),
        (table.iloc[:0], "expected images, and the columns"),
        (table.assign(brightness=[1.0, None, 2.0]), "values are missing"),
        (table.assign(slice="<b>"), "slices"),
    ):
        put(workspace, damaged)
        with pytest.raises(DataError, match=says):
            propose_baseline(workspace, "nuclei")
