"""The certificate of an audit: it tells what was found, no more, and opens anywhere."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import miniature
import pytest
from miniature import RECIPE

from components.certificate import command, write_certificate
from components.certifying import graph
from components.ingestion import versioning
from components.promote import force, promote
from components.promotion import candidate
from lineage import forced, keys, ledger, provenance
from lineage.audit import Audit, Link, audit
from segtrail import git, secrets, tombstones
from segtrail.artifacts import Verdict
from segtrail.files import read_json, sha256_bytes, write_json, write_text
from segtrail.workspace import Workspace
from serving.launch import running_server
from serving.tls import Tls

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
ROOT = Path(__file__).resolve().parents[2]
CLI = """
import sys
from cli import main
code = main._run(sys.argv[1:])
print(code, "tensorflow" in sys.modules, file=sys.stderr)
"""


def written(workspace: Workspace, **options: object) -> tuple[Audit, str]:
    """Returns an audit and its page."""
    found = audit(workspace, RECIPE, **options)  # type: ignore[arg-type]
    path = workspace.root.parent / "certificate.html"
    write_certificate(found, path)
    return found, path.read_text(encoding="utf-8")


def told(workspace: Workspace, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs the command line; the last line of stderr is its code, and if TensorFlow was there."""
    return subprocess.run(
        [sys.executable, "-c", CLI, *arguments], cwd=workspace.root, capture_output=True,
        text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def section(page: str, title: str) -> str:
    (found,) = re.findall(rf"<h2>{title}</h2>(.*?)(?=<h2>|<footer|</section>)", page, re.DOTALL)
    return found


def check_states(found: Audit, page: str) -> None:
    """In the table as in the graph each link has the state that the audit found, and no other."""
    rows = re.findall(r'<tr id="link-(\d+)" class="([a-z-]+)">', page)
    assert [state for _, state in rows] == [link.state.replace(" ", "-") for link in found]
    nodes = dict(re.findall(r'<a href="#link-(\d+)"><g class="([a-z-]+)"', page))
    assert nodes == dict(rows)
    held = sum(link.state == "held" for link in found)
    assert len(re.findall(r'class="word"[^>]*>held<', page)) == held


def test_what_holds_is_told_with_what_was_not_checked(promoted: Workspace) -> None:
    found, page = written(promoted)
    check_states(found, page)
    assert "Nothing broken, with warnings" in page
    assert found.model_digest in page
    assert git.head(promoted.root) in page
    assert "segtrail audit demo --version 1<" in page
    left_open = section(page, "What was not checked")
    assert left_open.count("#sign-warning") == 2
    for words in ("No live server was asked", "not run again", "No signature was found to hold"):
        assert words in left_open
    gate = section(page, "What the gate said")
    for words in ("mean_iou &gt;= 0.5", "0.750", "0.75 &gt;= 0.5", "no champion: it was first"):
        assert words in gate
    assert "These 2 test images (digest eeeeeeeeeeee) had decided on a number of models" in gate
    assert "by the ledgers of this workspace, on 0 models besides it" in gate
    source = section(page, "What it learned from")
    for words in ("1 train, 0 validation, 1 test", "cells.zip", "seed of the training", "steps: 3"):
        assert words in source
    assert sha256_bytes(b"archive") in source
    assert page.count('src="data:image/jpeg') == 4
    assert "commit trusts no key" in page
    assert str(promoted.root) not in page


def test_it_names_the_commit_at_which_the_audit_began(promoted: Workspace, tmp_path: Path) -> None:
    began, found = git.head(promoted.root), audit(promoted, RECIPE)
    git.run(promoted.root, "commit", "--quiet", "--allow-empty", "-m", "Meanwhile")
    write_certificate(found, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert began in page
    assert git.head(promoted.root) not in page


def test_it_is_one_file_that_fetches_and_runs_nothing(promoted: Workspace) -> None:
    _, page = written(promoted)
    targets = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert {target[:5] if target.startswith("data:") else target[:1] for target in targets} == {
        "data:", "#"
    }  # fmt: skip
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert len(page) < 300_000


def flip_model(workspace: Workspace) -> None:
    miniature.flip(workspace.models / RECIPE / "1" / "variables" / "threshold")


def flip_provenance(workspace: Workspace) -> None:
    miniature.flip(workspace.models / RECIPE / "1" / provenance.IN_MODEL)


def flip_golden(workspace: Workspace) -> None:
    miniature.flip(workspace.models / RECIPE / "1/assets.extra/segtrail/golden/one.mask.png")


def lose(name: str) -> Callable[[Workspace], None]:
    def remove(workspace: Workspace) -> None:
        path = workspace.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


@pytest.mark.parametrize(
    ("tamper", "untold"),
    [
        (flip_model, set()),
        (flip_provenance, {"What the gate said", "What it learned from", "Samples"}),
        (flip_golden, {"Samples"}),
        (lose("mlflow.db"), set()),
        (lose(".dvc"), {"What it learned from"}),  # its splits
        (lose("serving"), {"What the gate said", "What it learned from", "Samples"}),
        (lose(".git"), {"What it learned from", "Samples"}),
    ],
)
def test_whatever_is_broken_it_is_written_and_calls_nothing_held_that_is_not(
    promoted: Workspace, tamper: Callable[[Workspace], None], untold: set[str]
) -> None:
    tamper(promoted)
    found, page = written(promoted)
    check_states(found, page)
    is_lost = {link.state for link in found} == {"held", "not checked", "warning"}
    assert found.exit_code == (6 if is_lost else 5)  # what is not here at all is not checked
    assert is_lost == ("store is not there" in page or "neither model store nor" in page)
    assert f'<header class="{"not-checked" if is_lost else "broken"}">' in page
    assert is_lost or "The chain is broken at: " in page
    head = page[: page.index("<h2>The chain</h2>")]
    wrong = [link for link in found if link.state == "broken"]
    assert all(link.says in html.unescape(head) for link in wrong)
    rests_on = {"What the gate said": "verdict", "What it learned from": "git commit"}
    states = {link.name: link.state for link in found}
    for title in (*rests_on, "Samples"):
        told = section(page, title)
        assert (title in untold) == ("Cannot be told: " in told)
        if states[rests_on.get(title, "provenance")] != "held":
            assert "and not proved" in told


def test_what_was_left_out_is_prominent(promoted: Workspace) -> None:
    found, page = written(promoted, quick=True)
    check_states(found, page)
    assert '<header class="not-checked">' in page
    assert "Nothing broken was found, but data bytes was not checked." in page
    assert "left out of a quick audit" in section(page, "What was not checked")
    assert command(found) == "segtrail audit demo --version 1 --quick"


def test_nothing_promoted_is_told(workspace: Workspace) -> None:
    found, page = written(workspace)
    check_states(found, page)
    assert "Nothing was checked" in page
    assert "no version of demo was ever promoted" in page
    assert page.count("Cannot be told: no version is known to serve") == 4


def test_a_live_server_that_was_asked_is_the_first_of_the_chain(promoted: Workspace) -> None:
    log = promoted.root.parent / "server.log"
    with running_server(RECIPE, log=log, config=promoted.models_config) as server:
        found, page = written(promoted, target=server.target)
    check_states(found, page)
    assert f"the live server {server.target}, and version 1 in the model store" in page
    assert command(found) == f"segtrail audit demo --version 1 --target {server.target}"
    assert "golden images alone" in section(page, "What was not checked")
    assert "not asked for" not in page
    assert "over TLS" not in page
    _, page = written(promoted, target="127.0.0.1:1", tls=Tls())
    assert "the live server 127.0.0.1:1 over TLS, trusted as the recipe or --tls-... said" in page


def test_who_signed_is_told_and_since_when_that_key_is_trusted(
    promoted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = keys.new(promoted.root, "ada", None, tmp_path / "ada.pem")
    git.commit(promoted.root, ["trust/ada.pem"], "Ada may sign")
    since = git.head(promoted.root)[:12]
    monkeypatch.setenv(secrets.KEY, str(made.private))
    promote(promoted, RECIPE, by="Ada")
    _, page = written(promoted)
    vouched = section(page, "Who vouches for it")
    assert f'Signed by ada, key <span class="id">{made.key_id}</span>, trusted since' in vouched
    assert vouched.count(f"commit {since}") == 4  # the provenance, the key, two lines
    assert vouched.count('<td class="words">Ada (signed)</td>') == 2
    assert "on 1 model besides it" in section(page, "What the gate said")
    assert "put a key of their own under trust/" in section(page, "What was not checked")
    _, page = written(promoted, version=1)
    vouched = section(page, "Who vouches for it")
    assert "No signature of it holds: not signed" in vouched
    assert vouched.count("(claimed)") == 2


def test_who_forced_it_is_told(promoted: Workspace) -> None:
    digest = candidate.digest_of(promoted, RECIPE)
    said = miniature.verdict(digest, "fail", miniature.champion(promoted), promoted)
    said |= {"notes": ["new since v1: seed: 2"], "test_split_decided_before": 3}
    path = Verdict.of(promoted, RECIPE).path
    write_json(path, said)
    force(promoted, RECIPE, said, by="Grace", reason="v1 misses <whole> slides")
    entries = ledger.read(promoted.ledger(RECIPE))
    write_json(path, read_json(path) | {"forced": forced.find(entries, said)})
    promote(promoted, RECIPE)
    _, page = written(promoted)
    gate = section(page, "What the gate said")
    assert "FORCED by Grace (claimed) on " in gate
    assert "compared with v1, the champion then" in gate
    assert "new since v1: seed: 2" in gate
    assert "had decided on 3 models before this one" in gate
    lines = section(page, "Who vouches for it")
    assert "forced by Grace (claimed): v1 misses &lt;whole&gt; slides" in lines
    assert "Grace (claimed)</td>" in lines


def test_any_line_of_the_ledger_about_it_is_shown_and_none_is_believed(promoted: Workspace) -> None:
    """Also of an event that this version of segtrail does not know."""
    path = promoted.ledger(RECIPE)
    evil = "<b>Eve</b>\ud800\u202e"
    ledger.append(path, ledger.CANARY_ABORTED, version=1, model_digest="0" * 64, by=evil)
    last = ledger.read(path)[-1]
    later = replace(
        last, seq=last.seq + 1, previous=sha256_bytes(ledger.encode(last)), event="approved",
        details={"reason": "<script>alert(1)</script>"},
    )  # fmt: skip
    write_text(path, path.read_text() + ledger.encode(later).decode() + "\n")
    _, page = written(promoted)
    lines = section(page, "Who vouches for it")
    assert '<td class="name">approved</td>' in lines
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in lines
    assert "&lt;b&gt;Eve&lt;/b&gt;?" in lines
    assert "<b>" not in page
    assert "<script" not in page


def test_an_erased_image_is_named_and_not_shown(promoted: Workspace) -> None:
    row = tombstones.Row("two", "", "", "0" * 32, "1" * 32, 2, "consent withdrawn", "Ada")
    write_text(
        promoted.dataset(miniature.DATASET) / tombstones.TOMBSTONES, tombstones.to_csv([row])
    )
    versioning.record(promoted, "Erase")
    _, page = written(promoted)
    samples = section(page, "Samples")
    assert "erased, and not shown: consent withdrawn" in samples
    assert samples.count("<img") == 2


def test_a_link_that_the_graph_does_not_know_has_a_place_of_its_own(promoted: Workspace) -> None:
    found = audit(promoted, RECIPE)
    known = graph.draw(found.links)
    assert {node.name for node in known.nodes} - {"live server"} == {link.name for link in found}
    more = [Link(f"link {number}", "held", "") for number in range(8)]
    drawn = graph.draw([*found, *more])
    spots = {(node.x, node.y) for node in drawn.nodes}
    assert len(spots) == len(drawn.nodes) == len(known.nodes) + 8
    assert drawn.height > known.height


def test_it_costs_no_tensorflow_and_json_stays_json(promoted: Workspace, tmp_path: Path) -> None:
    page = tmp_path / "c.html"
    arguments = ["audit", RECIPE, "--quick", "--json", "--html", str(page)]
    done = told(promoted, arguments)
    assert done.stderr.split()[-2:] == ["6", "False"]
    assert json.loads(done.stdout)["exit_code"] == 6
    assert page.read_text().startswith("<!DOCTYPE html>")
    arguments[-1] = str(tmp_path)
    done = told(promoted, arguments)
    assert "2 False" in done.stderr
    assert "is a directory" in done.stderr
    arguments[-1] = str(tmp_path / "none" / "c.html")
    assert "there is no folder" in told(promoted, arguments).stderr


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: tests/install_system.sh")
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_shows_it_whole_without_an_error(
    promoted: Workspace, tmp_path: Path, width: int
) -> None:
    flip_golden(promoted)
    found, page = written(promoted, quick=True)
    states = {link.state for link in found}
    assert states == {"held", "broken", "not checked", "warning"}
    frame = tmp_path / "frame.html"  # a window of Chromium's is 500 pixels wide at least
    frame.write_text(
        f'<iframe id="f" width="{width}" height="3000" srcdoc="{html.escape(page)}"></iframe>'
        "<script>onload=()=>{const d=f.contentDocument,e=d.documentElement,"
        "g=d.querySelector('svg.graph').getBoundingClientRect();document.title=JSON.stringify("
        "[e.clientWidth,e.scrollWidth,g.height,d.body.innerText])}</script>"
    )
    run = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width + 100},3100",
    ]  # fmt: skip
    done = subprocess.run(
        [*run, "--dump-dom", frame.as_uri()], capture_output=True, text=True, timeout=120,
        check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title is not None
    shown, needed, height, text = json.loads(html.unescape(title[1]))
    assert needed <= shown
    assert height > 200
    for words in ("held", "BROKEN", "not checked", "warning", "not asked for"):
        assert words in text
