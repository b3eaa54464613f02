"""An erasure, with the real DVC, git and remotes: afterwards the bytes are nowhere."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import yaml

from cli.main import main
from components.erase import Erased, erase, purge
from components.ingest import ingest
from components.ingestion import versioning
from flows import clone
from segtrail import deliveries, git, git_objects, split_ledger, tombstones
from segtrail.errors import ConfigError, DataError, WorkspaceError
from segtrail.files import sha256_bytes
from segtrail.images import encode_png
from segtrail.workspace import Workspace

pytestmark = pytest.mark.slow

DATASET, RECIPE = "cells", "demo"
PARAMS = {
    "datasets": {
        DATASET: {
            "adapter": "dsb2018", "licence": "CC0-1.0", "masks": "instances",
            "classes": ["nucleus"], "slices": {},
            "splits": {"validation": 0.2, "test": 0.2, "seed": 1},
        }
    },
    "recipes": {
        RECIPE: {
            "dataset": DATASET, "classes": ["nucleus"], "preprocessing": {}, "network": {},
            "training": {"steps": 3}, "objects": {}, "validation": {}, "serving": {},
            "gate": {"absolute": [{"metric": "mean_iou", "min": 0.5}]},
        }
    },
}  # fmt: skip
# What segtrail's stages leave of the images' bytes, in the same files, without TensorFlow.
STAGE = """
    import base64, json, sys
    from pathlib import Path

    stage, out = sys.argv[1], Path("artifacts/demo")
    images = sorted(Path("data/cells/images").glob("*.png"))
    masks = sorted(Path("data/cells/masks").glob("*.png"))

    def write(name, content):
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    read = [path.read_bytes() for path in (*images, *masks)]
    if stage == "examples":
        write("examples/train.tfrecord", b"record".join(read))
        write("examples/manifest.parquet", str([p.stem for p in images]).encode())
    elif stage == "validate":
        page = b"".join(b'<img src="data:;base64,' + base64.b64encode(x) + b'">' for x in read)
        write("validation/data_docs/index.html", page)
        write("validation/result.json", b'{"passed": true}')
    elif stage == "transform":
        write("transform/tiles/train/x/tiles-0", b"tile".join(read))
        write("transform/graph/saved_model.pb", b"graph %d" % len(images))
        write("transform/statistics.json", b"{}")
    elif stage == "train":
        write("model/saved_model.pb", b"weights %d" % len(images))
        write("model/assets.extra/tf_serving_warmup_requests", b"log" + read[0] + b"crc")
        write("training/run.json", b"{}")
    else:
        for path, content in zip(images, read):
            write(f"evaluation/overlays/{path.name}", content)
            write(f"evaluation/golden/{path.name}", content)
        write("evaluation/metrics.json", b'{"n": %d}' % len(images))
"""
READS = {
    "examples": ["data/cells"],
    "validate": ["artifacts/demo/examples"],
    "transform": ["artifacts/demo/examples"],
    "train": ["artifacts/demo/examples", "artifacts/demo/transform"],
    "evaluate": ["artifacts/demo/examples", "artifacts/demo/model"],
}
MAKES = {
    "examples": ["examples"], "validate": ["validation"], "transform": ["transform"],
    "train": ["model", "training"], "evaluate": ["evaluation"],
}  # fmt: skip


class Lab:
    """A workspace with two remotes, and what is needed to fill and to search it."""

    def __init__(self, base: Path) -> None:
        self.base, self.root = base, base / "workspace"
        self.workspace = Workspace(self.root, self.root)

    def deliver(self, salts: dict[str, int], **options: object) -> None:
        """Ingests images, other pixels for another salt."""
        folder = self.base / "delivery"
        shutil.rmtree(folder, ignore_errors=True)
        for image, salt in salts.items():
            for kind, content in zip(("images", "masks"), png(image, salt), strict=True):
                path = folder / image / kind / f"{image}.png"
                path.parent.mkdir(parents=True)
                path.write_bytes(content)
        ingest(self.workspace, DATASET, folder, **options)  # type: ignore[arg-type]
        for image, salt in salts.items():
            for kind in ("images", "masks"):
                to = self.base / "landed" / f"{image}-{salt}" / kind
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.root / f"data/{DATASET}/{kind}/{image}.png", to)

    def landed(self, image: str, salt: int = 0) -> tuple[bytes, bytes]:
        """Returns an image and its mask as they came to lie in `data/`."""
        folder = self.base / "landed" / f"{image}-{salt}"
        return (folder / "images").read_bytes(), (folder / "masks").read_bytes()

    def run_pipeline(self) -> None:
        self.dvc("repro")
        git.commit(self.root, ["dvc.lock"], "Run")

    def push(self) -> None:
        self.dvc("push", "--all-commits", "--run-cache", "--remote", "main")
        self.dvc("push", "--all-commits", "--remote", "second")

    def dvc(self, *args: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *args], cwd=self.root, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def stored(self, md5: str) -> list[Path]:
        """Returns where DVC keeps a content."""
        roots = (self.root / ".dvc/cache", self.base / "main", self.base / "second")
        paths = [root / "files/md5" / md5[:2] / md5[2:] for root in roots]
        return [path for path in paths if path.exists()]

    def holders(self, needle: bytes) -> list[str]:
        """Returns every file of the workspace and its remotes with these bytes, or as base64."""
        coded = base64.b64encode(needle)[:-4]
        roots = (self.root, self.base / "main", self.base / "second")
        return sorted(
            path.relative_to(self.base).as_posix()
            for root in roots
            for path in root.rglob("*")
            if path.is_file() and (needle in (content := path.read_bytes()) or coded in content)
        )


def png(image: str, salt: int = 0) -> tuple[bytes, bytes]:
    """Returns an image and the mask of one nucleus that lies elsewhere in each image."""
    rng = np.random.default_rng([salt, *image.encode()])
    mask = np.zeros((40, 48), np.uint8)
    at = (ord(image[0]) - ord("a")) * 2 + salt
    mask[at : at + 9, 3:12] = 255
    pixels = rng.integers(0, 60, mask.shape).astype(np.uint8)
    pixels[mask > 0] += 120
    return encode_png(pixels), encode_png(mask)


@pytest.fixture(scope="session", autouse=True)
def _own_git_identity():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        patch.setenv("DVC_NO_ANALYTICS", "1")
        yield


@pytest.fixture(scope="module")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Images a to d, then a with other pixels; the pipeline run and pushed each time."""
    lab = Lab(tmp_path_factory.mktemp("erase"))
    root = lab.root
    root.mkdir()
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    (root / "stage.py").write_text(textwrap.dedent(STAGE))
    stages = {
        stage: {
            "foreach": [RECIPE],
            "do": {
                "cmd": f"{sys.executable} -I -S stage.py {stage}",
                "deps": READS[stage],
                "outs": [f"artifacts/${{item}}/{out}" for out in MAKES[stage]],
            },
        }
        for stage in READS
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (root / ".gitignore").write_text("/data\n/artifacts/\n/.segtrail/\n/quarantine/\n/mlruns/\n")
    git.run(root, "init", "--quiet", "--initial-branch=main")
    lab.dvc("init", "--quiet")
    # absolute, or else `dvc push --all-commits` takes them as relative to the root of the disk
    lab.dvc("remote", "add", "--default", "main", str(lab.base / "main"))
    lab.dvc("remote", "add", "second", str(lab.base / "second"))
    git.commit(root, ["."], "Start")
    lab.deliver(dict.fromkeys("abcd", 0))
    lab.run_pipeline()
    lab.deliver({"a": 1}, replace=True)
    lab.run_pipeline()
    lab.push()
    return lab


@pytest.fixture
def lab(_filled: Lab, tmp_path: Path) -> Lab:
    shutil.copytree(_filled.base, tmp_path / "lab", symlinks=True)
    copy = Lab(tmp_path / "lab")
    for remote in ("main", "second"):
        copy.dvc("remote", "modify", remote, "url", str(copy.base / remote))
    git.commit(copy.root, [".dvc/config"], "Remotes of its own")
    return copy


def check_gone(lab: Lab, needles: Iterable[bytes]) -> None:
    for needle in needles:
        assert lab.holders(needle) == []


def check_others(lab: Lab) -> None:
    """The images that stay are whole: here, in the cache and in the remotes."""
    for image in "bcd":
        for kind, content in zip(("images", "masks"), lab.landed(image), strict=True):
            assert (lab.root / f"data/cells/{kind}/{image}.png").read_bytes() == content
    versioning.require_unchanged(lab.workspace)
    lab.dvc("push")
    shutil.rmtree(lab.root / ".dvc/cache")
    shutil.rmtree(lab.root / "data")
    lab.dvc("fetch")  # all that HEAD names, not data alone
    lab.dvc("checkout", "data.dvc")
    assert {path.stem for path in (lab.root / "data/cells/images").iterdir()} == set("bcd")


def test_the_bytes_are_nowhere_and_the_others_are_whole(lab: Lab) -> None:
    old, new = lab.landed("a"), lab.landed("a", 1)
    plant_copies(lab, new[0])
    assert len(lab.holders(new[0])) > 10  # or else the search finds nothing
    assert len(lab.holders(old[0])) > 5
    before = git.head(lab.root)

    done = erase(lab.workspace, DATASET, ["a"], reason="consent withdrawn", by="Ada")

    check_gone(lab, (*old, *new))
    assert done.images == ("a",)
    assert (done.versions, done.delivery) == (2, 3)
    assert all(count >= 4 for count in done.deleted.values())
    assert set(done.deleted) == {"DVC's cache", "the remote 'main'", "the remote 'second'"}
    ledger = split_ledger.read(lab.root / "data/cells/splits.csv")
    assert ledger["a"].removed == "3"
    assert ledger["a"].sha256 == sha256_bytes(new[0])
    assert deliveries.read(lab.root / "data/cells/deliveries.csv")[-1] == deliveries.Row(
        3, "erasure", "", "Ada", "", 0, 0, 1
    )
    graves = tombstones.read(lab.root / "data/cells/tombstones.csv")
    assert {(g.sha256, g.mask_sha256) for g in graves} == {
        tuple(map(sha256_bytes, old)), tuple(map(sha256_bytes, new))
    }  # fmt: skip
    assert {(g.image, g.delivery, g.reason, g.by) for g in graves} == {
        ("a", 3, "consent withdrawn", "Ada")
    }
    assert git.run(lab.root, "status", "--porcelain") == ""
    assert git.run(lab.root, "diff", "--name-only", before, "HEAD").split() == [
        "data.dvc", "dvc.lock"
    ]  # fmt: skip
    remains = "\n".join(done.remains)
    assert "delivery (sha256" in remains
    assert set(done.copies) >= {
        "artifacts/demo/examples/", "artifacts/demo/validation/", "artifacts/demo/drift/",
        "quarantine/cells/x-1/ (1 file)", ".segtrail/champion-scores/ (1 file)",
        "artifacts/demo/gate/ (1 file)", "artifacts/demo/compare/", ".segtrail/scores/demo/",
        ".segtrail/workers/demo/artifacts/demo/examples/", "artifacts/demo/asked/",
        "mlruns/demo/5f/artifacts/report/ (1 file)",
    }  # fmt: skip
    assert (lab.root / "mlruns/demo/6a/artifacts/report/report.html").exists()  # of others alone
    assert not (lab.root / "mlruns/demo/5f/artifacts/report/report.html").exists()
    assert "audit --html (certificates)" in remains
    assert "segtrail data purge" in remains
    check_others(lab)
    assert "in no store" not in remains


def plant_copies(lab: Lab, content: bytes) -> None:
    """Puts copies where segtrail itself leaves some."""
    worker = clone.prepare(lab.workspace, RECIPE)
    assert (worker / "data/cells/images/a.png").read_bytes() == content
    for name in (
        "quarantine/cells/x-1/files/a.png", ".segtrail/champion-scores/x",
        "artifacts/demo/.examples.abc.tmp/train.tfrecord", "artifacts/demo/drift/report.html",
        "artifacts/demo/gate/report.html", "artifacts/demo/compare/v2-v1.html",
        ".segtrail/scores/demo/0f/predictions/a.png",
        ".segtrail/workers/demo/artifacts/demo/examples/train.tfrecord",
        "artifacts/demo/asked/a.png",
    ):  # fmt: skip
        path = lab.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for run, image in (("5f", "a"), ("6a", "ab-a")):
        path = lab.root / f"mlruns/demo/{run}/artifacts/report/report.html"
        path.parent.mkdir(parents=True)
        path.write_text(f"<h4>{image}</h4><p>nucleus")


def test_golden_images_are_named_with_their_answers(lab: Lab) -> None:
    folder = lab.root / "serving/models/demo/1/assets.extra/segtrail/golden"
    folder.mkdir(parents=True)
    for name, content in (("a", lab.landed("a", 1)[0]), ("b", lab.landed("b")[0])):
        (folder / f"{name}.png").write_bytes(content)
        (folder / f"{name}.mask.png").write_bytes(b"mask")
        (folder / f"{name}.probability.1.png").write_bytes(b"probability")
    done = erase(lab.workspace, DATASET, ["a"], reason="withdrawn", dry_run=True)
    (line,) = [line for line in done.remains if "in the model store" in line]
    assert line.startswith("3 files ")
    for name in ("a.png", "a.mask.png", "a.probability.1.png"):
        assert f"golden/{name}" in line


def test_a_report_on_another_dataset_with_such_a_name_stays(lab: Lab) -> None:
    params = yaml.safe_load((lab.root / "params.yaml").read_text())
    params["datasets"]["other"] = params["datasets"][DATASET]
    params["recipes"]["another"] = params["recipes"][RECIPE] | {"dataset": "other"}
    (lab.root / "params.yaml").write_text(yaml.safe_dump(params))
    for recipe in (RECIPE, "another"):
        path = lab.root / f"mlruns/{recipe}/5f/artifacts/report/report.html"
        path.parent.mkdir(parents=True)
        path.write_text("<h4>a</h4>")
    copies = erase(lab.workspace, DATASET, ["a"], reason="withdrawn", dry_run=True).copies
    assert [line for line in copies if line.startswith("mlruns/")] == [
        "mlruns/demo/5f/artifacts/report/ (1 file)"
    ]


def test_what_is_not_made_of_the_image_stays(lab: Lab) -> None:
    """Numbers, models and older outputs, which the audit and the gate still need."""
    lab.deliver({"e": 0})
    lab.run_pipeline()
    lock = yaml.safe_load((lab.root / "dvc.lock").read_text())["stages"]
    evaluation = lock["evaluate@demo"]["outs"][0]["md5"]
    erase(lab.workspace, DATASET, ["e"], reason="withdrawn")
    check_gone(lab, lab.landed("e"))
    first, second = git.run(lab.root, "log", "--format=%H", "--reverse", "dvc.lock").split()[:2]
    for commit in (first, second):  # before e came: whole
        old = yaml.safe_load(git_objects.show(lab.root, commit, "dvc.lock"))["stages"]
        for stage in old.values():
            for out in stage["outs"]:
                listing = yaml.safe_load(lab.stored(out["md5"])[0].read_bytes())
                assert all(lab.stored(row["md5"]) for row in listing)
    listing = yaml.safe_load(lab.stored(evaluation)[0].read_bytes())
    kept = {row["relpath"] for row in listing if lab.stored(row["md5"])}
    assert "metrics.json" in kept
    assert "overlays/e.png" not in kept
    left = {path.name for path in (lab.root / "artifacts/demo").iterdir()}
    assert left == {"model", "training"}
    present = yaml.safe_load((lab.root / "dvc.lock").read_text())["stages"]
    assert list(present) == ["train@demo"]  # a is the first image, and in the model's requests
    lab.run_pipeline()
    check_gone(lab, lab.landed("e"))


def test_again_it_changes_nothing_and_a_later_delivery_keeps_the_tombstone(lab: Lab) -> None:
    erase(lab.workspace, DATASET, ["a"], reason="withdrawn")
    head = git.head(lab.root)
    again = erase(lab.workspace, DATASET, ["a"], reason="withdrawn")
    assert again.before == ("a",)
    assert again.images == ()
    assert not any(purge(lab.workspace, DATASET).deleted.values())
    assert git.head(lab.root) == head
    grave = (lab.root / "data/cells/tombstones.csv").read_bytes()
    lab.deliver({"f": 0})
    assert (lab.root / "data/cells/tombstones.csv").read_bytes() == grave


def test_a_purge_of_nothing_deletes_nothing(lab: Lab) -> None:
    done = purge(lab.workspace, DATASET)
    assert (done.before, done.copies) == ((), [])
    assert (lab.root / "artifacts/demo/evaluation").is_dir()
    assert "there: segtrail data purge --dataset cells" in "\n".join(done.remains)


def test_a_dry_run_changes_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command, with a list of ids as an editor on Windows writes it."""

    def snapshot() -> dict[str, bytes]:
        skip = ("workspace/.dvc/tmp", "workspace/.segtrail")
        return {
            name: path.read_bytes()
            for path in lab.base.rglob("*")
            if path.is_file()
            and not (name := path.relative_to(lab.base).as_posix()).startswith(skip)
        }

    ids = lab.base / "ids.txt"
    ids.write_bytes(b"\xef\xbb\xbfa\r\n\r\n  b \r\n")
    before = snapshot()
    monkeypatch.chdir(lab.root)
    with pytest.raises(SystemExit) as ended:
        main(["data", "erase", "-d", DATASET, "--ids", f"@{ids}", "--reason", "r", "--dry-run"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "cells: would erase 2 images (3 contents): " in said
    for folder in ("examples", "validation", "transform", "evaluation"):
        assert f"\n  would delete: artifacts/demo/{folder}/\n" in said
    assert "leave dvc.lock and run again: " in said
    assert "\nnot erased:\n  - " in said
    assert snapshot() == before
    with pytest.raises(SystemExit) as ended:
        main(["data", "erase", "--dataset", DATASET, "--ids", "@missing.txt", "--reason", "r"])
    assert ended.value.code == 2
    assert "missing.txt: cannot be read" in capsys.readouterr().err


class Terminal(io.StringIO):
    """What somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "options", "code", "erased"),
    [
        (None, [], 2, False),
        ("n\n", [], 130, False),
        ("\n", [], 130, False),
        ("", [], 130, False),
        ("y\n", [], 0, True),
        (None, ["--yes"], 0, True),
    ],
)
def test_it_asks_before_it_erases(lab, monkeypatch, capsys, typed, options, code, erased) -> None:
    monkeypatch.chdir(lab.root)
    if typed is not None:
        monkeypatch.setattr("sys.stdin", Terminal(typed))
    head = git.head(lab.root)
    arguments = ["data", "erase", "-d", DATASET, "--ids", "a", "--reason", "r", *options]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert ended.value.code == code
    assert (git.head(lab.root) != head) == erased
    assert (lab.root / "data/cells/images/a.png").exists() != erased
    if typed is None and not options:
        assert "--yes erases without asking" in said.err
        return
    assert ("cells: would erase 1 image (2 contents): " in said.out) == (typed is not None)
    assert ("Erase 1 image (2 contents) of cells? " in said.out) == (typed is not None)
    assert ("cells: erased 1 image (2 contents) (delivery 3)" in said.out) == erased
    assert ("\n  deleted: artifacts/demo/examples/\n" in said.out) == erased


def test_each_archive_is_named_once_and_only_if_it_had_the_image(lab: Lab) -> None:
    """Image a came in delivery 1, then other in 2; e in 3, and in 5, the same archive again."""

    def archives(done: Erased) -> list[str]:
        (line,) = [line for line in done.remains if line.startswith("what was delivered")]
        return re.findall(r"sha256 ([0-9a-f]{12})", line)

    lab.deliver({"e": 0})
    ingest(lab.workspace, DATASET, remove=["e"])
    lab.deliver({"e": 0}, replace=True)
    lab.deliver({"f": 0})
    rows = deliveries.read(lab.root / "data/cells/deliveries.csv")
    first, second, third, _, again, last = [row.source_sha256[:12] for row in rows]
    assert third == again
    planned = erase(lab.workspace, DATASET, ["a", "e"], reason="r", dry_run=True)
    assert archives(planned) == [first, second, third]
    assert archives(erase(lab.workspace, DATASET, ["a"], reason="r")) == [first, second]
    assert archives(erase(lab.workspace, DATASET, ["e"], reason="r")) == [third]
    assert archives(erase(lab.workspace, DATASET, ["f", "b"], reason="r")) == [first, last]
    assert archives(purge(lab.workspace, DATASET)) == [first, second, third, last]


def test_an_empty_data_folder_is_no_lost_listing(lab: Lab) -> None:
    """As `data.dvc` is shipped: DVC keeps no listing of a folder without files."""
    pointer = lab.root / "data.dvc"
    now = pointer.read_text()
    empty = "d751713988987e9331980363e24189ce.dir"
    pointer.write_text(
        f"outs:\n- md5: {empty}\n  size: 0\n  nfiles: 0\n  hash: md5\n  path: data\n"
    )
    git.commit(lab.root, ["data.dvc"], "Nothing")
    pointer.write_text(now)
    git.commit(lab.root, ["data.dvc"], "Back")
    done = erase(lab.workspace, DATASET, ["b"], reason="r", dry_run=True)
    assert not [line for line in done.remains if empty in line or "in no store" in line]


def test_a_removed_image_can_be_erased_and_bytes_that_others_have_stay(lab: Lab) -> None:
    """b and e have the same mask; c was removed before."""
    folder = lab.base / "twin"
    for kind, content in zip(("images", "masks"), (png("e")[0], png("b")[1]), strict=True):
        (folder / "e" / kind).mkdir(parents=True)
        (folder / "e" / kind / "e.png").write_bytes(content)
    ingest(lab.workspace, DATASET, folder)
    ingest(lab.workspace, DATASET, remove=["c"])
    done = erase(lab.workspace, DATASET, ["b", "c"], reason="withdrawn")
    check_gone(lab, (lab.landed("b")[0], *lab.landed("c")))
    assert (lab.root / "data/cells/masks/e.png").read_bytes() == lab.landed("b")[1]
    versioning.require_unchanged(lab.workspace)
    assert any("1 content that other files share" in line for line in done.remains)
    assert split_ledger.read(lab.root / "data/cells/splits.csv")["c"].removed == "4"


@pytest.mark.parametrize(
    ("images", "reason", "error", "match"),
    [
        (["zz"], "r", DataError, "has, and had, no image 'zz'"),
        ([], "r", DataError, "no image to erase"),
        (["a"], " ", ConfigError, "expected one line"),
        (["a"], "one\ntwo", ConfigError, "expected one line"),
    ],
)
def test_nonsense_is_refused(lab: Lab, images, reason, error, match) -> None:
    head = git.head(lab.root)
    with pytest.raises(error, match=match):
        erase(lab.workspace, DATASET, images, reason=reason)
    assert git.head(lab.root) == head


def test_a_remote_out_of_reach_is_named_before_anything_changes(lab: Lab) -> None:
    shutil.rmtree(lab.base / "second")
    (lab.base / "second").write_text("not a folder")
    head = git.head(lab.root)
    with pytest.raises(WorkspaceError, match="'second' cannot be reached"):
        erase(lab.workspace, DATASET, ["a"], reason="withdrawn")
    assert git.head(lab.root) == head
    assert (lab.root / "data/cells/images/a.png").exists()


def test_a_remote_with_nothing_in_it_is_told(lab: Lab) -> None:
    """It may be a disk that is not mounted; a run's broken record stops nothing."""
    (lab.base / "second").rename(lab.base / "elsewhere")
    run = lab.root / "artifacts/demo/training/run.json"
    run.write_text("{")
    done = erase(lab.workspace, DATASET, ["b"], reason="withdrawn")
    (said,) = [line for line in done.remains if "nothing is in there" in line]
    assert "'second'" in said
    assert "'main'" not in said
    (lab.base / "elsewhere").rename(lab.base / "second")
    assert lab.holders(lab.landed("b")[0])
    assert not [line for line in purge(lab.workspace, DATASET).remains if "nothing is in" in line]
    check_gone(lab, lab.landed("b"))


def test_what_cannot_be_found_any_more_does_not_count_as_erased(lab: Lab) -> None:
    lab.deliver({"e": 0})
    listing = yaml.safe_load((lab.root / "data.dvc").read_text())["outs"][0]["md5"]
    ingest(lab.workspace, DATASET, remove=["e"])
    (kept,) = lab.stored(listing)
    kept.rename(lab.base / "listing")
    with pytest.raises(DataError, match=r"cells: e: the listings .* are in no store"):
        erase(lab.workspace, DATASET, ["e"], reason="withdrawn")
    (lab.base / "listing").rename(kept)
    assert erase(lab.workspace, DATASET, ["e"], reason="withdrawn").images == ("e",)
    check_gone(lab, lab.landed("e"))


# Ends the process, as SIGKILL would, before the first event that has the name and the word.
KILLED = """
import os, sys
from pathlib import Path
from components.erase import erase
from segtrail.workspace import Workspace

root, name, word = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def watch(event, arguments):
    what = arguments[1] if event == "subprocess.Popen" else arguments
    if event == name and word in str(what):
        os._exit(9)

sys.addaudithook(watch)
erase(Workspace(root, root), "cells", ["a"], reason="withdrawn")
"""


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("os.rename", "journal.json"),
        ("subprocess.Popen", "'add', 'data'"),
        ("os.remove", "/main/"),
        ("subprocess.Popen", "Forget"),
    ],
)
def test_a_kill_in_the_middle_is_healed(lab: Lab, name: str, word: str) -> None:
    needles = (*lab.landed("a"), *lab.landed("a", 1))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(lab.root), name, word], check=False, capture_output=True
    )
    assert killed.returncode == 9, killed.stderr.decode()
    done = erase(lab.workspace, DATASET, ["a"], reason="withdrawn")
    assert done.images == (("a",) if word == "journal.json" else ())
    check_gone(lab, needles)
    assert git.run(lab.root, "status", "--porcelain") == ""
    assert not (lab.root / ".segtrail/erasure.json").exists()
    assert {path.stem for path in (lab.root / "data/cells/images").iterdir()} == set("bcd")
    versioning.require_unchanged(lab.workspace)


def test_another_clone_purges_what_it_had_cached(lab: Lab, tmp_path: Path) -> None:
    """And a remote gets back nothing that it pushes afterwards."""
    other = tmp_path / "other"
    git.run(tmp_path, "clone", "--quiet", str(lab.root), str(other))
    shutil.copytree(lab.root / ".dvc/cache", other / ".dvc/cache")
    there = Workspace(other, other)
    versioning.restore(there)
    erase(lab.workspace, DATASET, ["a"], reason="withdrawn")
    lab.dvc("push", "--remote", "main")
    git.run(other, "pull", "--quiet")
    subprocess.run(
        [sys.executable, "-m", "dvc", "pull", "--quiet", "data.dvc"], cwd=other, check=True
    )
    deleted = purge(there, DATASET).deleted
    assert deleted["DVC's cache"] >= 4
    subprocess.run(
        [sys.executable, "-m", "dvc", "push", "--quiet", "--all-commits"], cwd=other, check=False
    )
    check_gone(lab, (*lab.landed("a"), *lab.landed("a", 1)))
    for needle in (*lab.landed("a"), *lab.landed("a", 1)):
        assert not [p for p in other.rglob("*") if p.is_file() and needle in p.read_bytes()]
