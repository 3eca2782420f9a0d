"""Migration 028: what could never be booked is named before anything is changed; dead holds are put right."""

from typing import Any

import pytest

from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from tests.migrating.filler import fill

# What is found, what mends it.
UNFIT = {
    "session_duration_minutes": ("professionals SET session_duration_minutes = 10", "15"),
    "buffer_minutes": ("professionals SET buffer_minutes = 2000", "1440"),
    "of more than a day": ("appointments SET buffer_minutes = 2000 WHERE state = 'draft'", "0"),
    "within a minute": (
        "appointments SET scheduled_at = '2026-02-01 06:00:37.5+00' WHERE state = 'draft'",
        "'2026-02-01 06:00+00'",
    ),
}


@pytest.mark.slow
def test_rows_that_break_a_rule_are_named_and_once_mended_the_migration_goes_on(at: Any, connect: Any) -> None:
    url = at(27)
    runner, connection = Runner(url), connect(url)
    fill(connection, 27)
    cursor = connection.cursor()
    cursor.execute(
        "UPDATE appointments SET expires_at = pre_confirmed_at - interval '1 day' WHERE state = 'pre_confirmed'"
    )
    for words, (change, mended) in UNFIT.items():
        cursor.execute(f"UPDATE {change}")
        with pytest.raises(MigrationError, match=rf"{words}.*\(the first has id \d+\); correct them") as caught:
            runner.up(28)
        assert "2 " in str(caught.value)
        table, column = change.split(" SET ")[0], change.split(" SET ")[1].split(" =")[0]
        where = " WHERE state = 'draft'" if "WHERE" in change else ""
        cursor.execute(f"UPDATE {table} SET {column} = {mended}{where}")

    assert runner.up(28) == ["028_booking_rules"]

    cursor.execute("SELECT expires_at = pre_confirmed_at FROM appointments WHERE state = 'pre_confirmed'")
    assert cursor.fetchall() == [(True,), (True,)]
    cursor.execute("SELECT bool_and(convalidated) FROM pg_constraint WHERE contype = 'c'")
    assert cursor.fetchall() == [(True,)]
