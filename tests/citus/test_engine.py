"""In a laboratory of Citus: the tenant reaches the rows, every shard is held, and how many messages it takes."""

import io
import uuid
from contextlib import closing, nullcontext
from datetime import UTC, date, datetime, timedelta

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

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
    ResourceKind,
    Role,
    SlotRequest,
    SlotTakenError,
    Student,
    User,
    calendars,
    credits,
    invoicing,
    notices,
    scheduling,
)
from rayces_core.citus import compare, distribute
from rayces_core.doctor import audit
from rayces_core.people import erase_user, merge_users
from tests.citus.lab import run
from tests.factory import (
    make_giving,
    make_organization,
    make_package,
    make_professional,
    make_resource,
    make_student,
    make_user,
)
from tests.notices.senders import reminders
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


def test_a_copy_gives_the_tenants_rows_also_as_the_first_statement_of_a_unit_of_work(distributed, centre):
    other = make_organization(distributed)
    for organization in (centre, other):
        with distributed.tenant(organization):
            make_student(first_name=organization.subdomain)
    for sql in ("COPY students (first_name) TO STDOUT", "COPY (SELECT first_name FROM students) TO STDOUT"):
        out = io.StringIO()
        with distributed.tenant(centre), distributed.atomic():
            distributed.engine.cursor().copy_expert(sql, out)
        assert out.getvalue().split() == [centre.subdomain]


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


# Of the client, and what the coordinator sends to other nodes for them.
MOST = {
    "read": (4, 3),
    "write": (4, 3),
    "free slots": (4, 3),
    "posting": (4, 16),
    "book": (8, 23),
    "transition": (4, 18),
    "transition that posts": (5, 29),
    "cancellation that refunds": (6, 36),
    "reschedule": (8, 19),
    "unit of three reads and a write": (7, 6),
    "group slots": (8, 6),
    "making a group": (8, 19),
    "a seat": (8, 28),
    "moving a group with a seat": (13, 30),
    "cancelling a group with a seat": (8, 31),
    "book a service": (8, 21),
    "a series of four": (17, 60),
    "cancelling a series of four": (13, 60),
    "cancellation that the policy judges": (7, 36),
    "asking for a slot": (11, 6),
    "offering it": (34, 61),
    "taking the offer": (12, 47),
    "reminders, one sent": (54, 38),
    "taking a purchase back": (10, 27),
    "a purchase": (4, 18),
    "a package": (10, 29),
    "reserving for holds": (10, 9),
    "book with a room": (9, 25),
    "free slots with a room": (5, 4),
    "reschedule with a room": (9, 25),
    "making a group with a room": (9, 25),
    "a calendar's feed": (6, 5),
    "answering it with a calendar": (16, 9),
    "asking for time off": (8, 6),
    "approving it": (4, 15),
    "a draft invoice": (12, 6),
    "issuing it": (4, 25),
    "crediting it": (5, 26),
    "a merge": (34, 61),
    "an erasure": (64, 94),
}


class Heard:
    """How many commands to other nodes were noticed; of a list psycopg2 would keep the last fifty."""

    commands = 0

    def append(self, notice):
        self.commands += "issuing " in notice


def test_how_many_messages_and_commands_an_operation_takes(superuser, distributed):
    centre = make_organization(distributed, settings=reminders(60) | {"booking_window_days": 365})
    logging = "-c citus.log_remote_commands=on"
    given = {"engine": "citus", "max_connections": 1, "tenant_cache_seconds": 600}
    with (
        wire(make_dsn(distributed.url, options=logging)) as proxy,
        wire(make_dsn(superuser, options=logging)) as privileged,
        Database.connect(proxy.url, admin_url=privileged.url, **given) as counted,
        counted.tenant(centre.subdomain),
    ):
        professional, student, client = make_professional(weekly_schedule=WEEK), make_student(), make_user()
        people = {"student": student, "professional": professional, "client": client}
        credits.purchase(client, 9)
        service = make_giving(professional=professional).service
        heard = Heard()
        for place in (nullcontext(), counted.privileged(reason="test")):
            with place:
                counted.engine.session.check_out().notices = heard
                counted.engine.session.release()
        took = {}

        def count(name, act):
            before, heard.commands = len(proxy.sent) + len(privileged.sent), 0
            done = act()
            took[name] = (len(proxy.sent) + len(privileged.sent) - before, heard.commands)
            return done

        def in_a_unit():
            with counted.atomic():
                for _ in range(3):
                    User.get_by_id(client.id)
                Post.create(user=client, content="y")

        def everything(hour):
            count("read", lambda: User.get_by_id(client.id))
            count("write", lambda: Post.create(user=client, content="x"))
            count("free slots", lambda: scheduling.free_slots(professional, SOON, SOON + timedelta(days=1)))
            count("posting", lambda: credits.debit(client, 1))
            at = SOON + timedelta(hours=hour)
            booked = count("book", lambda: scheduling.book(**people, scheduled_at=at, uses_credit=True))
            count("transition that posts", booked.confirm)
            moved = count("reschedule", lambda: scheduling.reschedule(booked, at + timedelta(hours=2)))
            count("cancellation that refunds", lambda: moved.cancel(reason="ill", refund=True))
            judged = scheduling.book(**people, scheduled_at=at + timedelta(hours=3), uses_credit=True)
            judged.confirm()
            count("cancellation that the policy judges", lambda: judged.cancel(reason="ill"))
            count("transition", scheduling.book(**people, scheduled_at=at).confirm)
            count("unit of three reads and a write", in_a_unit)
            calendar(at + timedelta(days=7))

        def calendar(at):
            day = (at, at + timedelta(days=1))
            group = {"professional": professional, "scheduled_at": at, "capacity": 8}
            made = count("making a group", lambda: scheduling.create_group_session(**group))
            count("group slots", lambda: scheduling.group_slots(*day))
            count("a seat", lambda: scheduling.book_group(made, student=student, client=client))
            later = at + timedelta(hours=4)
            count("moving a group with a seat", lambda: scheduling.reschedule_group(made, later))
            count("cancelling a group with a seat", lambda: scheduling.cancel_group_session(made, reason="ill"))
            count("book a service", lambda: scheduling.book(**people, scheduled_at=at, service=service))
            weekly = {"scheduled_at": at + timedelta(hours=6), "count": 4}
            series = count("a series of four", lambda: scheduling.book_series(**people, **weekly)).booked[0]
            count(
                "cancelling a series of four",
                lambda: scheduling.cancel_series(series, which="all", reason="moved away"),
            )

        def line(at):
            day = at.date()
            child = make_student(primary_contact=client)
            asked = {"student": child, "client": client, "from_day": day, "until_day": day + timedelta(days=3)}
            wish = {"professional": professional, "duration_minutes": 60}
            count("asking for a slot", lambda: scheduling.request_slot(**asked, **wish, uses_credit=True))
            (offered,) = count("offering it", scheduling.offer_slots)
            request = SlotRequest.get_by_id(offered.slot_request_id)
            taken = count("taking the offer", lambda: scheduling.accept_offer(request))
            send = {"now": taken.scheduled_at - timedelta(minutes=30)}
            sent = count("reminders, one sent", lambda: notices.deliver(counted, {"email": lambda _: "1"}, **send))
            assert sent.sent == 1

        def by_arrangement(day):
            desk, payer = make_user(role=Role.STAFF), make_user()
            credits.purchase(payer, 1)
            bought = count("a purchase", lambda: credits.purchase(payer, 4))
            count("taking a purchase back", lambda: credits.take_back(bought, reason="wrong", by=desk))
            package = make_package(credits=3, valid_days=30)
            count("a package", lambda: credits.purchase_package(payer, package))
            scheduling.book(**people | {"client": payer}, scheduled_at=day, uses_credit=True)
            count("reserving for holds", credits.reserve_holds)
            room, later = make_resource(kind=ResourceKind.ROOM), day + timedelta(hours=2)
            free = {"room": room, "now": day - timedelta(days=1)}
            count("free slots with a room", lambda: scheduling.free_slots(professional, day, later, **free))
            booked = count("book with a room", lambda: scheduling.book(**people, scheduled_at=later, room=room))
            later += timedelta(hours=2)
            count("reschedule with a room", lambda: scheduling.reschedule(booked, later))
            group = {"professional": professional, "scheduled_at": later + timedelta(hours=2), "capacity": 8}
            count("making a group with a room", lambda: scheduling.create_group_session(**group, room=room))
            feed = count("a calendar's feed", lambda: calendars.create_feed(client))
            count("answering it with a calendar", lambda: calendars.answer_feed(counted, feed.token))
            away = day.date() + timedelta(days=3)
            asked = count("asking for time off", lambda: scheduling.request_time_off(professional, away, away))
            count("approving it", lambda: asked.approve(by=desk))

        def desk_work():
            desk, twin = make_user(role=Role.STAFF), make_user()
            credits.purchase(twin, 4, amount_cents=400_00)
            days = {"since": date(2020, 1, 1), "until": date(2100, 1, 1)}
            draft = count("a draft invoice", lambda: invoicing.draft_invoice(twin, **days, by=desk))
            count("issuing it", lambda: draft.issue(by=desk))
            count("crediting it", lambda: invoicing.credit_note(draft, reason="wrong", by=desk))
            kept = make_user()
            count("a merge", lambda: merge_users(kept, twin, by=desk))
            count("an erasure", lambda: erase_user(counted, kept, by=desk, forfeit=True))

        everything(5)  # prepares what the second time only executes
        everything(10)
        for week in (5, 6):
            line(SOON + timedelta(weeks=week))
            desk_work()
        for week in (8, 9):
            by_arrangement(SOON + timedelta(weeks=week))
    assert all(commands for _, commands in took.values())
    assert {name: each for name, each in took.items() if each[0] > MOST[name][0] or each[1] > MOST[name][1]} == {}


def test_a_login_that_becomes_the_role_is_refused_since_copy_would_give_it_nothing(superuser):
    with Database.connect(superuser, engine="citus") as database, pytest.raises(IsolationInertError, match="COPY"):
        database.find_tenant("nowhere")


@pytest.fixture
def desk(superuser):
    """URL of a login that is no superuser, and may become the admin role."""
    name = f"desk_{uuid.uuid4().hex[:8]}"
    run(superuser, f"CREATE ROLE {name} LOGIN NOINHERIT")
    run(superuser, f"GRANT rayces_admin TO {name}")
    yield make_dsn(superuser, user=name)
    run(superuser, f"DROP ROLE {name}")


def test_privileged_work_doctor_and_check_need_no_superuser_and_distributing_does(distributed, centre, desk):
    with Database.connect(distributed.url, admin_url=desk, engine="citus") as database:
        organization = make_organization(database)
        with database.tenant(organization):
            credits.purchase(make_user(), 3)
        with database.privileged(reason="test"):
            assert User.update(phone="1").where(User.organization == organization.id).execute() == 1
            assert credits.verify().is_clean
        assert [found for found in audit(database) if found.severity == "error"] == []
    with closing(psycopg2.connect(desk)) as connection:
        connection.autocommit = True
        assert compare(connection) == []
    with pytest.raises(ConfigurationError, match="superuser"):
        distribute(desk)


def test_no_policy_keeps_a_sub_select_and_other_nodes_refuse_the_roles_that_only_read(superuser, distributed, centre):
    with distributed.tenant(centre):
        make_student()
    assert run(superuser, "SELECT polname FROM pg_policy WHERE concat(polqual, polwithcheck) LIKE '%{SUBLINK%'") == []
    for role in ("rayces_reader", "rayces_auditor"):
        with pytest.raises(psycopg2.Error, match="not permitted to log in"):
            run(superuser, f"SET ROLE {role}; SELECT count(*) FROM students")
    run(superuser, "ALTER ROLE rayces_reader LOGIN")
    try:
        assert run(make_dsn(superuser, user="rayces_reader"), "SELECT count(*) FROM students") == [(0,)]
    finally:
        run(superuser, "ALTER ROLE rayces_reader NOLOGIN")


def test_there_is_no_reader(distributed):
    with pytest.raises(ConfigurationError, match="no reader"):
        distributed.reader()


def test_the_engine_of_postgresql_is_refused(superuser, distributed):
    with (
        Database.connect(distributed.url, admin_url=superuser) as database,
        pytest.raises(IsolationInertError, match='engine="citus"'),
    ):
        database.find_tenant("nowhere")


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
