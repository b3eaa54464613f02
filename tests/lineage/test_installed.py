"""What is installed, against a lock file."""

from __future__ import annotations

from importlib import metadata

from lineage.installed import differences

NUMPY = metadata.version("numpy")


def test_hashes_comments_markers_and_spellings_are_read() -> None:
    lock = f"""
# made by a resolver
--only-binary :all:
NumPy=={NUMPY} \\
    --hash=sha256:{"0" * 64} \\
    --hash=sha256:{"1" * 64}
import_linter=={metadata.version("import-linter")}   # via nothing
not-for-this-machine==1.0 ; sys_platform == 'win32' \\
    --hash=sha256:{"2" * 64}
"""
    assert differences(lock) == []


def test_what_is_missing_other_or_unreadable_is_named() -> None:
    lock = f"numpy==0.1\nsurely-not-installed==1.0 ; python_version > '3'\nnumpy {NUMPY}\n"
    assert differences(lock) == [
        f"numpy is {NUMPY} (locked ==0.1)",
        "surely-not-installed is not installed (locked ==1.0)",
        f"numpy {NUMPY} is no requirement that can be read",
    ]
