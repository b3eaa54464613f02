"""The report on a candidate, made from a small evaluation and opened in a browser."""

import base64
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pandas as pd
import pytest
from evaluated import evaluated

from components.report import write_report
from components.reporting import gallery
from components.scoring.answers import Said
from lineage import ledger
from model.examples import Example
from segtrail.artifacts import Evaluation, InfraValidation, Verdict
from segtrail.errors import MissingArtifactError, StageError
from segtrail.files import read_json, write_json
from segtrail.images import encode_png
from segtrail.task import Task
from segtrail.workspace import Workspace

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(params=["instances", "classes"])
def workspace(tmp_path, request) -> Workspace:
    return evaluated(tmp_path, request.param)


@pytest.fixture
def page(workspace) -> str:
    return write_report(workspace, "r").read_text(encoding="utf-8")


def test_the_verdict_is_first_then_rules_metrics_plots_and_images(page):
    places = [
        page.index(f"<h2>{title}</h2>")
        for title in ("Rules", "Metrics", "Each image, by slice", "Probabilities", "Training",
                      "Images")
    ]  # fmt: skip
    assert places == sorted(places)
    assert page.index('class="mark pass"') < places[0]
    assert "the recipe compares no candidate with the champion" in page
    assert "mean_iou &gt;= 0.1 on rare" in page
    assert "(does not decide)" in page


def test_why_a_candidate_does_not_serve_is_shown(workspace):
    digest = read_json(Verdict.of(workspace, "r").path)["model_digest"]
    failure = {
        "reason": "load-error", "says": "No such file <variables>\n  line of a log",
        "hint": "dvc checkout artifacts/r/model", "details": {},
    }  # fmt: skip
    result = {
        "model_digest": digest, "passed": False, "failures": [failure], "size_mb": 1.25,
        "server": "a server", "says": failure["says"],
    }  # fmt: skip
    path = InfraValidation.of(workspace, "r").result
    write_json(path, result)
    page = write_report(workspace, "r").read_text(encoding="utf-8")
    shown = page[page.index("Where it serves") : page.index("<h2>Metrics</h2>")]
    assert "does not serve" in shown
    assert "<strong>load-error</strong>" in shown
    assert "No such file &lt;variables&gt;" in shown
    assert "What to do: dvc checkout artifacts/r/model" in shown
    assert "<td>size of the SavedModel</td>" in shown
    assert "memory" not in shown
    measured = {"passed": True, "failures": [], "requests_ms": [10.0, 30.0, 20.0]}
    write_json(path, result | measured | {"memory_mb": 812.4, "says": "answered as evaluated"})
    page = write_report(workspace, "r").read_text(encoding="utf-8")
    shown = page[page.index("Where it serves") : page.index("<h2>Metrics</h2>")]
    for words in ("812 MB", "20 ms, the median of 3", "answered as evaluated", "serves</span>"):
        assert words in shown
    write_json(path, result | {"model_digest": "of another"})
    page = write_report(workspace, "r").read_text(encoding="utf-8")
    assert "Where it serves" not in page


def test_every_name_is_escaped_and_nothing_is_fetched(page):
    assert "<b>i13" not in page
    assert "&lt;b&gt;i13" in page
    assert set(re.findall(r'(?:src|href)="([^:"]*:)', page)) == {"data:"}
    assert "default-src 'none'" in page


def test_the_gallery_has_worst_median_and_best_images_each_once(workspace, page):
    per_image = pd.read_parquet(Evaluation.of(workspace, "r").per_image)
    chosen = gallery.choose(per_image)
    assert {title: len(images) for title, images in chosen.items()} == {
        "Worst": 3, "Median": 3, "Best": 3
    }  # fmt: skip
    iou = per_image.set_index("image")["iou"]
    assert list(iou[chosen["Worst"]]) == sorted(iou)[:3]
    assert list(iou[chosen["Best"]]) == sorted(iou)[::-1][:3]
    assert max(iou[chosen["Worst"]]) <= min(iou[chosen["Median"]])
    assert len({image for images in chosen.values() for image in images}) == 9
    assert page.count('class="card"') == 9
    assert page.count("objects counted") == 9


@pytest.mark.parametrize("n", [0, 1, 2, 4, 7])
def test_few_images_are_each_shown_once(n):
    rows = pd.DataFrame({"image": [f"i{k}" for k in range(n)], "iou": np.linspace(0, 1, n)})
    shown = [image for images in gallery.choose(rows).values() for image in images]
    assert len(shown) == len(set(shown)) == min(n, 9)


def test_what_was_missed_and_what_is_too_much_is_in_its_colour():
    true, said = np.zeros((2, 4, 6, 1), bool)
    true[0], said[1] = True, True
    picture = gallery.differing(np.full((4, 6, 3), 90, np.uint8), said, true)
    assert (picture[0] == gallery.MISSED).all()
    assert (picture[1] == gallery.EXTRA).all()
    assert (picture[2:] == picture[3, 0]).all()


def test_what_is_coloured_is_the_mask_that_iou_is_of_and_not_the_objects():
    """A mask may be whole where the objects found in it are small, and the other way round."""
    true = np.zeros((32, 32), np.uint16)
    true[4:28, 4:28] = 1
    small = np.zeros_like(true)
    small[15:17, 15:17] = 1
    task = Task("instances", ("nucleus",), ((1,),))
    example = Example("a", encode_png(np.full((32, 32), 90, np.uint8)), encode_png(true), "x", "g")
    row = {"slice": "x", "iou": 1.0}

    def coloured(mask):
        said = Said(encode_png(mask.astype(np.uint8)), encode_png(small))
        (uri,) = [uri for caption, uri in gallery.card(example, said, row, task).pictures
                  if caption.startswith("mask: missed")]  # fmt: skip
        jpeg = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
        picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR).astype(int)
        return np.ptp(picture, -1).max() > 60  # something is not grey

    assert not coloured(true)
    assert coloured(small)


def test_an_evaluation_of_an_earlier_segtrail_is_told(workspace):
    for path in Evaluation.of(workspace, "r").root.glob("*/*.png"):
        path.unlink()
    with pytest.raises(StageError, match="of an earlier segtrail"):
        write_report(workspace, "r")


def test_a_champion_is_drawn_against_and_the_ledgers_word_is_shown(workspace):
    files = Verdict.of(workspace, "r")
    evaluation = Evaluation.of(workspace, "r")
    assert "Candidate against champion" not in write_report(workspace, "r").read_text()
    pd.read_parquet(evaluation.per_image).to_parquet(files.champion)
    verdict = json.loads(files.path.read_text())
    forced = {"by": "Grace", "reason": "a drill", "at": "2026-01-02T00:00:00+00:00", "entry": 3}
    write_json(files.path, verdict | {"verdict": "fail", "forced": forced})
    page = write_report(workspace, "r").read_text()
    assert "Candidate against champion" in page
    assert "FORCED by Grace (claimed) on 2026-01-02: a drill" in page
    assert 'class="mark forced"' in page


def test_a_canary_that_is_out_is_told(workspace):
    assert "canary" not in write_report(workspace, "r").read_text()
    ledger.append(
        workspace.ledger("r"), ledger.CANARY, version=4, model_digest="d" * 64, by="Grace"
    )
    assert "v4 is out as a canary since 20" in write_report(workspace, "r").read_text()


def test_the_same_facts_give_the_same_bytes(workspace):
    first = write_report(workspace, "r").read_bytes()
    assert write_report(workspace, "r").read_bytes() == first


def test_what_is_missing_is_named(workspace, capsys):
    write_report(workspace, "r")
    assert "could not be logged to MLflow" in capsys.readouterr().out
    Evaluation.of(workspace, "r").levels.unlink()
    with pytest.raises(StageError, match="of an earlier segtrail"):
        write_report(workspace, "r")
    Verdict.of(workspace, "r").path.unlink()
    with pytest.raises(MissingArtifactError, match=r"verdict\.json"):
        write_report(workspace, "r")


def test_a_verdict_on_another_model_is_refused(workspace):
    path = Verdict.of(workspace, "r").path
    write_json(path, json.loads(path.read_text()) | {"model_digest": "f" * 64})
    with pytest.raises(StageError, match="the verdict is on the model ffffffffffff"):
        write_report(workspace, "r")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: tests/install_system.sh")
@pytest.mark.parametrize("width", [390, 1100])
def test_a_browser_shows_it_whole_without_an_error(workspace, page, tmp_path, width):
    """On a phone, too: nothing is wider than the window but what scrolls by itself."""
    measured = tmp_path / "measured.html"
    probe = (
        "<script>onload=()=>{const wide=[...document.querySelectorAll('img')]"
        ".filter(i=>!i.complete||!i.naturalWidth).length;"
        "document.title=`${document.documentElement.scrollWidth} ${wide}`}</script>"
    )
    policy = re.search(r"<meta http-equiv=.*?>", page).group()
    measured.write_text(page.replace(policy, "").replace("</body>", probe + "</body>"))
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},2000",
    ]  # fmt: skip
    report = Verdict.of(workspace, "r").report
    shot = tmp_path / "report.png"
    done = subprocess.run(
        [*command, f"--screenshot={shot}", report.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    assert shot.stat().st_size > 20_000
    done = subprocess.run(
        [*command, "--dump-dom", measured.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    wide, broken = re.search(r"<title>(\d+) (\d+)</title>", done.stdout).groups()
    assert int(broken) == 0
    assert int(wide) <= max(width, 500)  # Chromium's own least width
