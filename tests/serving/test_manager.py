"""Which versions are loaded and unloaded, when; with models that are just objects."""

from __future__ import annotations

import threading
from pathlib import Path

import grpc
import pytest

pytest.importorskip("tensorflow_serving")

from serving.embedded.manager import Manager, State
from serving.embedded.model_list import Wanted, parse
from serving.embedded.refusal import Refusal


class Loaded:
    def __init__(self, path: Path, journal: list[str]) -> None:
        self.name, self.journal = path.name, journal
        if (path / "broken").exists():
            raise RuntimeError("no\nvariables")
        journal.append(f"+{path.name}")

    def close(self) -> None:
        self.journal.append(f"-{self.name}")


@pytest.fixture
def journal():
    return []


@pytest.fixture
def manager(journal):
    return Manager(lambda path: Loaded(path, journal))


@pytest.fixture
def base(tmp_path):
    for version in (1, 2, 3, 10):
        (tmp_path / str(version)).mkdir()
    (tmp_path / ".incoming-5").mkdir()
    (tmp_path / "4").write_bytes(b"a file")
    return tmp_path


def specific(base, *versions, **labels):
    return Wanted("m", base, None, frozenset(versions), labels)


def states(manager):
    return {number: state.name for number, state, _ in manager.states("m")}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Wanted("m", Path()), [10]),
        (Wanted("m", Path(), latest=3), [2, 3, 10]),
        (Wanted("m", Path(), latest=None), [1, 2, 3, 10]),
        (Wanted("m", Path(), None, frozenset({2, 7})), [2]),
    ],
)
def test_policies(base, policy, expected):
    wanted = Wanted("m", base, policy.latest, policy.specific)
    assert sorted(wanted.on_disk()) == expected


def test_a_new_version_is_loaded_before_the_old_one_goes(manager, base, journal):
    assert manager.reconcile([specific(base, 1)]) == []
    assert manager.reconcile([specific(base, 2)]) == []
    assert journal == ["+1", "+2", "-1"]
    assert states(manager) == {1: "END", 2: "AVAILABLE"}
    assert manager.reconcile([specific(base, 1)]) == []  # a rollback
    assert journal == ["+1", "+2", "-1", "+1", "-2"]
    with manager.using("m") as found:
        assert found.number == 1


def test_a_version_that_appears_on_the_disk_is_found(manager, base, journal):
    manager.reconcile([Wanted("m", base)])
    (base / "11").mkdir()
    manager.reconcile()
    assert journal == ["+10", "+11", "-10"]


def test_what_fails_to_load_replaces_nothing_and_is_tried_when_wanted_again(manager, base, journal):
    (base / "2" / "broken").mkdir()
    manager.reconcile([specific(base, 1)])
    (problem,) = manager.reconcile([specific(base, 2)])
    assert "Version: 2}: no variables" in problem.message
    assert manager.states("m") == [(1, State.AVAILABLE, ""), (2, State.END, "no variables")]
    with manager.using("m") as found:
        assert found.number == 1
    (base / "2" / "broken").rmdir()
    assert len(manager.reconcile()) == 1  # not by itself
    manager.reconcile([specific(base, 1)])
    assert manager.reconcile([specific(base, 2)]) == []
    assert states(manager) == {1: "END", 2: "AVAILABLE"}


@pytest.mark.parametrize("missing", ["version", "folder"])
def test_what_is_not_on_the_disk_replaces_nothing(manager, base, missing):
    manager.reconcile([specific(base, 1)])
    folder = base if missing == "version" else base / "nowhere"
    assert len(manager.reconcile([specific(folder, 99)])) == 1
    assert states(manager) == {1: "AVAILABLE"}


def test_a_model_that_is_left_out_is_unloaded(manager, base, journal):
    manager.reconcile([specific(base, 1, 3)])
    manager.reconcile([])
    assert journal == ["+3", "+1", "-1", "-3"]
    with pytest.raises(Refusal, match=r"Latest\(m\)"), manager.using("m"):
        pass


def test_a_version_in_use_stays_until_its_last_answer(manager, base, journal):
    manager.reconcile([specific(base, 1)])
    with manager.using("m") as found:
        thread = threading.Thread(target=manager.reconcile, args=([specific(base, 2)],))
        thread.start()
        for _ in range(500):
            if states(manager) == {1: "UNLOADING", 2: "AVAILABLE"}:
                break
            thread.join(0.01)
        assert states(manager) == {1: "UNLOADING", 2: "AVAILABLE"}
        assert found.model is not None
        assert journal == ["+1", "+2"]
        with manager.using("m") as newer:
            assert newer.number == 2
    thread.join(5)
    assert journal == ["+1", "+2", "-1"]


def test_without_a_version_the_highest_answers(manager, base):
    manager.reconcile([specific(base, 2, 10)])
    with manager.using("m") as latest, manager.using("m", 2) as older:
        assert (latest.number, older.number) == (10, 2)
    with pytest.raises(Refusal, match=r"Specific\(m, 3\)") as e, manager.using("m", 3):
        pass
    assert e.value.code == grpc.StatusCode.NOT_FOUND


def test_labels(manager, base):
    with pytest.raises(Refusal) as e:
        manager.version_of("m", "stable")
    assert e.value.code == grpc.StatusCode.UNAVAILABLE
    assert manager.reconcile([specific(base, 1, 2)]) == []
    assert manager.reconcile([specific(base, 1, 2, stable=1)]) == []
    with manager.using("m", label="stable") as found:
        assert found.number == 1
    with pytest.raises(Refusal, match="Unrecognized") as e:
        manager.version_of("m", "canary")
    assert e.value.code == grpc.StatusCode.INVALID_ARGUMENT


# The five that follow: `ServerCore::UpdateModelVersionLabelMap`, which comes before the models.
@pytest.mark.parametrize("early", [False, True])
def test_a_new_label_on_a_version_that_is_not_loaded(base, journal, early):
    manager = Manager(lambda path: Loaded(path, journal), early_labels=early)
    problems = manager.reconcile([specific(base, 1, stable=1)])
    assert [p.code for p in problems] == ([] if early else [grpc.StatusCode.FAILED_PRECONDITION])
    assert journal == (["+1"] if early else [])


@pytest.mark.parametrize("early", [False, True])
def test_a_configuration_that_moves_a_label_to_what_is_not_loaded_is_not_taken_at_all(
    base, journal, early
):
    manager = Manager(lambda path: Loaded(path, journal), early_labels=early)
    manager.reconcile([specific(base, 1)])
    manager.reconcile([specific(base, 1, stable=1)])
    other = Wanted("other", base, None, frozenset({3}), {})
    for _ in range(2):  # nor is it later: the version would have to be loaded first
        (problem,) = manager.reconcile([specific(base, 2, stable=2), other])
        assert problem.code == grpc.StatusCode.FAILED_PRECONDITION
        assert "label to version 2 of model m" in problem.message
        manager.reconcile()  # the disk is looked at in between
    assert journal == ["+1"]
    assert manager.version_of("m", "stable") == 1


def test_a_label_moves_in_three_configurations(base, journal):
    manager = Manager(lambda path: Loaded(path, journal), early_labels=True)
    for wanted, stable, latest in (
        (specific(base, 1, stable=1), 1, 1),
        (specific(base, 1, 2, stable=1), 1, 2),
        (specific(base, 1, 2, stable=2), 2, 2),
        (specific(base, 2, stable=2), 2, 2),
        (specific(base, 1, 2, stable=2), 2, 2),
        (specific(base, 1, 2, stable=1), 1, 2),
        (specific(base, 1, stable=1), 1, 1),
    ):
        assert manager.reconcile([wanted]) == []
        with manager.using("m", label="stable") as labelled, manager.using("m") as found:
            assert (labelled.number, found.number) == (stable, latest)
    assert journal == ["+1", "+2", "-1", "+1", "-2"]


def test_a_label_that_is_left_out_is_gone(manager, base):
    manager.reconcile([specific(base, 1)])
    manager.reconcile([specific(base, 1, stable=1)])
    manager.reconcile([specific(base, 1)])
    with pytest.raises(Refusal, match="Unrecognized"):
        manager.version_of("m", "stable")


def test_a_problem_is_logged_once(base):
    said = []
    manager = Manager(lambda path: Loaded(path, []), said.append)
    for _ in range(3):
        manager.reconcile([specific(base / "nowhere", 1)])
    assert len(said) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model_config_list {", "Error parsing text-format tensorflow.serving.ModelServerConfig"),
        ("config {}", "Error parsing text-format"),
        ('model_config_list{config{name:"m" base_path:"m" model_platform:"tensorflow"}}', "absol"),
        ('model_config_list{config{name:"m" base_path:"/m"}}', "model_platform"),
        (
            'model_config_list{config{name:"m" base_path:"/m" model_platform:"tensorflow"}'
            ' config{name:"m" base_path:"/n" model_platform:"tensorflow"}}',
            "multiple times",
        ),
    ],
)
def test_a_bad_configuration_is_refused(text, says):
    with pytest.raises(Refusal, match=says):
        parse(text)


def test_policies_are_read():
    text = (
        'name: "m" base_path: "/m" model_platform: "tensorflow" '
        'version_labels { key: "stable" value: 3 } model_version_policy '
    )
    cases = {
        "{}": (1, None),
        "{ latest { num_versions: 2 } }": (2, None),
        "{ all {} }": (None, None),
        "{ specific { versions: 3 versions: 5 } }": (None, frozenset({3, 5})),
    }
    for policy, expected in cases.items():
        (found,) = parse(f"model_config_list {{ config {{ {text} {policy} }} }}")
        assert (found.latest, found.specific) == expected
        assert found.labels == {"stable": 3}
