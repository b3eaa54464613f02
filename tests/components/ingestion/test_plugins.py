"""Adapters of one's own that are broken: told to whom they concern, and nobody else."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.ingestion import adapter as contract
from components.ingestion import adapters as package
from segtrail.errors import ConfigError
from segtrail.settings.dataset import Dataset

WHOLE = textwrap.dedent("""\
    from components.ingestion.adapter import Adapter, register


    @register
    class Pairs(Adapter):
        name = "pairs"
        layout = "<id>.png"

        def find(self, source, problems):
            return []

        def read_mask(self, source, item, size, problems):
            return None
""")


class Modules:
    """Modules of one's own, beside segtrail's adapters or in another distribution."""

    def __init__(self, root: Path) -> None:
        self.beside, self.installed = root / "beside", root / "installed"
        for folder in (self.beside, self.installed):
            folder.mkdir()

    def own(self, name: str, code: str) -> None:
        (self.beside / name).write_text(code)

    def install(self, value: str, code: str) -> None:
        info = self.installed / "pairs_of_mine-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Name: pairs-of-mine\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[segtrail.adapters]\npairs = {value}\n")
        (self.installed / "my_pairs.py").write_text(code)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    contract.adapters()
    before, loaded = dict(contract._ADAPTERS), set(sys.modules)
    made = Modules(tmp_path)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(made.beside)])
    monkeypatch.syspath_prepend(str(made.installed))
    contract._load.cache_clear()
    yield made
    contract._load.cache_clear()
    contract._ADAPTERS.clear()
    contract._ADAPTERS.update(before)
    for name in set(sys.modules) - loaded:
        del sys.modules[name]


def ask(name: str) -> contract.Adapter:
    return contract.adapter_for(
        Dataset(adapter=name, masks="classes", classes=["cell"], slices={}, splits={})
    )


OWN = "components/ingestion/adapters/pairs.py: cannot be loaded: "


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import numpyy\n" + WHOLE, "No module named 'numpyy' (line 1)"),
        ("\n\ndef broken(:\n", "invalid syntax (line 3)"),
        (f"{WHOLE}\n1 / 0\n", "ZeroDivisionError: division by zero (line 15)"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 (line 2)"),
        (WHOLE.replace('"pairs"', '"folders"'), "ValueError: two adapters are called 'folders'"),
        (WHOLE.replace("(Adapter)", ""), "TypeError: Pairs is not a subclass of Adapter (line 4)"),
        (WHOLE.replace('name = "pairs"', ""), "AttributeError: type object 'Pairs' has no"),
    ],
)
def test_a_broken_module_stops_the_datasets_that_name_it_and_no_others(modules, code, said):
    modules.own("pairs.py", code)
    assert ask("folders").name == "folders"
    with pytest.raises(ConfigError) as error:
        ask("pairs")
    assert f"{OWN}{said}" in error.value.message
    assert error.value.exit_code == 2
    assert "pairs" not in contract.adapters()


def test_an_unknown_adapter_lists_what_there_is_and_what_could_not_be_loaded(modules):
    modules.own("pairs.py", "import numpyy\n")
    with pytest.raises(ConfigError) as error:
        ask("folder")
    assert "no adapter 'folder'; there are coco, " in error.value.message
    assert "Did you mean 'folders'?" in error.value.message
    assert f"not among them: {OWN}No module named 'numpyy' (line 1)" in error.value.message


def test_nobody_can_take_the_place_of_an_adapter_unseen(modules):
    """A module that comes first and takes a name leaves none for segtrail's own."""
    modules.own("pairs.py", WHOLE)
    modules.install("my_pairs", WHOLE)
    with pytest.raises(ConfigError, match="two adapters are called 'pairs'"):
        ask("pairs")


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        (
            "my_pairs",
            "import os\nimport numpyy\n",
            "No module named 'numpyy' (my_pairs.py, line 2)",
        ),
        ("my_pairs", "def broken(:\n", "invalid syntax (my_pairs.py, line 1)"),
        ("my_pairs:Paris", "", "AttributeError: module 'my_pairs' has no attribute 'Paris'"),
        ("no_pairs", "", "No module named 'no_pairs'"),
    ],
)
def test_a_broken_entry_point_is_named_with_its_distribution(modules, value, code, said):
    modules.install(value, code)
    assert ask("folders").name == "folders"
    with pytest.raises(ConfigError) as error:
        ask("pairs")
    where = f"the entry point pairs = {value} of pairs-of-mine: cannot be loaded: "
    assert f"{where}{said}" in error.value.message


def test_whole_modules_are_loaded_from_both_places(modules):
    modules.install("my_pairs", WHOLE)
    assert ask("pairs").name == "pairs"


@pytest.mark.parametrize(
    ("without", "said"),
    [(["find"], "find"), (["find", "read_mask"], "find and read_mask")],
)
def test_methods_that_an_adapter_lacks_are_named(modules, without, said):
    code = WHOLE
    for method in without:
        code = code.replace(f"def {method}(", f"def {method}_(")
    modules.own("pairs.py", code)
    with pytest.raises(ConfigError, match=f"^adapter pairs lacks {said}\n"):
        ask("pairs")
