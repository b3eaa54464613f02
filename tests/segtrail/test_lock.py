"""One process at a time."""

import pytest

from segtrail.errors import StageError
from segtrail.lock import alone


def test_a_second_one_is_refused_until_the_first_has_ended(tmp_path):
    path = tmp_path / "not" / "there" / "lock"
    with alone(path, "busy"), pytest.raises(StageError, match="busy"), alone(path, "busy"):
        pass
    with alone(path, "busy"):
        pass
