"""No way through the library lets an error of the driver's out as it is."""

import contextlib

import pytest
from psycopg2.extensions import make_dsn

from rayces_core import Database, Student, errors
from tests.database.test_driver_errors import MISFITS, UNSENDABLE, UNSTORABLE
from tests.walking import walked


@walked("unit", [False, True])
@walked("case", [case for case in MISFITS if case not in ("none", "no text")])
def test_values_that_do_not_fit(db, a, case, unit):
    with db.tenant(a), pytest.raises(errors.ParametersError):
        with db.atomic() if unit else contextlib.nullcontext():
            db.execute_sql(*MISFITS[case])


@walked("case", UNSTORABLE)
def test_texts_that_cannot_be_stored(db, a, case):
    with db.tenant(a), pytest.raises(errors.EncodingError):
        db.execute_sql(*UNSTORABLE[case])


@walked("case", UNSENDABLE)
def test_values_that_cannot_be_sent(db, a, case):
    with db.tenant(a), pytest.raises(errors.UnsupportedValueError):
        db.execute_sql("SELECT %s", UNSENDABLE[case])


def test_a_cursor_of_the_callers_own(db, a):
    with db.tenant(a), db.atomic():
        cursor = db.execute_sql("SELECT '0044-03-15 BC'::date")
        with pytest.raises(errors.UnreadableValueError):
            cursor.fetchone()
        cursor = db.execute_sql("SET LOCAL statement_timeout = 0")
        with pytest.raises(errors.CursorError):
            cursor.fetchall()
        cursor = db.engine.connection().cursor()
        cursor.execute("SELECT 1")
        cursor.close()
        with pytest.raises(errors.CursorError):
            cursor.execute("SELECT 1")
    with db.tenant(a), contextlib.suppress(errors.TransactionFailedError), db.atomic():
        with pytest.raises(errors.SQLSyntaxError) as caught:
            db.engine.connection().cursor().execute("SELEC 1")
        assert (caught.value.line, caught.value.column) == (1, 1)


def test_a_value_that_python_has_no_equal_for(db, a):
    with db.tenant(a), pytest.raises(errors.UnreadableValueError):
        db.execute_sql("SELECT '10000-01-01'::timestamptz").fetchall()
    with db.tenant(a), pytest.raises(errors.UnreadableValueError):
        list(Student.raw("SELECT id, '10000-01-01'::timestamptz AS created_at FROM (VALUES (1)) AS one(id)"))


@walked(
    "changed, kind",
    [
        ({"dbname": "rayces_test_nowhere"}, errors.DatabaseMissingError),
        ({"user": "rayces_test_nobody"}, errors.LoginRefusedError),
        ({"host": "127.0.0.1", "port": "1"}, errors.DatabaseUnreachableError),
    ],
)
def test_a_database_that_cannot_be_connected_to(db, a, changed, kind):
    with Database.connect(make_dsn(db.url, **changed)) as database, pytest.raises(kind) as caught:
        with database.tenant(a):
            Student.select().count()
    assert type(caught.value) is kind
