"""`segtrail trace`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import miniature
import pytest
import traced
from miniature import DATASET, RECIPE

from cli import main
from lineage import data_history, data_version, dvc_files
from segtrail.workspace import Workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return traced.template(tmp_path_factory)


@pytest.fixture
def here(made: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with a past, as the working directory."""
    workspace = miniature.copy(made, tmp_path / "workspace")
    monkeypatch.chdir(workspace.root)
    monkeypatch.delenv("SEGTRAIL_HOME", raising=False)
    return workspace


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main._run(["trace", *arguments]) == 0
    return capsys.readouterr().out


def test_an_image_is_told_with_the_conclusion_first(here, capsys):
    first, *lines = told(capsys, "image", "one").splitlines()
    assert first.startswith(f"{DATASET}/one: {RECIPE} v1, which serves now, learned from it; ")
    assert lines[:3] == [
        "  found by its id",
        "  in the data at HEAD",
        "  came with delivery 1: cells.zip, by Ada, CC0-1.0",
    ]
    assert "  its split is train in every version that holds it" in lines
    (versions,) = [line for line in lines if line.split()[6:8] == ["3", "train"]]
    commits = [commit.revision[:10] for commit in data_history.commits(here.root)]
    assert [versions.split()[1], versions.split()[4]] == [commits[-1], commits[0]]
    models = [line for line in lines if "train: learned from" in line]
    assert [line.split()[:2] for line in models[:1]] == [[RECIPE, "v1"]]
    assert [line.split("  ")[-1] for line in models].count("never") == 1
    assert any(line.endswith(" as a canary") for line in models)


def test_an_image_that_was_taken_away_says_by_what(here, capsys):
    out = told(capsys, "image", "four", "--dataset", DATASET)
    assert "  removed by delivery 3\n" in out
    assert "  came with delivery 2: 2.zip, by Bob, CC0-1.0\n  group plate-7, slice dark\n" in out


def test_json_has_the_same(here, capsys):
    found = json.loads(told(capsys, "image", "one", "--json"))
    assert found["unread"] == []
    (image,) = found["images"]
    assert image["conclusion"].startswith(f"{RECIPE} v1, which serves now, learned from it")
    assert [each["split"] for each in image["ranges"]] == ["train"]
    use = image["uses"][0]
    assert (use["model"]["name"], use["model"]["now"]) == (f"{RECIPE} v1", "champion")
    assert use["model"]["services"][-1]["until"] is None


def test_a_data_version_and_a_commit(here, capsys):
    commit = data_history.commits(here.root)[1].revision
    md5 = dvc_files.listing_md5(data_version.tree(here.root, commit, DATASET))
    out = told(capsys, "data", md5[:10])
    assert out.startswith(f"{DATASET} {md5.removesuffix('.dir')}: {RECIPE} v2, which served ")
    assert "  4 images\n" in out
    assert "  delivery 2: 2.zip, by Bob, +2 ~0 -0\n" in out
    trained = json.loads(told(capsys, "data", commit, "--json"))["data"][0]["models"][0]
    out = told(capsys, "commit", trained["trained_at"])
    assert out.startswith(f"{trained['trained_at'][:10]}: {RECIPE} v2, which served ")
    assert f"  data {DATASET} {md5.removesuffix('.dir')}, 4 images\n" in out
    assert json.loads(told(capsys, "commit", "HEAD", "--json"))["commit"]["trained"] == []


def test_what_is_unknown_is_an_error_with_a_hint(here, capsys):
    for question in (("image", "nobody"), ("data", "f" * 12), ("commit", "nowhere")):
        assert main._run(["trace", *question]) == 1
        err = capsys.readouterr().err
        assert err.startswith(f"error: {question[1]}: ")
        assert "\n  -> " in err


def test_what_the_cache_lacks_is_named(here, capsys):
    newest = data_history.commits(here.root)[0].revision
    md5 = data_version.data_md5_at(here.root, newest)
    dvc_files.object_path(dvc_files.cache_folder(here.root), md5).unlink()
    out = told(capsys, "image", "one")
    said = "could not look at 1 of the data versions, not in DVC's cache"
    assert f"{said}: {newest[:10]}\n" in out
    assert out.endswith("  -> dvc fetch --all-commits\n")
    assert f"not known: {RECIPE} v3: its data version " in out


def test_asked_again_it_starts_nothing_heavy(here, capsys):
    told(capsys, "image", "one")
    script = (
        "import sys\nfrom cli import main\nassert main._run(['trace', 'image', 'one']) == 0\n"
        "print(sorted({'mlflow', 'tensorflow', 'dvc', 'prefect'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=here.root, capture_output=True, text=True, check=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(main.__file__).parents[1])},
    )  # fmt: skip
    assert done.stdout.endswith("\n[]\n")
