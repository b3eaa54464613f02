"""Drift in a workspace with git, DVC and a champion, on images made for it."""

from __future__ import annotations

import json
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path

import cv2
import miniature
import numpy as np
import pandas as pd
import pytest
import typer
import yaml

from cli import data_drift
from components.drift import REPORT, RESULT, drift
from lineage import ledger
from segtrail import git, png, split_ledger
from segtrail.artifacts import Examples
from segtrail.errors import (
    ConfigError,
    DataError,
    InsufficientEvidenceError,
    LineageError,
    MissingArtifactError,
    RejectedError,
)
from segtrail.files import sha256_bytes, sha256_file
from segtrail.image_statistics import image_statistics, mask_statistics
from segtrail.images import decode_image, encode_png
from segtrail.split_ledger import Row
from segtrail.workspace import Workspace
from serving import config

RECIPE, DATASET = "demo", "cells"
PARAMS = {
    "datasets": {
        DATASET: {
            "adapter": "dsb2018",
            "licence": "CC0-1.0",
            "masks": "instances",
            "classes": ["nucleus"],
            "slices": {"dark-grey": "fluorescence"},
            "splits": {},
        }
    },
    "recipes": {
        RECIPE: {
            "dataset": DATASET,
            "classes": ["nucleus"],
            "preprocessing": {},
            "network": {},
            "training": {"steps": 3},
            "objects": {},
            "validation": {},
            "gate": {"absolute": [{"metric": "mean_iou", "min": 0.5}]},
            "serving": {},
        }
    },
}


def micrograph(seed: int, nuclei: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns a grey image of dim discs on a dark ground, and their labels."""
    rng = np.random.default_rng([5, seed])
    labels = np.zeros((48, 64), np.uint16)
    for k in range(nuclei or int(rng.integers(2, 4))):
        centre = int(rng.integers(12 + 18 * k, 18 + 18 * k)), int(rng.integers(10, 38))
        cv2.circle(labels, centre, int(rng.integers(4, 8)), k + 1, -1)
    level = rng.uniform(90, 150)
    image = rng.uniform(8, 20) + level * cv2.GaussianBlur((labels > 0) * 1.0, (0, 0), 1)
    noisy = image + rng.normal(0, 4, labels.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), labels


def land(folder: Path, images: dict[str, tuple[np.ndarray, np.ndarray]], delivery: str) -> None:
    """Adds images to a dataset as ingestion does, without its checks."""
    rows = split_ledger.read(folder / split_ledger.LEDGER)
    for number, (name, (pixels, labels)) in enumerate(images.items()):
        image, mask = encode_png(pixels), encode_png(labels)
        for kind, content in (("images", image), ("masks", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"{name}.png").write_bytes(content)
        digest = sha256_bytes(image)
        split = "test" if number % 6 == 5 else "train"
        rows[name] = Row(
            name, digest, sha256_bytes(mask), digest, delivery, "dark-grey", name, "0", split
        )
    (folder / split_ledger.LEDGER).write_text(split_ledger.to_csv(rows))


def write_manifest(folder: Path, path: Path) -> None:
    """Writes the examples manifest of a dataset."""
    found = []
    for row in split_ledger.present(split_ledger.read(folder / split_ledger.LEDGER).values()):
        pixels, labels = (
            decode_image((folder / kind / f"{row.image}.png").read_bytes(), row.image)
            for kind in ("images", "masks")
        )
        measured = image_statistics(pixels) | mask_statistics(
            labels.astype(np.uint16), "instances", ["nucleus"]
        )
        found.append(vars(row) | measured)
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(found).to_parquet(path, index=False)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Workspace:
    """A workspace whose champion v1 learnt from 60 images; not to be changed."""
    root = tmp_path_factory.mktemp("drift") / "workspace"
    root.mkdir()
    workspace = Workspace(root, root)
    git.run(root, "init", "--quiet", "--initial-branch=main")
    git.run(root, "config", "user.name", "Ada")
    git.run(root, "config", "user.email", "ada@example.org")
    miniature.dvc(root, "init", "--quiet")
    (root / ".gitignore").write_text(miniature.GITIGNORE)
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    stage = {
        "cmd": "mkdir -p artifacts/${item} && cp -r made/examples artifacts/${item}/examples",
        "deps": [f"data/{DATASET}"],
        "outs": ["artifacts/${item}/examples"],
    }
    stages = {"examples": {"foreach": [RECIPE], "do": stage}}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    folder = workspace.dataset(DATASET)
    land(folder, {f"first-{i}": micrograph(i) for i in range(72)}, "1")
    write_manifest(folder, root / "made/examples/manifest.parquet")
    miniature.dvc(root, "add", "--quiet", "data")
    miniature.dvc(root, "repro", "--quiet")
    git.commit(root, ["."], "Data and examples")
    commit = git.head(root)
    ledger.append(
        workspace.ledger(RECIPE), ledger.DONE, version=1, model_digest="d" * 64,
        details={"git_commit": commit},
    )  # fmt: skip
    git.commit(root, ["ledger"], "Promote demo v1")
    git.tag(root, f"{RECIPE}/v1", "HEAD", "v1")
    config.set_champion(workspace.models_config, RECIPE, workspace.models / RECIPE, 1)
    return workspace


@pytest.fixture
def workspace(template, tmp_path) -> Workspace:
    root = shutil.copytree(template.root, tmp_path / "workspace", symlinks=True)
    return Workspace(root, root)


def fill(folder: Path, seeds: range, change=lambda pixels: pixels, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        _, content = cv2.imencode(suffix, change(micrograph(seed)[0]))
        (folder / f"field {seed}{suffix}").write_bytes(content.tobytes())
    return folder


def test_a_folder_of_like_images_has_no_drift(workspace, tmp_path):
    found = drift(workspace, RECIPE, images=fill(tmp_path / "production", range(100, 140)))
    assert found.severity == "none"
    assert found.result["baseline"]["champion"] == 1
    assert found.result["baseline"]["images"] == 60
    assert found.result["new"]["compared"] == 40
    assert [s.slice for s in found.slices] == ["all", "fluorescence"]
    assert json.loads((found.folder / RESULT).read_text()) == found.result
    assert found.folder == workspace.artifacts(RECIPE) / "drift"


def test_darkened_images_are_drift_and_the_report_shows_them(workspace, tmp_path):
    folder = fill(tmp_path / "production", range(100, 140), lambda p: (p * 0.6).astype(np.uint8))
    (folder / "field <script> & co.png").write_bytes((folder / "field 101.png").read_bytes())
    found = drift(workspace, RECIPE, images=folder, out=tmp_path / "out")
    assert found.severity == "severe"
    brightness = found.result["slices"]["fluorescence"]["statistics"]["brightness"]
    assert brightness["severity"] == "severe"
    assert brightness["median"] < brightness["baseline_median"]
    assert brightness["n"] == 41
    assert "brightness of fluorescence: median" in brightness["says"]
    page = (tmp_path / "out" / REPORT).read_text()
    assert "<script" not in page
    links = _links(page)
    assert links
    assert all(link.startswith("data:image/png;base64,") for link in links)
    plots = sorted(p.name for p in (tmp_path / "out" / "plots").iterdir())
    assert "fluorescence-brightness.png" in plots
    assert found.result["unusual"]


def test_bad_files_are_listed_and_never_fatal(workspace, tmp_path):
    folder = fill(tmp_path / "production", range(100, 130))
    (folder / "cut.png").write_bytes((folder / "field 100.png").read_bytes()[:200])
    (folder / "notes.txt").write_text("not an image")
    (folder / "empty.tif").touch()
    (folder / ".hidden").write_text("passed over")
    (folder / "link.png").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.png")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png")).write_bytes(b"x")
    (folder / "deep" / "er").mkdir(parents=True)
    shutil.copy(folder / "field 101.png", folder / "deep" / "er" / "zellkörper.png")
    found = drift(workspace, RECIPE, images=folder)
    bad = {item["image"] for item in found.result["new"]["unreadable"]}
    assert bad == {"cut.png", "notes.txt", "empty.tif", "link.png", "pipe.png", "\\xff\\xfe.png"}
    assert found.result["new"]["compared"] == 31
    assert "6 could not be read" in found.report.read_text()


def test_limits_hold_for_a_folder_too(workspace, tmp_path):
    params = yaml.safe_load((workspace.root / "params.yaml").read_text())
    params["datasets"][DATASET]["limits"] = {"files": 24, "file_mib": 1}
    (workspace.root / "params.yaml").write_text(yaml.safe_dump(params))
    folder = fill(tmp_path / "production", range(100, 130))
    (folder / "a.png").write_bytes(bytes(2 << 20))
    found = drift(workspace, RECIPE, images=folder)
    assert found.result["new"]["compared"] == 24
    says = [item["says"] for item in found.result["new"]["unreadable"]]
    assert says == ["larger than 1 MiB", "more than 24 images; this and the rest are left out"]


def test_nothing_readable_is_insufficient_evidence(workspace, tmp_path):
    (tmp_path / "production").mkdir()
    (tmp_path / "production" / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = drift(workspace, RECIPE, images=tmp_path / "production")
    assert found.severity == "insufficient evidence"
    assert found.report.exists()


def test_a_folder_without_an_image_is_an_error(workspace, tmp_path):
    folder = tmp_path / "production"
    (folder / "deep").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no image in .*: PNG, JPEG, BMP or TIFF files are looked"):
        drift(workspace, RECIPE, images=folder)
    (folder / "deep" / "notes.txt").write_text("no image either")
    with pytest.raises(DataError, match=r"no image in .*notes\.txt"):
        drift(workspace, RECIPE, images=folder)
    assert not (workspace.artifacts(RECIPE) / "drift").exists()
    (folder / "a").write_bytes(b"\xff\xd8\xff\xe0")  # a JPEG without suffix, cut short
    found = drift(workspace, RECIPE, images=folder)
    assert found.severity == "insufficient evidence"
    assert {item["image"] for item in found.result["new"]["unreadable"]} == {
        "a", "deep/notes.txt",
    }  # fmt: skip


def test_training_images_among_the_new_are_told(workspace, tmp_path):
    folder = fill(tmp_path / "production", range(100, 130))
    assert drift(workspace, RECIPE, images=folder).notes == []
    landed = workspace.dataset(DATASET) / "images"
    for number in (0, 1, 5):  # each sixth is a test image
        shutil.copy(landed / f"first-{number}.png", folder / f"copy {number}.png")
    found = drift(workspace, RECIPE, images=folder)
    assert found.notes == ["2 of 33 images are training images of the baseline"]
    assert found.result["new"]["training_images"] == 2
    assert found.notes[0] in found.report.read_text()


def test_training_images_that_were_delivered_as_something_else_are_known(workspace, tmp_path):
    """Pages of one TIFF: some were dealt to training."""
    pages = [micrograph(seed)[0] for seed in range(24)]
    stack = tmp_path / "production" / "stack.tif"
    stack.parent.mkdir()
    cv2.imwritemulti(str(stack), pages)
    path = Examples.of(workspace, RECIPE).manifest
    manifest = pd.read_parquet(path)
    for number in range(20):
        row = manifest["image"] == f"first-{number}"
        manifest.loc[row, "delivered_sha256"] = sha256_file(stack)
        manifest.loc[row, "sha256"] = sha256_bytes(png.encode(pages[number]))
    path.unlink()  # it may be a link into DVC's cache
    manifest.to_parquet(path)
    config.withdraw(workspace.models_config, RECIPE)
    found = drift(workspace, RECIPE, images=stack.parent)
    trained = sum(number % 6 != 5 for number in range(20))
    assert found.notes == [f"{trained} of 24 images are training images of the baseline"]


def test_paths_are_told_without_detours(workspace, tmp_path, monkeypatch):
    fill(tmp_path / "production", range(100, 105))
    monkeypatch.chdir(workspace.root)
    found = drift(workspace, RECIPE, images=Path("data/../../production"), out=Path("data/../mine"))
    assert found.says.count(str(tmp_path / "production")) == 1
    assert found.report == workspace.root.resolve() / "mine" / REPORT
    assert ".." not in json.dumps(found.result)
    shutil.copytree(tmp_path / "production", workspace.root / "below")
    found = drift(workspace, RECIPE, images=workspace.root / "data/../below")
    assert "5 images of below," in found.says


def test_a_version_from_before_the_data_is_called_so(workspace):
    tree = git.run(workspace.root, "hash-object", "-t", "tree", "-w", "/dev/null")
    older = git.run(workspace.root, "commit-tree", "-m", "Before there was data", tree)
    with pytest.raises(LineageError, match="older than the first data version"):
        drift(workspace, RECIPE, data_version=older)


def test_other_formats_depths_and_pages_are_read(workspace, tmp_path):
    folder = fill(tmp_path / "production", range(100, 110), suffix=".bmp")
    fill(folder, range(110, 120), lambda p: p.astype(np.uint16) * 257, ".tif")
    pages = [micrograph(seed)[0] for seed in range(120, 126)]
    cv2.imwritemulti(str(folder / "stack.tiff"), pages)
    found = drift(workspace, RECIPE, images=folder)
    assert found.result["new"]["unreadable"] == []
    assert found.result["new"]["compared"] == 26
    assert found.severity == "none"


def test_neighbouring_crops_of_a_folder_count_as_one_group(workspace, tmp_path):
    folder = fill(tmp_path / "production", range(100, 125))
    for seed in range(5):
        shutil.copy(folder / f"field {100 + seed}.png", folder / f"copy {seed}.png")
    found = drift(workspace, RECIPE, images=folder)
    assert found.result["new"]["compared"] == 30
    assert found.result["new"]["groups"] == 25


def test_a_data_version_is_compared_by_what_is_new_in_it(workspace):
    folder = workspace.dataset(DATASET)
    land(folder, {f"second-{i}": micrograph(200 + i) for i in range(30)}, "2")
    found = drift(workspace, RECIPE)
    assert found.severity == "none"
    assert found.result["new"]["compared"] == 30
    assert found.result["new"]["known"] == 72
    assert "objects" in found.result["slices"]["all"]["statistics"]

    changed = {f"third-{i}": micrograph(300 + i, nuclei=1) for i in range(30)}
    land(folder, changed, "3")
    miniature.dvc(workspace.root, "add", "--quiet", "data")
    git.commit(workspace.root, ["data.dvc"], "Third delivery")
    shutil.rmtree(workspace.data)  # it is read from DVC's cache
    found = drift(workspace, RECIPE, data_version="HEAD")
    assert found.result["new"]["compared"] == 60
    assert found.result["new"]["commit"] == git.head(workspace.root)
    assert found.result["slices"]["all"]["statistics"]["objects"]["severity"] == "severe"
    before = drift(workspace, RECIPE, data_version="HEAD~1")
    assert before.severity == "insufficient evidence"
    assert before.result["new"]["compared"] == 0


def test_a_new_mask_on_a_known_image_is_new(workspace):
    folder = workspace.dataset(DATASET)
    relabelled = {}
    for i in range(40):
        pixels, labels = micrograph(i)
        relabelled[f"first-{i}"] = pixels, np.where(labels == 1, labels, 0).astype(np.uint16)
    land(folder, relabelled, "2")
    found = drift(workspace, RECIPE)
    statistics = found.result["slices"]["all"]["statistics"]
    assert found.result["new"]["compared"] == 40
    assert statistics["foreground"]["severity"] == "severe"
    assert statistics["brightness"]["severity"] == "none"


def test_the_baseline_is_what_the_champion_learnt_from_whatever_lies_there_now(workspace, tmp_path):
    folder, manifest = workspace.dataset(DATASET), "artifacts/demo/examples/manifest.parquet"
    dark = {f"dark-{i}": ((micrograph(i)[0] // 2), micrograph(i)[1]) for i in range(80)}
    shutil.rmtree(folder)
    land(folder, dark, "2")
    shutil.rmtree(workspace.artifacts(RECIPE))
    write_manifest(folder, workspace.root / manifest)
    production = fill(tmp_path / "production", range(100, 140))
    assert drift(workspace, RECIPE, images=production).severity == "none"

    config.withdraw(workspace.models_config, RECIPE)
    found = drift(workspace, RECIPE, images=production)
    assert found.severity == "severe"
    assert found.result["baseline"]["champion"] is None
    assert "no version of demo is promoted" in found.says
    shutil.rmtree(workspace.artifacts(RECIPE) / "examples")
    with pytest.raises(MissingArtifactError, match="the stage `examples` makes it"):
        drift(workspace, RECIPE, images=production)


def test_a_baseline_that_is_gone_from_the_cache_is_an_error_that_says_what_to_do(
    workspace, tmp_path
):
    shutil.rmtree(workspace.root / ".dvc" / "cache")
    with pytest.raises(LineageError, match=r"manifest.parquet of the champion demo v1") as e:
        drift(workspace, RECIPE, images=fill(tmp_path / "production", range(100, 125)))
    assert "dvc fetch" in str(e.value)


def test_what_is_wrong_is_said_before_anything_is_written(workspace, tmp_path):
    with pytest.raises(ConfigError, match="received both"):
        drift(workspace, RECIPE, images=tmp_path, data_version="HEAD")
    with pytest.raises(DataError, match="expected a folder of images") as nowhere:
        drift(workspace, RECIPE, images=tmp_path / "nowhere")
    assert nowhere.value.exit_code == 1  # as `segtrail ingest` of a path that is not there
    with pytest.raises(ConfigError, match="git knows no such revision"):
        drift(workspace, RECIPE, data_version="--output=x")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="has something else in it"):
        drift(workspace, RECIPE, images=tmp_path, out=mine)
    assert (mine / "thesis.tex").exists()
    assert not (workspace.artifacts(RECIPE) / "drift").exists()


def test_the_same_images_give_the_same_report_over_the_last_one(workspace, tmp_path):
    folder = fill(tmp_path / "production", range(100, 130), lambda p: 255 - p)
    first = drift(workspace, RECIPE, images=folder)
    page = first.report.read_bytes()
    assert drift(workspace, RECIPE, images=folder).result == first.result
    assert first.report.read_bytes() == page


def test_the_command_fails_only_if_told_to(workspace, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(workspace.root)
    app = typer.Typer()
    app.command()(data_drift.drift)

    def run(*arguments: str) -> str:
        app(["--recipe", RECIPE, *arguments], standalone_mode=False)
        return capsys.readouterr().out

    bad = str(fill(tmp_path / "bad", range(100, 130), lambda p: 255 - p))
    few = str(fill(tmp_path / "few", range(100, 105)))
    assert "severe drift in all" in run("--images", bad)
    assert json.loads(run("--images", bad, "--json"))["severity"] == "severe"
    for severity in ("insufficient", "moderate", "severe"):
        with pytest.raises(RejectedError, match="severe drift") as failed:
            run("--images", bad, "--fail-on", severity)
        assert failed.value.exit_code == 3
        assert failed.value.message not in capsys.readouterr().out  # the error says it
    assert "insufficient evidence" in run("--images", few, "--fail-on", "moderate")
    with pytest.raises(InsufficientEvidenceError) as insufficient:
        run("--images", few, "--fail-on", "insufficient")
    assert insufficient.value.exit_code == 4


def _links(page: str) -> list[str]:
    found: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.extend(value for key, value in attrs if key in ("src", "href"))

    Parser().feed(page)
    return found
