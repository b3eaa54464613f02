from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segtrail import csv_records
from segtrail.errors import DataError

COLUMNS = ("name", "count")
texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"))


@dataclass(frozen=True)
class Record:
    name: str
    count: str


@given(st.lists(st.builds(Record, texts.filter(bool), texts)))
def test_what_was_written_is_read(records: list[Record]) -> None:
    text = csv_records.to_csv(records, COLUMNS)
    assert [Record(**row) for row in csv_records.parse(text.encode(), "x", COLUMNS)] == records


@pytest.mark.parametrize("content", [b"", b"name\n", b"count,name\n", b"name,count,more\n"])
def test_other_columns_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"t\.csv: expected the columns name, count; found"):
        csv_records.parse(content, "t.csv", COLUMNS)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(DataError, match=r"t\.csv: not readable as CSV"):
        csv_records.parse(b"name,count\n\xff,1\n", "t.csv", COLUMNS)
