"""Frames leave a connection as they have found it, whatever its encoding and whoever has it next."""

from __future__ import annotations

from psycopg2.extensions import make_dsn

from rayces_core import Database, Organization, Student, analysis
from tests.conftest import on_server
from tests.factory import make_organization, make_student

LEAVES = """
CREATE FUNCTION leaves_a_mark() RETURNS int LANGUAGE plpgsql AS
$$ BEGIN PERFORM set_config('my.mark', 'of another tenant', false); RETURN 1; END $$
"""


def test_what_a_text_leaves_on_its_connection_is_gone_for_the_next_tenant(own_db: Database) -> None:
    on_server(own_db.url, LEAVES)
    with Database.connect(own_db.url, max_connections=1) as database:
        first, second = make_organization(database), make_organization(database)
        with database.tenant(first):
            analysis.to_arrow("SELECT leaves_a_mark() AS n")
            assert database.execute_sql("SELECT current_setting('my.mark', true)").fetchone() == ("of another tenant",)
        with database.tenant(second):
            assert database.execute_sql("SELECT current_setting('my.mark', true)").fetchone()[0] in (None, "")


def test_texts_of_another_encoding_are_the_same_texts(db: Database, a: Organization) -> None:
    with Database.connect(make_dsn(db.url, client_encoding="LATIN1")) as database, database.tenant(a):
        make_student(first_name="Ñandú", medical_notes=None)
        read = Student.select().to_arrow().to_pylist()[0]
    assert (read["first_name"], read["medical_notes"], read["admission_state"]) == ("Ñandú", None, "prospect")


def test_batches_are_read_when_the_block_is_left_and_the_connection_is_free(db: Database, a: Organization) -> None:
    with db.tenant(a):
        make_student()
        reader = Student.select().to_arrow(batch_rows=1)
        assert db.engine.session.conn is None or db.engine.session.conn.idle
        make_student()
    assert [batch.num_rows for batch in reader] == [1]


def test_a_nested_unit_of_work_is_a_savepoint_of_the_callers(db: Database, a: Organization) -> None:
    with db.tenant(a), db.atomic("REPEATABLE READ"):
        make_student()
        assert len(Student.select().to_arrow(batch_rows=10).read_all()) == 1
        assert Student.select().count() == 1
