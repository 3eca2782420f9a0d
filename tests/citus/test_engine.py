"""In a laboratory of Citus: the tenant reaches the rows, every shard is held, and how many messages it takes."""

from datetime import UTC, datetime, timedelta

import psycopg2
import pytest

from rayces_core import (
    Appointment,
    ConfigurationError,
    CreditTransaction,
    Database,
    DuplicateError,
    IsolationInertError,
    Post,
    RaycesError,
    ReadOnlyError,
    SlotTakenError,
    Student,
    User,
    credits,
    scheduling,
)
from rayces_core.citus import compare, distribute
from rayces_core.doctor import audit
from tests.citus.lab import run
from tests.factory import make_organization, make_professional, make_student, make_user
from tests.wire import wire

SOON = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=3)
WEEK = {
    day: [{"start": "00:00", "end": "24:00"}]
    for day in ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
}


@pytest.fixture
def centre(distributed):
    return make_organization(distributed)


def test_each_tenant_reads_its_rows_and_no_others(distributed, centre):
    other = make_organization(distributed)
    for organization in (centre, other):
        with distributed.tenant(organization):
            make_student()
            assert Student.select().count() == 1
            assert distributed.execute_sql("SELECT count(*) FROM students").fetchone() == (1,)


def test_a_settled_entry_and_another_tenants_pending_one_stay_as_they_are_on_the_shards(distributed, centre):
    other = make_organization(distributed)
    with distributed.tenant(other):
        credits.purchase(make_user(), 5, pending=True)
    with distributed.tenant(centre):
        credits.purchase(make_user(), 5)
        changed = distributed.execute_sql("""UPDATE credit_transactions SET metadata = '{"forged": true}'""")
        assert changed.rowcount == 0
    with distributed.privileged(reason="test"):
        assert CreditTransaction.select().where(CreditTransaction.metadata == {"forged": True}).count() == 0


def test_a_block_that_only_reads_writes_nothing(distributed, centre):
    with distributed.tenant(centre):
        make_student()
    with distributed.tenant(centre, read_only=True):
        assert Student.select().count() == 1
        for write in (
            lambda: Student.update(grade_level="x").execute(),
            lambda: distributed.execute_sql("SET TRANSACTION READ WRITE; UPDATE students SET grade_level = 'x'"),
        ):
            with pytest.raises(RaycesError):
                write()
            with pytest.raises(ReadOnlyError), distributed.atomic():
                Student.update(grade_level="x").execute()
        assert Student.select().where(Student.grade_level == "x").count() == 0


def test_a_refused_row_has_the_error_that_it_has_on_postgresql(distributed, centre):
    with distributed.tenant(centre):
        user = make_user()
        with pytest.raises(DuplicateError, match="users already has a row with this email") as refused:
            make_user(email=user.email)
    assert (refused.value.constraint, refused.value.table) == ("users_organization_id_email_key", "users")


def test_a_slot_is_booked_once_and_paid_for_once(distributed, centre):
    with distributed.tenant(centre):
        professional, student, client = make_professional(weekly_schedule=WEEK), make_student(), make_user()
        credits.purchase(client, 2)
        booked = scheduling.book(
            student=student, professional=professional, client=client, scheduled_at=SOON, uses_credit=True
        )
        with pytest.raises(SlotTakenError):
            scheduling.book(student=student, professional=professional, client=client, scheduled_at=SOON)
        booked.confirm()
        assert credits.balance(client) == 1
        booked.cancel(reason="ill", refund=True)
        assert credits.balance(client) == 2
        assert Appointment.select().count() == 1
        assert credits.verify().discrepancies == ()


MOST_MESSAGES = {"read": 4, "write": 4, "posting": 4, "book": 8, "transition": 5}


def test_how_many_messages_an_operation_takes(superuser, distributed, centre):
    with (
        wire(distributed.url) as proxy,
        Database.connect(proxy.url, admin_url=superuser, engine="citus") as counted,
        counted.tenant(centre.subdomain),
    ):
        professional, student, client = make_professional(weekly_schedule=WEEK), make_student(), make_user()
        credits.purchase(client, 9)
        other = scheduling.book(student=student, professional=professional, client=client, scheduled_at=SOON)
        other.confirm()
        took = {}

        def count(name, act):
            before = len(proxy.sent)
            done = act()
            took[name] = len(proxy.sent) - before
            return done

        count("read", lambda: User.get_by_id(client.id))
        count("write", lambda: Post.create(user=client, content="x"))
        count("posting", lambda: credits.debit(client, 1))
        later = SOON + timedelta(hours=3)
        booked = count(
            "book",
            lambda: scheduling.book(
                student=student, professional=professional, client=client, scheduled_at=later, uses_credit=True
            ),
        )
        count("transition", booked.confirm)
    assert {name: messages for name, messages in took.items() if messages > MOST_MESSAGES[name]} == {}


def test_a_login_that_becomes_the_role_is_refused_since_copy_would_give_it_nothing(superuser):
    with Database.connect(superuser, engine="citus") as database, pytest.raises(IsolationInertError, match="COPY"):
        database.find_tenant("nowhere")


def test_there_is_no_reader(distributed):
    with pytest.raises(ConfigurationError, match="no reader"):
        distributed.reader()


def test_the_engine_of_postgresql_is_refused(superuser, distributed):
    with (
        Database.connect(distributed.url, admin_url=superuser) as database,
        pytest.raises(IsolationInertError, match='engine="citus"'),
    ):
        database.find_tenant("nowhere")


def test_every_shard_is_as_the_migrations_make_it_and_what_is_not_is_found(superuser, distributed):
    with psycopg2.connect(superuser) as connection:
        connection.autocommit = True
        assert compare(connection) == []
        node = run(superuser, "SELECT nodeport FROM pg_dist_node WHERE groupid <> 0 ORDER BY groupid LIMIT 1")[0][0]
        worker = psycopg2.extensions.make_dsn(superuser, port=node)
        (shard,) = run(
            worker,
            "SET citus.override_table_visibility TO off; SELECT min(relname::text) FROM pg_class "
            r"WHERE relname ~ '^students_\d{6,}$' AND relkind = 'r'",
        )[0]
        held = "organization_id = nullif(current_setting('rayces.organization_id', true), '')::bigint"
        off = "SET citus.enable_ddl_propagation TO off; "
        for broken, whole in (
            (f"ALTER TABLE {shard} NO FORCE ROW LEVEL SECURITY", f"ALTER TABLE {shard} FORCE ROW LEVEL SECURITY"),
            (f"CREATE POLICY more ON {shard} USING (true)", f"DROP POLICY more ON {shard}"),
            (f"GRANT TRUNCATE ON {shard} TO PUBLIC", f"REVOKE TRUNCATE ON {shard} FROM PUBLIC"),
            (
                f"ALTER POLICY rayces_tenant ON {shard} USING (true)",
                f"ALTER POLICY rayces_tenant ON {shard} USING ({held})",
            ),
        ):
            run(worker, off + broken)
            assert [each.object for each in compare(connection)] == ["students"], broken
            assert [each.check for each in audit(distributed) if each.severity == "error"] == ["citus-differs"]
            run(worker, off + whole)
        assert compare(connection) == []


def test_distributing_again_does_nothing_and_a_new_table_of_a_migration_is_taken_in(superuser):
    assert distribute(superuser) == []
    run(
        superuser,
        "SET citus.enable_local_reference_table_foreign_keys TO off; "
        "CREATE TABLE rooms (organization_id bigint NOT NULL REFERENCES organizations, id bigint GENERATED BY DEFAULT "
        "AS IDENTITY, PRIMARY KEY (organization_id, id)); ALTER TABLE rooms ENABLE ROW LEVEL SECURITY, "
        "FORCE ROW LEVEL SECURITY; CREATE POLICY rayces_tenant ON rooms TO rayces_app USING (organization_id = "
        "nullif(current_setting('rayces.organization_id', true), '')::bigint)",
    )
    assert distribute(superuser, rehearse=True) == ["rooms"]
    assert distribute(superuser) == ["rooms"]
    run(superuser, "DROP TABLE rooms")
