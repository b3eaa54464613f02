"""The documentation as a site: made by `make docs`, whole, and from nowhere else."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(\w+:)?//", re.I)


def mkdocs(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(site)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_the_site_is_built_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = mkdocs(ROOT / "mkdocs.yml", tmp_path)
    assert done.returncode == 0, done.stderr
    pages = [path for path in tmp_path.rglob("*.html") if path.name != "404.html"]
    assert len(pages) == len([*(ROOT / "docs").rglob("*.md")])
    for page in pages:
        assert not LOADED.search(page.read_text(encoding="utf-8")), page
    assert "segment_many" in (tmp_path / "reference/client.html").read_text(encoding="utf-8")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A site of one page, with the hook and the strictness of the real one."""
    docs = ROOT / "build" / f"docs-{tmp_path.name}"  # the hook looks below the repository's root
    docs.mkdir(parents=True)
    config = tmp_path / "mkdocs.yml"
    validation = re.search(r"^validation:\n(?:  .*\n)+", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert validation
    config.write_text(
        f"site_name: small\ndocs_dir: {docs}\nhooks: [{ROOT / 'scripts/docs_hook.py'}]\n"
        f"theme: mkdocs\nplugins: []\nuse_directory_urls: false\n{validation[0]}"
    )
    yield config, docs
    for path in docs.iterdir():
        path.unlink()
    docs.rmdir()


def test_a_link_to_a_file_outside_of_docs_works_in_the_site(small: Any, tmp_path: Path) -> None:
    config, docs = small
    (docs / "index.md").write_text("# Page\n\n[it](../../serving/client.py#L1) and [it](#page)\n")
    done = mkdocs(config, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site/index.html").read_text()
    assert 'href="source/serving/client.py.txt"' in page
    copied = tmp_path / "site/source/serving/client.py.txt"
    assert copied.read_bytes() == (ROOT / "serving/client.py").read_bytes()


@pytest.mark.parametrize(
    "link", ["../../serving/no_client.py", "none.md", "#nowhere", "../../../../etc/passwd"]
)
def test_a_link_that_leads_nowhere_ends_the_build(small: Any, tmp_path: Path, link: str) -> None:
    config, docs = small
    (docs / "index.md").write_text(f"# Page\n\n[it]({link})\n")
    done = mkdocs(config, tmp_path / "site")
    assert done.returncode == 1
    assert link in done.stderr


def test_the_reference_of_the_commands_is_what_they_say(tmp_path: Path, monkeypatch: Any) -> None:
    spec = importlib.util.spec_from_file_location("_", ROOT / "scripts/cli_reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == module.PAGE.read_text(encoding="utf-8"), (
        "python scripts/cli_reference.py writes it anew"
    )
    assert "## segtrail trace image" in module.page()
    assert "--reproduce" in module.page()
    monkeypatch.setattr(module, "PAGE", tmp_path / "reference/cli.md")
    with pytest.raises(SystemExit, match="not of these commands"):
        module.main(check=True)
    module.main(check=False)
    module.main(check=True)


def test_pictures_are_small() -> None:
    large = [
        path.name for path in (ROOT / "docs/images").iterdir() if path.stat().st_size > 300_000
    ]
    assert not large
