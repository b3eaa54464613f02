"""The versions that git and DVC tell of."""

from __future__ import annotations

from pathlib import Path

import data_versions
import miniature
import pytest

from lineage import data_diff, data_history, data_version, dvc_files
from lineage.data_snapshot import split_by_dataset
from segtrail import git
from segtrail.errors import LineageError, WorkspaceError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[data_versions.Data, list[str]]:
    return data_versions.template(tmp_path_factory)


@pytest.fixture
def root(made, tmp_path: Path) -> Path:
    return data_versions.copy(made[0], tmp_path / "root").workspace.root


@pytest.fixture
def commits(made) -> list[str]:
    return made[1]


def listing_of(root: Path, commit: str) -> Path:
    md5 = data_version.data_md5_at(root, commit)
    return dvc_files.object_path(dvc_files.cache_folder(root), md5)


def test_versions_newest_first(root, commits):
    found = list(data_history.versions(root))
    assert [(v.dataset, v.commit.revision) for v in found] == [
        ("fundus", commits[3]),
        ("cells", commits[2]),
        ("cells", commits[1]),
        ("cells", commits[0]),
    ]
    third, second, first = found[1:]
    assert [v.images for v in (first, second, third)] == [6, 8, 7]
    assert first.changes == data_diff.Changes(tuple("abcdef"), (), (), ())
    assert second.changes == data_diff.Changes(("g", "h"), (), ("b",), ("c",))
    assert third.changes == data_diff.Changes((), ("f",), (), ())
    assert [row.by for v in (first, second, third) for row in v.deliveries] == ["Ada", "Bob", "Ada"]
    assert [row.delivery for row in second.deliveries] == [2]
    assert first.splits == {"train": 4, "validation": 1, "test": 1}
    assert third.splits == {"train": 3, "validation": 2, "test": 2}
    assert found[0].deliveries == ()
    assert all(not v.problem for v in found)


def test_the_hash_is_that_of_the_dataset(root, commits):
    for version in data_history.versions(root, "cells"):
        tree = data_version.tree(root, version.commit.revision, "cells")
        assert version.dvc_md5 == dvc_files.listing_md5(tree)


def test_a_commit_that_leaves_a_dataset_alone_is_no_version_of_it(root, commits):
    found = [v.commit.revision for v in data_history.versions(root, "cells")]
    assert found == commits[2::-1]
    assert [v.dataset for v in data_history.versions(root, "fundus")] == ["fundus"]


def test_a_version_that_is_not_in_the_cache_is_told_as_such(root, commits):
    listing_of(root, commits[1]).unlink()
    third, second, first = data_history.versions(root, "cells")
    assert "not in DVC's cache" in second.problem
    assert second.dvc_md5 == data_version.data_md5_at(root, commits[1])
    assert third.changes is None  # against what, is not known
    assert [row.by for row in third.deliveries] == ["Ada"]
    assert (third.images, first.images, first.problem) == (7, 6, "")


def test_tables_of_another_time_are_told_as_such(root, commits):
    tree = data_version.tree(root, commits[0], "cells")
    path = dvc_files.object_path(dvc_files.cache_folder(root), tree["splits.csv"])
    path.unlink()
    first = list(data_history.versions(root, "cells"))[-1]
    assert "not in DVC's cache" in first.problem
    assert first.images == 6


def test_no_history(tmp_path):
    git.run(tmp_path, "init", "--quiet")
    git.run(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "empty")
    assert list(data_history.versions(tmp_path)) == []


def test_an_author_in_another_encoding(root):
    git.run(root, "config", "i18n.commitEncoding", "latin-1")
    (root / "data.dvc").write_text((root / "data.dvc").read_text() + "desc: x\n")
    git.run(root, "commit", "--quiet", "-m", "x", "--author", "Z\u00fc <z@x>", "data.dvc")
    assert data_history.commits(root)[0].subject == "x"


@pytest.mark.parametrize(("word", "number"), [("1", 0), ("2", 1), ("3", 2), ("HEAD", 3)])
def test_words_that_name_a_state(root, commits, word, number):
    assert data_history.find(root, "cells", word).commit == commits[number]


def test_git_revisions(root, commits):
    assert data_history.find(root, "cells", "HEAD~2").commit == commits[1]
    assert data_history.find(root, "cells", commits[0][:8]).commit == commits[0]
    git.run(root, "tag", "good", commits[1])
    assert data_history.find(root, "cells", "good").commit == commits[1]


@pytest.mark.parametrize("word", ["9", "nonsense", "--output=x", "", "HEAD~99", "data"])
def test_words_that_name_nothing(root, word):
    with pytest.raises((WorkspaceError, LineageError)) as caught:
        data_history.find(root, "cells", word)
    assert word in str(caught.value)


def test_the_files_as_they_lie_there(root, commits):
    now = data_history.find(root, "cells", "data/")
    head = data_history.find(root, "cells", "HEAD")
    assert (now.files, now.commit) == (head.files, "")
    assert data_history.before(root, now).commit == commits[3]
    path = root / "data/cells/images/a.png"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content + b"more")
    now = data_history.find(root, "cells", "data/")
    assert data_diff.changes(head.files, now.files).replaced == ("a",)
    assert now.read("images/a.png") == content + b"more"
    assert head.read("images/a.png") == content


def test_the_version_before(root, commits):
    def before(word: str) -> str:
        return data_history.before(root, data_history.find(root, "cells", word)).commit

    assert [before(word) for word in ("HEAD", "3", "2")] == [commits[1], commits[1], commits[0]]
    first = data_history.before(root, data_history.find(root, "cells", "1"))
    assert (first.label, dict(first.files)) == ("nothing", {})


def test_the_version_before_may_be_out_of_reach(root, commits):
    listing_of(root, commits[1]).unlink()
    with pytest.raises(LineageError, match=r"the version before .* cannot be read") as caught:
        data_history.before(root, data_history.find(root, "cells", "3"))
    assert caught.value.hint == "dvc fetch --all-commits"


def test_a_dataset_that_was_not_there_yet_is_empty(root):
    assert data_history.find(root, "fundus", "HEAD~1").files == {}
    assert data_history.datasets(root, "HEAD") == ["cells", "fundus"]
    assert data_history.datasets(root, "HEAD~1") == ["cells"]
    assert data_history.datasets(root, "data/") == ["cells", "fundus"]


def test_bytes_are_checked(root):
    snapshot = data_history.find(root, "cells", "1")
    cache = dvc_files.cache_folder(root)
    path = dvc_files.object_path(cache, snapshot.images["a"])
    miniature.flip(path)
    with pytest.raises(LineageError, match="the content's md5 is"):
        snapshot.read("images/a.png")
    with pytest.raises(LineageError, match="has no images/z"):
        snapshot.read("images/z.png")


def test_moved(root):
    old, new = (data_history.find(root, "cells", word).ledger() for word in ("2", "3"))
    assert data_diff.moved(old, new, "slice") == [data_diff.Moved("d", "bright", "dark")]
    assert data_diff.moved(old, new, "split") == []
    assert data_diff.moved(new, old, "slice") == [data_diff.Moved("d", "dark", "bright")]


def test_names_are_split_at_the_first_slash():
    listing = {"a/images/x.png": "1", "a-b/images/x.png": "2", "stray": "3"}
    assert split_by_dataset(listing) == {"a": {"images/x.png": "1"}, "a-b": {"images/x.png": "2"}}
