"""`models.config`: what we write is TF Serving's, and only the model asked for changes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segtrail.errors import ServingError
from serving import config

names = st.text("abcxyz-0", min_size=1, max_size=8)
champions = st.dictionaries(names, st.integers(1, 2**62), max_size=5)


@settings(deadline=None)  # every write waits for the disk
@given(champions)
def test_what_is_written_is_read(tmp_path_factory, wanted):
    path = tmp_path_factory.mktemp("config") / "models.config"
    for name, version in wanted.items():
        config.set_champion(path, name, Path("/store") / name, version)
    assert {name: m.versions for name, m in config.read(path).items()} == {
        name: (version,) for name, version in wanted.items()
    }
    for name, version in wanted.items():
        assert config.champion(path, name) == version
        assert config.read(path)[name].base_path == Path("/store") / name
    assert config.champion(path, "another") is None


def test_a_file_written_anew_names_just_what_is_given_and_leftovers_go(tmp_path):
    path = tmp_path / "models.config"
    path.write_text("model_config_list { config {")
    left, others = tmp_path / ".models.config.ab12.tmp", tmp_path / ".another.ab12.tmp"
    for file in (left, others):
        file.write_text("half")
    config.write_anew(path, {"b": (tmp_path / "b", 2), "a": (tmp_path / "a", 1)})
    assert {name: m.versions for name, m in config.read(path).items()} == {"a": (1,), "b": (2,)}
    assert (left.exists(), others.exists()) == (False, True)
    with pytest.raises(ValueError, match="absolute base path"):
        config.write_anew(path, {"a": (Path("relative"), 1)})
    assert set(config.read(path)) == {"a", "b"}


def test_tf_serving_parses_what_is_written(tmp_path):
    pytest.importorskip("tensorflow_serving")
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    path = tmp_path / "models.config"
    config.set_champion(path, 'a "name"', tmp_path / "a folder", 3)
    config.set_champion(path, "wbc", tmp_path / "wbc", 12)
    config.set_champion(path, "wbc", tmp_path / "wbc", 13)
    theirs = text_format.Parse(path.read_text(), model_server_config_pb2.ModelServerConfig())
    first, second = theirs.model_config_list.config
    assert (first.name, first.base_path) == ('a "name"', str(tmp_path / "a folder"))
    assert list(second.model_version_policy.specific.versions) == [13]
    assert second.model_platform == "tensorflow"
    assert dict(second.version_labels) == {"stable": 13}


def test_only_the_model_asked_for_changes(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(
        'model_config_list { config { name: "theirs" base_path: "/elsewhere"\n'
        "  model_version_policy { latest { num_versions: 2 } }\n"
        '  version_labels { key: "stable" value: 4 } } }'
    )
    before = config.read(path)["theirs"]
    assert before.labels == {"stable": 4}
    config.set_champion(path, "nuclei", tmp_path, 2)
    config.withdraw(path, "nuclei")
    config.set_champion(path, "nuclei", tmp_path, 1)
    after = config.read(path)
    assert after["theirs"] == before
    assert "num_versions: 2" in path.read_text()
    assert after["nuclei"].versions == (1,)
    with pytest.raises(ServingError, match="must name one version"):
        config.champion(path, "theirs")


def test_no_file_is_no_model_and_withdrawing_writes_none(tmp_path):
    path = tmp_path / "models.config"
    assert config.read(path) == {}
    config.withdraw(path, "nuclei")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model_config_list {", "not a ModelServerConfig"),
        ("no_such_field: 1", "no_such_field"),
        ('model_config_list { config { name: "m" base_path: "models/m" } }', "absolute"),
        ('model_config_list { config { base_path: "/m" } }', "name of its own"),
        (
            'model_config_list { config { name: "m" base_path: "/m" } '
            'config { name: "m" base_path: "/n" } }',
            "'m' twice",
        ),
        ("\xff", "cannot be read"),
    ],
)
def test_a_bad_file_is_named_and_never_overwritten(tmp_path, text, says):
    path = tmp_path / "models.config"
    path.write_bytes(text.encode("latin-1"))
    for act in (
        lambda: config.read(path),
        lambda: config.champion(path, "m"),
        lambda: config.set_champion(path, "m", tmp_path, 1),
        lambda: config.withdraw(path, "m"),
    ):
        with pytest.raises(ServingError, match=says) as e:
            act()
        assert str(path) in e.value.message
    assert path.read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize(
    ("name", "base", "version"), [("", "/m", 1), ("m", "relative", 1), ("m", "/m", 0)]
)
def test_nonsense_is_refused(tmp_path, name, base, version):
    with pytest.raises(ValueError, match="expected a name"):
        config.set_champion(tmp_path / "models.config", name, Path(base), version)
    assert list(tmp_path.iterdir()) == []


def test_writers_at_once_lose_nothing(tmp_path):
    path = tmp_path / "models.config"

    def write(name):
        for version in range(1, 11):
            config.set_champion(path, name, tmp_path / name, version)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: config.champion(path, name) for name in "abcd"} == dict.fromkeys("abcd", 10)
    assert [p.name for p in tmp_path.iterdir()] == ["models.config"]
