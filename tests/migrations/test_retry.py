"""Trying again: only when another session was in the way, and only while the budget lasts."""

from typing import Any

import peewee
import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from rayces_core.migrations.retry import retrying, sqlstate


def test_the_sqlstate_of_an_error_is_found_under_peewees_wrapping(make_database: Any) -> None:
    parameters = parse_dsn(make_database())
    database = peewee.PostgresqlDatabase(parameters.pop("dbname"), **parameters)
    with database.connection_context(), pytest.raises(peewee.DataError) as caught:
        database.execute_sql("SELECT 1/0")
    assert sqlstate(caught.value) == "22012"
    assert sqlstate(ValueError("no state")) is None


@pytest.mark.slow
@pytest.mark.parametrize("state", ["55P03", "40P01", "40001"])
def test_what_another_session_caused_is_tried_again(make_database: Any, state: str) -> None:
    connection = psycopg2.connect(make_database())
    connection.autocommit = True
    attempts: list[int] = []

    def action(attempt: int) -> str:
        attempts.append(attempt)
        if attempt < 3:
            connection.cursor().execute(f"DO $$ BEGIN RAISE EXCEPTION 'busy' USING ERRCODE = '{state}'; END $$")
        return "done"

    assert retrying(action, "test", budget_seconds=10) == "done"
    assert attempts == [1, 2, 3]
    connection.close()


def test_any_other_error_is_raised_at_once(make_database: Any) -> None:
    connection = psycopg2.connect(make_database())
    attempts: list[int] = []

    def action(attempt: int) -> None:
        attempts.append(attempt)
        connection.cursor().execute("SELECT 1/0")

    with pytest.raises(psycopg2.errors.DivisionByZero):
        retrying(action, "test", budget_seconds=10)
    assert attempts == [1]
    connection.close()
