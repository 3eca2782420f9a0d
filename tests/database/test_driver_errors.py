"""What psycopg2 raises without the server: misfitting values, unreadable ones, cursors, lost connections."""

import contextlib
import datetime

import psycopg2
import pytest

from rayces_core import errors
from rayces_core.database.constraints import DRIVER_ERRORS, translate
from tests.walking import walked

MISFITS = {
    "too few": ("SELECT %s, %s", (1,)),
    "none": ("SELECT %s", ()),
    "too many": ("SELECT %s", (1, 2)),
    "a name that is not there": ("SELECT %(a)s", {"b": 1}),
    "names for places": ("SELECT %s", {"a": 1}),
    "places for names": ("SELECT %(a)s", (1,)),
    "no sequence": ("SELECT %s", 5),
    "a lone percent sign": ("SELECT 5 % 3", (1,)),
    "one at the end": ("SELECT 5 %", (1,)),
    "an open name": ("SELECT %(a", {"a": 1}),
    "another letter": ("SELECT %d", (1,)),
    "no text": (5, None),
}
UNSTORABLE = {
    "NUL": ("SELECT %s", ("a\0b",)),
    "NUL in a list": ("SELECT %s", (["a\0b"],)),
    "half a surrogate": ("SELECT %s", ("Luz\ud800",)),
    "half a surrogate in the SQL": ("SELECT '\ud800'", None),
}
UNSENDABLE = {"an object": (object(),), "a dict": ({"a": 1},), "a list of objects": ([1, object()],)}
UNREADABLE = [
    "'0044-03-15 BC'::date",
    "'0044-03-15 BC'::timestamptz",
    "'10000-01-01'::date",
    "interval '1000000000 days'",
]


@pytest.fixture(scope="module")
def connection(db):
    with contextlib.closing(psycopg2.connect(db.url)) as connection:
        connection.autocommit = True
        yield connection


def translated(action, **more):
    with pytest.raises(DRIVER_ERRORS) as caught:
        action()
    error = translate(caught.value, **more)
    assert (error.orig, error.__cause__) == (caught.value, caught.value)
    return error


@walked("case", MISFITS)
def test_values_that_do_not_fit_the_places(connection, case):
    error = translated(lambda: connection.cursor().execute(*MISFITS[case]))
    assert type(error) is errors.ParametersError
    assert isinstance(error, TypeError)
    assert isinstance(error, ValueError)
    assert "do not fit the places" in str(error)


@walked("case", UNSTORABLE)
def test_a_text_that_cannot_be_stored(connection, case):
    error = translated(lambda: connection.cursor().execute(*UNSTORABLE[case]))
    assert (type(error), isinstance(error, ValueError), isinstance(error, UnicodeError)) == (
        errors.EncodingError,
        True,
        True,
    )
    str(error).encode()


@walked("case", UNSENDABLE)
def test_a_value_of_a_type_that_cannot_be_sent(connection, case):
    error = translated(lambda: connection.cursor().execute("SELECT %s", UNSENDABLE[case]))
    assert (type(error), isinstance(error, TypeError)) == (errors.UnsupportedValueError, True)
    assert "cannot send a '" in str(error)


@walked("value", UNREADABLE)
def test_a_value_that_python_has_no_equal_for(connection, value):
    cursor = connection.cursor()
    cursor.execute(f"SELECT {value}")
    error = translated(cursor.fetchall)
    assert type(error) is errors.UnreadableValueError
    assert "cast it to text" in str(error)


def test_a_value_in_another_format_than_the_driver_reads(connection):
    cursor = connection.cursor()
    cursor.execute("SET datestyle = 'SQL, DMY'; SELECT now()")
    error = translated(cursor.fetchall)
    cursor.execute("RESET datestyle")
    assert type(error) is errors.UnreadableValueError


def test_a_cursor_that_is_asked_for_what_it_has_not(connection):
    cursor = connection.cursor()
    cursor.execute("SET application_name = 'x'")
    assert type(translated(cursor.fetchall)) is errors.CursorError
    assert type(translated(lambda: cursor.execute(""))) is errors.CursorError
    assert type(translated(lambda: connection.cursor("named").execute("SELECT 1"))) is errors.CursorError
    cursor.close()
    assert type(translated(lambda: cursor.execute("SELECT 1"), cursor=cursor)) is errors.CursorError


def test_a_cursor_whose_connection_is_gone_tells_of_the_connection(db):
    connection = psycopg2.connect(db.url)
    cursor = connection.cursor()
    connection.close()
    for more in ({}, {"cursor": cursor}):
        error = translated(lambda: cursor.execute("SELECT 1"), **more)
        assert (type(error), error.retryable) == (errors.ConnectionLostError, True)
    assert type(translated(connection.cursor)) is errors.ConnectionLostError


@pytest.mark.slow
def test_a_copy_that_is_cut_is_a_lost_connection(db, tmp_path):
    connection = psycopg2.connect(db.url)

    class Cutting:
        def write(self, piece):
            if not connection.closed:
                with contextlib.closing(psycopg2.connect(db.url)) as other:
                    other.autocommit = True
                    other.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", (connection.get_backend_pid(),))
            self.write = lambda piece: len(piece)
            return len(piece)

    sql = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 50000)) TO STDOUT"
    error = translated(lambda: connection.cursor().copy_expert(sql, Cutting()))
    assert type(error) is errors.ConnectionLostError


def test_what_is_the_librarys_own_already_or_nobodys_stays_as_it_is():
    mine, others = errors.TenantNotSetError(), RuntimeError("mine")
    assert translate(mine) is mine
    assert translate(others) is others
    assert (mine.__cause__, mine.orig) == (None, None)


def test_the_facts_of_a_translated_error_survive_pickle(connection):
    import pickle

    for sql, values in (("SELEC 1", None), ("SELECT %s", ("a\0b",)), ("SELECT %s, %s", (datetime.date.today(),))):
        error = translated(lambda sql=sql, values=values: connection.cursor().execute(sql, values))
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.code, again.sqlstate) == (
            type(error),
            str(error),
            error.code,
            error.sqlstate,
        )
        assert type(again.orig) is type(error.orig)
