"""What of the old application's JSON is taken, this library's own shapes accept, unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from rayces_core.fields.schemas import BlockedDates, Documents, EmergencyContacts, OrganizationSettings, WeeklySchedule
from rayces_core.migrating.adopting.rails.shapes import functions
from tests.sizes import examples

SHAPES: dict[str, tuple[str, TypeAdapter[Any]]] = {
    "schedule": ("pg_temp.rayces_schedule(%s)", TypeAdapter(WeeklySchedule)),
    "blocked": ("pg_temp.rayces_blocked(%s)", TypeAdapter(BlockedDates)),
    "contacts": ("pg_temp.rayces_contacts(%s)", TypeAdapter(EmergencyContacts)),
    "documents": ("pg_temp.rayces_documents(%s, '2025-01-01 12:00+00')", TypeAdapter(Documents)),
    "settings": ("pg_temp.rayces_settings(%s)", TypeAdapter(OrganizationSettings)),
}
# Keys and values near to those that are right, so that what is nearly right is among the examples.
KEYS = st.sampled_from(
    ["monday", "Tuesday ", "lunes", "start", "end", "start_date", "reason", "name", "relationship", "phone", "email",
     "url", "uploaded_at", "kind", "country", "booking_window_days", "book_prospects", "start_every_minutes", "", " a "]
)  # fmt: skip
TEXTS = st.sampled_from(
    ["", " ", "9:00", "09:00", "17:30", "24:00", "00:00", "25:00", "9:00:30", "12:00:00", "2025-01-01", "2025-02-30",
     "0000-01-01", "2025-1-1", "2025-01-01T10:00:00Z", "2025-01-01T10:00:00", "2025-01-01T99:00:00Z",
     "2025-01-01T10:00+05:30", "Eva", "e@x.org", "e@x", "@", "e @x.org", "https://x.org/a", "javascript://x",
     "https://x y", "VBScript:x", "12", "-1", "x" * 600]
)  # fmt: skip
LEAVES = TEXTS | st.none() | st.booleans() | st.integers(-2, 2000) | st.just(1.5) | st.text(max_size=3).filter(
    lambda text: "\0" not in text and text.isprintable()
)  # fmt: skip
SMALL = st.dictionaries(KEYS, LEAVES, max_size=5)
JSON = LEAVES | SMALL | st.lists(LEAVES | SMALL, max_size=4) | st.dictionaries(
    KEYS, LEAVES | SMALL | st.lists(LEAVES | SMALL, max_size=3), max_size=4
)  # fmt: skip
# One that is wholly right, so that something is taken.
RIGHT = {
    "schedule": {"monday": [{"start": "09:00", "end": "12:00"}]},
    "blocked": [{"start": "2025-01-01", "end": "2025-01-02", "reason": "x"}],
    "contacts": [{"name": "Eva", "relationship": "mother", "phone": "1", "email": "e@x.org"}],
    "documents": {"a": {"url": "https://x.org/a", "uploaded_at": "2025-01-01T10:00:00Z"}},
    "settings": {"booking_window_days": 30, "theme": "dark"},
}


@pytest.fixture(scope="module")
def cursor(server_url: str) -> Iterator[Any]:
    connection = psycopg2.connect(server_url)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("SET timezone TO 'UTC'")
    for statement in functions():
        cursor.execute(statement)
    yield cursor
    connection.close()


def taken(cursor: Any, shape: str, value: Any) -> tuple[Any, bool]:
    cursor.execute(f"SELECT {SHAPES[shape][0]}", (json.dumps(value),))
    fits, lost = cursor.fetchone()[0]
    return fits, lost


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_right_is_taken_whole_and_is_stored_as_this_library_stores_it(cursor: Any, shape: str) -> None:
    fits, lost = taken(cursor, shape, RIGHT[shape])
    adapter = SHAPES[shape][1]
    assert not lost
    assert adapter.validate_python(fits) == adapter.validate_python(RIGHT[shape])


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@given(value=JSON)
@examples(40, 400)
def test_whatever_is_taken_is_accepted(cursor: Any, shape: str, value: Any) -> None:
    fits, lost = taken(cursor, shape, value)
    stored = SHAPES[shape][1].dump_python(SHAPES[shape][1].validate_python(fits), mode="json")
    again, lost_again = taken(cursor, shape, fits)
    assert (again, lost_again) == (fits, False), "what was taken is taken again"
    assert SHAPES[shape][1].validate_python(stored) == SHAPES[shape][1].validate_python(fits)
    assert lost or fits or not value or shape != "settings"


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_and_null_are_nothing(cursor: Any, shape: str) -> None:
    assert taken(cursor, shape, None) in (({}, False), ([], False))
