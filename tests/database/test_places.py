"""The place of an error is given in the caller's own SQL: the library's in front of it is not shown, nor are values."""

import psycopg2
import pytest

from rayces_core import SQLSyntaxError, StatementError, UnknownColumnError, UnknownFunctionError, UnknownTableError
from rayces_core.database.constraints import translate
from tests.walking import walked


def refused(db, organization, sql, values=None, *, unit=False):
    with db.tenant(organization), pytest.raises(StatementError) as caught:
        if unit:
            with db.atomic():
                db.execute_sql(sql, values)
        db.execute_sql(sql, values)
    return caught.value


@walked("unit", [False, True])
@walked(
    "sql, kind, line, column, excerpt",
    [
        ("SELEC 1", SQLSyntaxError, 1, 1, "SELEC 1"),
        ("SELECT 1 +", SQLSyntaxError, 1, 11, "SELECT 1 +"),
        ("SELECT id,\n  nothing\nFROM students", UnknownColumnError, 2, 3, "nothing"),
        ("SELECT 'añó', no_such(1)", UnknownFunctionError, 1, 15, "SELECT '…', no_such(1)"),
        ("SELECT 1\n\n  FROM nowhere", UnknownTableError, 3, 8, "FROM nowhere"),
        ("SELECT 'a'::no_such", StatementError, 1, 13, "SELECT '…'::no_such"),
    ],
)
def test_line_column_and_excerpt_are_the_callers_own(db, a, sql, kind, line, column, excerpt, unit):
    error = refused(db, a, sql, unit=unit)

    assert (type(error), error.line, error.column, error.excerpt) == (kind, line, column, excerpt)
    assert f"(line {line}, column {column}: {excerpt})" in str(error)
    assert "set_config" not in str(error)
    assert "LINE" not in str(error)


def test_values_are_not_repeated(db, a):
    error = refused(db, a, "SELECT nothing FROM students WHERE first_name = %s AND last_name = %s", ("Luz", "So'sa\\"))
    assert error.excerpt == "SELECT nothing FROM students WHERE first_name = '…' AND last_name = '…'"
    assert "Luz" not in str(error)
    error = refused(db, a, r"SELECT E'Lu\'z, né Sosa', $$Luz's$$, $q$Luz $$ 's$q$, 'Luz', nothing FROM students")
    assert error.excerpt == "SELECT '…', '…', '…', '…', nothing FROM students"


def test_a_long_line_is_cut_around_the_place(db, a):
    error = refused(db, a, f"SELECT {', '.join(['id'] * 100)}, nothing, {', '.join(['id'] * 100)} FROM students")
    assert "id, nothing, id" in error.excerpt
    assert len(error.excerpt) <= 103


def test_what_the_server_advises_is_kept(db, a):
    error = refused(db, a, "SELECT first_nam FROM students")
    assert str(error).startswith(
        'column "first_nam" does not exist (line 1, column 8: SELECT first_nam FROM students); '
    )
    assert "students.first_name" in str(error)


def test_an_alias_without_its_table_is_not_a_missing_table(db, a):
    error = refused(db, a, "SELECT s.id FROM students")
    assert (type(error), "migrate" in str(error)) == (StatementError, False)


def test_a_function_that_fails_inside_names_no_place(db, a):
    with db.tenant(a), pytest.raises(StatementError) as caught, db.atomic():
        db.execute_sql("SELECT query_to_xml('SELEC 1', false, false, '')")
    assert (caught.value.line, caught.value.excerpt) == (None, "")


def test_who_knows_how_much_was_put_in_front_says_so(db):
    connection = psycopg2.connect(db.url)
    cursor = connection.cursor()
    with pytest.raises(psycopg2.Error) as caught:
        cursor.execute("SELECT 'the library''s';\nSELEC 1")
    error = translate(caught.value, ahead=len("SELECT 'the library''s';\n"))
    connection.close()
    assert (error.line, error.column, error.excerpt) == (1, 1, "SELEC 1")
