"""What a frame is asked by stays within the tenant, whatever its text, its values and its holder."""

from __future__ import annotations

from typing import Any

import peewee
import pytest

from rayces_core import Database, Organization, Student, UnsafeSQLError, analysis
from rayces_core.database.traces import leaves_traces
from rayces_core.errors import RaycesError
from tests.factory import make_student

# Values that end the string which a placeholder stands in, and go on as SQL; a comment hides that a function is called.
BINDS = "||set_config{}($$rayces.organization_id$$,$${}$$,true)||"


@pytest.mark.parametrize("between", ["", "/**/", " -- x\n", "/* /* */ */ "])
@pytest.mark.parametrize("quoted", ["'%s'", "'a %s'"])
def test_a_value_within_a_string_of_a_query_binds_nobody_else(
    db: Database, a: Organization, b: Organization, between: str, quoted: str
) -> None:
    evil = BINDS.format(between, b.id)
    with db.tenant(a), db.atomic():
        make_student()
        for query in (
            Student.select(peewee.SQL(quoted, [evil])),
            Student.select().where(peewee.SQL(f"{quoted} <> 'x'", [evil])),
        ):
            for options in ({}, {"batch_rows": 1}):
                with pytest.raises(UnsafeSQLError, match="bound by"):
                    query.to_arrow(**options)
            for run in (
                list,
                peewee.Query.execute,
                lambda query: list(query.dicts()),
                lambda query: list(query.iterator()),
            ):
                with pytest.raises(UnsafeSQLError, match="bound by"):
                    run(query.clone())
        with pytest.raises(UnsafeSQLError):
            analysis.to_arrow(f"SELECT {quoted}", params=[evil])
        assert db.execute_sql("SELECT current_setting('rayces.organization_id')").fetchone() == (str(a.id),)


ENDS = [
    "SELECT 1) TO STDOUT; DELETE FROM students; COPY (SELECT 1",
    "SELECT 1) TO STDOUT --",
    "SELECT 1) TO PROGRAM 'true' --",
    "SELECT 1) AS q; DELETE FROM students; SELECT * FROM (SELECT 1",
    "SELECT 1) AS q --",
    "SELECT 1 /*",
    "SELECT 1 --",
    "SELECT $a$ ) TO STDOUT; DELETE FROM students; --",
    "WITH gone AS (DELETE FROM students RETURNING *) SELECT * FROM gone",
    "SELECT 1; DELETE FROM students",
    "SELECT * INTO TEMP mine FROM students",
    "(SELECT 1) UNION (SELECT 2)) AS q(a), (SELECT 1",
    "SELECT set_config/**/('rayces.organization_id', '1', false)",
    "SELECT pg_catalog.set_config('role', 'rayces_admin', false)",
    "SELECT query_to_xml('SELECT set_config(''role'', ''none'', false)', true, false, '')",
]


@pytest.mark.parametrize("text", ENDS)
def test_a_text_does_not_end_the_copy_nor_write(db: Database, a: Organization, text: str) -> None:
    with db.tenant(a):
        make_student()
        for batch_rows in (None, 1):
            try:
                analysis.to_arrow(text, batch_rows)
            except RaycesError:
                pass
            else:
                assert text == "SELECT 1 --"
        assert Student.select().count() >= 1
        assert db.execute_sql("SELECT current_user::text").fetchone() == ("rayces_app",)


CALLS = ["leaves()", "leaves/**/()", "leaves --\n()", "ñor()", '"leaves"()', "(s).leaves", "pg_catalog.set_config()"]


@pytest.mark.parametrize("called", CALLS)
def test_however_a_function_is_called_its_connection_is_taken_for_stained(called: str) -> None:
    assert leaves_traces(f'SELECT "t1"."id", {called} FROM "students" AS "t1"')


def test_what_the_library_renders_itself_is_taken_for_clean() -> None:
    assert not leaves_traces('SELECT COUNT(1) FROM (SELECT "t1"."id" FROM "students" AS "t1" WHERE (1 = %s)) AS "q"')


def test_a_query_made_by_one_tenant_is_read_by_another_as_its_own(
    db: Database, a: Organization, b: Organization
) -> None:
    queries: list[Any] = []
    for organization in (a, b):
        with db.tenant(organization):
            make_student(last_name=organization.subdomain)
            if not queries:
                queries = [
                    Student.select(Student.last_name),
                    Student.select(Student.last_name)
                    .where(Student.last_name == a.subdomain)
                    .union_all(Student.select(Student.last_name)),
                    Student.alias().select(),
                    Student.raw("SELECT last_name FROM students"),
                ]
                for query in queries:
                    assert set(analysis.to_arrow(query)["last_name"].to_pylist()) >= {a.subdomain}
    with db.tenant(b):
        for query in queries:
            assert a.subdomain not in analysis.to_arrow(query)["last_name"].to_pylist()


def test_batches_are_what_was_read_whoever_is_bound_when_they_are_taken(
    db: Database, a: Organization, b: Organization
) -> None:
    with db.tenant(a):
        make_student(last_name="of a")
        batches = Student.select().to_arrow(batch_rows=1)
    with db.tenant(b):
        make_student(last_name="of b")
        read = batches.read_all()["last_name"].to_pylist()
        assert "of b" not in read
        assert "of a" in read
        assert "of a" not in [student.last_name for student in Student.select()]
