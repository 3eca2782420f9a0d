"""Messages of the library's own are prepared on their connection once, and go out plain where that cannot be."""

from contextlib import suppress

import psycopg2
import pytest

from rayces_core import Appointment, CheckFailedError, Database, RaycesError, UnsafeSQLError
from rayces_core.database.binding import current
from rayces_core.database.messages import Message, Prepared
from tests.factory import START, make_appointment, make_organization
from tests.wire import wire

SUM = Message("SELECT %(a)s + %(b)s, %(a)s", types={"a": "bigint", "b": "integer"})


def held(database):
    """How many statements the connection of this thread has prepared, without the one that binds tenants before 18."""
    return database.execute_sql(
        "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'rayces%' AND statement NOT LIKE '%set_config%'"
    ).fetchone()[0]


def run(message, **values):
    return current().engine.run_message(message, values).fetchone()


@pytest.fixture
def alone(db, a):
    """A connection that nothing has been prepared on, in a tenant's block."""
    with Database.connect(db.url) as database, database.tenant(a.id):
        yield database


def test_places_are_numbered_by_name():
    (statement,) = SUM.statements
    assert statement.text == "SELECT $1 + $2, $1"
    assert (statement.names, statement.types, statement.call) == (("a", "b"), "(bigint, integer)", "(%s, %s)")


def test_a_value_without_a_type_is_a_mistake_of_the_one_who_writes_the_message():
    with pytest.raises(KeyError):
        Message("SELECT %(a)s", types={})


def test_a_message_is_prepared_once_and_gives_the_last_result(alone):
    both = Message("SELECT 1", "SELECT %(a)s", types={"a": "bigint"})
    for number in (7, 8):
        assert run(both, a=number) == (number,)
        assert held(alone) == 2


def test_preparing_costs_no_message(db, a):
    with wire(db.url) as proxy, Database.connect(proxy.url) as database, database.tenant(a.id):
        run(SUM, a=1, b=1)
        proxy.sent.clear()
        other = Message("SELECT %(a)s - %(b)s", types={"a": "bigint", "b": "integer"})
        assert [run(other, a=3, b=1) for _ in range(2)] == [(2,), (2,)]
    assert [("PREPARE" in sent, "EXECUTE" in sent) for sent in proxy.sent] == [(True, True), (False, True)]


def test_an_error_leaves_no_name_behind_that_is_in_the_way(alone):
    divide = Message("SELECT 6 / %(a)s", types={"a": "integer"})
    with pytest.raises(Exception, match="division"):
        run(divide, a=0)
    assert run(divide, a=2) == (3,)


def test_a_refused_message_undoes_all_of_its_statements(alone):
    appointment = make_appointment()
    both = Message(
        "UPDATE appointments SET notes = 'x' WHERE id = %(id)s",
        "UPDATE appointments SET duration_minutes = 1 WHERE id = %(id)s",
        types={"id": "bigint"},
    )
    with pytest.raises(CheckFailedError):
        run(both, id=appointment.id)
    assert Appointment.get_by_id(appointment.id).notes is None


def test_a_statement_that_somebody_deallocated_is_sent_plain(alone):
    run(SUM, a=1, b=1)
    current().engine._state.conn.plain("DEALLOCATE ALL")
    assert run(SUM, a=1, b=2) == (3, 1)
    assert run(SUM, a=1, b=3) == (4, 1)
    assert held(alone) == 1


def test_raw_sql_goes_on_once_somebody_has_deallocated_what_binds_it(alone):
    alone.execute_sql("SELECT 1")
    current().engine._state.conn.plain("DEALLOCATE ALL")
    for _ in range(2):
        with suppress(RaycesError):  # before 18 the first one fails, and nothing of it was done
            alone.execute_sql("SELECT 1")
    assert alone.execute_sql("SELECT count(*) FROM users").fetchone() == (0,)


def test_raw_sql_may_not_deallocate(alone):
    with pytest.raises(UnsafeSQLError):
        alone.execute_sql("DEALLOCATE ALL")


def test_a_statement_whose_table_has_changed_is_sent_plain(own_db):
    organization = make_organization(own_db)
    every = Message("SELECT * FROM posts WHERE organization_id = %(a)s", types={"a": "bigint"})
    with own_db.tenant(organization):
        run(every, a=organization.id)
        change = psycopg2.connect(own_db.url)
        change.autocommit = True
        change.cursor().execute("ALTER TABLE posts ADD COLUMN more integer")
        change.close()
        assert run(every, a=organization.id) is None


def test_nothing_is_prepared_where_the_server_process_is_not_the_connection_s_own(db, a, monkeypatch):
    monkeypatch.setattr("rayces_core.database.connection.TenantConnection.is_direct", lambda _: False)
    with Database.connect(db.url) as database, database.tenant(a.id):
        assert run(SUM, a=1, b=1) == (2, 1)
        make_appointment(scheduled_at=START).pre_confirm()
        assert held(database) == 0


def test_each_tenant_gets_its_own_rows_from_one_prepared_statement(db, a, b):
    seen = Message("SELECT count(*) FROM appointments WHERE %(a)s = 1", types={"a": "integer"})
    with Database.connect(db.url, max_connections=1) as database:
        for organization, expected in ((a, 1), (b, 0), (a, 1)):
            with database.tenant(organization.id):
                if not expected:
                    assert run(seen, a=1) == (0,)
                    continue
                if not Appointment.select().exists():
                    make_appointment()
                assert run(seen, a=1) == (expected,)
        with database.privileged(reason="test"):
            assert run(seen, a=1)[0] >= 1


def test_a_connection_keeps_only_so_many(monkeypatch, alone):
    monkeypatch.setattr(Prepared, "MOST", 2)
    for number in range(4):
        assert run(Message(f"SELECT {number} + %(a)s", types={"a": "integer"}), a=1) == (number + 1,)
    assert held(alone) == 2
