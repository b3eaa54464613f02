"""A checkpoint is whole or not there, and gives back what it was given."""

import numpy as np
import pytest

from model.checkpoints import Checkpoints
from segtrail.errors import StageError


class Variable:
    def __init__(self, value):
        self.value = np.asarray(value)

    @property
    def shape(self):
        return self.value.shape

    def assign(self, value):
        self.value = np.asarray(value)

    def __array__(self, dtype=None, copy=None):
        return self.value


HISTORY = [{"step": 5.0, "loss": 0.1 + 0.2}]


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "one")


def test_none_at_first(checkpoints):
    assert checkpoints.newest() is None


def test_what_was_saved_comes_back_bit_for_bit(checkpoints):
    values = [np.float32([1 / 3, np.pi]), np.int64(7), np.zeros((0, 2), np.float32)]
    checkpoints.save({"state": values}, 1, HISTORY, {"run": "a"})
    found = checkpoints.newest()
    variables = [Variable(np.zeros_like(v)) for v in values]
    found.restore("state", variables)
    for value, variable in zip(values, variables, strict=True):
        np.testing.assert_array_equal(variable.value, value)
    assert (found.epoch, found.history, found.notes) == (1, HISTORY, {"run": "a"})
    assert found.values("best") == []


def test_the_newest_alone_is_kept(checkpoints):
    for epoch in (1, 2, 10):
        checkpoints.save({"state": [np.ones(epoch)]}, epoch, HISTORY, {})
    assert checkpoints.newest().epoch == 10
    assert len(list(checkpoints.folder.iterdir())) == 1


def test_a_half_written_one_is_passed_over(checkpoints):
    checkpoints.save({"state": [np.ones(1)]}, 1, HISTORY, {})
    (checkpoints.folder / ".epoch-000002.x.tmp").mkdir()
    (checkpoints.folder / "epoch-000002").mkdir()
    assert checkpoints.newest().epoch == 1
    checkpoints.save({"state": [np.ones(1)]}, 3, HISTORY, {})
    assert [f.name for f in checkpoints.folder.iterdir()] == ["epoch-000003"]


def test_another_network_s_values_are_refused(checkpoints):
    checkpoints.save({"state": [np.ones(3)]}, 1, HISTORY, {})
    for variables in ([Variable(np.ones(4))], [Variable(np.ones(3)), Variable(np.ones(3))]):
        with pytest.raises(StageError, match="expected the values of"):
            checkpoints.newest().restore("state", variables)


def test_objects_are_not_unpickled(checkpoints):
    checkpoints.save({"state": [np.ones(1)]}, 1, HISTORY, {})
    path = checkpoints.newest().folder / "state.npz"
    np.savez(path, v00000=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        checkpoints.newest().values("state")


def test_removed(checkpoints):
    checkpoints.save({"state": [np.ones(1)]}, 1, HISTORY, {})
    checkpoints.remove()
    assert checkpoints.newest() is None
