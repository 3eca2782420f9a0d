"""What a lost answer was: found out where the server can tell, and otherwise said to be unknown; never guessed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import psycopg2
import pytest

from rayces_core import (
    Appointment,
    ConnectionLostError,
    CreditTransaction,
    Database,
    DatabaseUnreachableError,
    DuplicateError,
    Student,
    User,
    credits,
)
from rayces_core.database.outcomes import commits_within, may_write
from rayces_core.errors.base import NOT_COMMITTED, UNKNOWN
from rayces_core.scheduling import reschedule
from tests.cutting import Cutter
from tests.factory import make_appointment, make_organization, make_student, make_user
from tests.scheduling.worlds import NOW, Centre, at, open_centre
from tests.sizes import exhaustive
from tests.walking import walked

# Where a connection is cut, and whether the message reaches the server in the end.
BEFORE: dict[str, Any] = {"sent": 0}
IN_THE_MIDDLE: dict[str, Any] = {"sent": 7}
AFTER: dict[str, Any] = {}
IN_THE_ANSWER: dict[str, Any] = {"answered": 5}
LATE: dict[str, Any] = {"late_seconds": 0.2}
GHOST: dict[str, Any] = {"sent": 0, "leaves_ghost": True}
NEVER_KEPT = [
    pytest.param(BEFORE, id="before"),
    pytest.param(IN_THE_MIDDLE, id="in the middle"),
    *[pytest.param(each.values[0], marks=each.marks, id="ghost") for each in exhaustive(GHOST)],
]
KEPT = [pytest.param(AFTER, id="after"), pytest.param(IN_THE_ANSWER, id="in the answer")]
KEPT_UNIT = [*KEPT, pytest.param(LATE, id="late")]


@dataclass
class World:
    """A tenant's block of a Database whose connections go through a proxy that cuts them."""

    db: Database
    proxy: Cutter
    centre: Centre
    told: list[str]

    @property
    def user(self) -> User:
        return self.centre.client


@pytest.fixture
def world(through):
    database, proxy = through
    with open_centre(database) as centre:
        credits.purchase(centre.client, 10)
        with told_of(database) as told:
            yield World(database, proxy, centre, told)


@contextlib.contextmanager
def told_of(db):
    told: list[str] = []
    subscriber = Appointment.lifecycle.on()(lambda change: told.append(change.event))
    try:
        yield told
    finally:
        Appointment.lifecycle.off(subscriber)


def lost(act, *given, **options) -> ConnectionLostError:
    with pytest.raises(ConnectionLostError) as caught:
        act(*given, **options)
    return caught.value


# -- units of work ----------------------------------------------------------------------------------------------------


def debiting(world, told):
    with world.db.atomic():
        credits.debit(world.user, 2)
        world.db.on_commit(lambda: told.append("told"))


@pytest.mark.parametrize("where", KEPT_UNIT)
def test_a_unit_whose_commit_was_kept_succeeds_though_the_answer_is_lost(world, where):
    told: list[str] = []
    world.proxy.cut("COMMIT", **where)
    debiting(world, told)
    assert world.proxy.was_cut
    assert (credits.balance(world.user), told) == (8, ["told"])


@walked("where", NEVER_KEPT[:1] + NEVER_KEPT[2:])
def test_a_unit_whose_commit_never_came_is_said_to_be_undone(world, where):
    told: list[str] = []
    world.proxy.cut("COMMIT", **where)
    error = lost(debiting, world, told)
    assert (error.outcome, error.retryable) == (NOT_COMMITTED, True)
    assert "nothing of it was committed; run the unit of work again" in str(error)
    assert (credits.balance(world.user), told) == (10, [])


def test_a_unit_that_loses_its_connection_before_its_commit_is_undone(world):
    def unit():
        with world.db.atomic():
            make_student()
            world.proxy.cut("SELECT", **BEFORE)
            Student.select().count()

    error = lost(unit)
    assert (error.outcome, error.retryable) == (NOT_COMMITTED, True)


@pytest.mark.slow
@walked("where", [BEFORE, AFTER])
@walked("control", ["BEGIN", "SAVEPOINT", "RELEASE"])
def test_what_opens_a_unit_and_what_ends_a_savepoint_commits_nothing(world, control, where):
    def unit():
        with world.db.atomic():
            make_student()
            with world.db.atomic():
                make_student()

    world.proxy.cut(control, **where)
    assert lost(unit).outcome == NOT_COMMITTED
    assert Student.select().count() == 1  # the centre's own


@pytest.mark.slow
def test_a_unit_whose_server_had_left_before_the_commit_is_undone_whatever_it_wrote(world):
    def unit():
        with world.db.atomic():
            make_student()
            ended(world.proxy, world.db.engine.connection())

    assert lost(unit).outcome == NOT_COMMITTED


def ended(proxy, connection):
    with contextlib.closing(psycopg2.connect(proxy.url)) as other:
        other.autocommit = True
        other.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", (connection.get_backend_pid(),))


@pytest.mark.slow
@walked("where", KEPT_UNIT)
def test_a_findable_unit_is_found_out_whatever_it_writes(world, where):
    with world.db.atomic(findable=True):
        student = make_student()
        world.proxy.cut("COMMIT", **where)
    assert Student.get_by_id(student.id) == student


def test_an_inner_unit_makes_the_outer_one_findable(world):
    with world.db.atomic():
        with world.db.atomic(findable=True):
            student = make_student()
        world.proxy.cut("COMMIT")
    assert Student.get_by_id(student.id) == student


@walked("where", [BEFORE, AFTER])
def test_of_a_unit_that_nothing_is_known_of_the_outcome_is_unknown(world, where):
    def unit():
        with world.db.atomic():
            make_student()

    world.proxy.cut("COMMIT", **where)
    error = lost(unit)
    assert (error.outcome, error.retryable) == (UNKNOWN, False)
    assert "is unknown: look for what it was to write" in str(error)
    assert "run the unit of work again" not in str(error)


def test_a_unit_that_is_committed_in_the_middle_goes_on_after_the_answer_is_lost(world):
    with world.db.atomic() as unit:
        credits.debit(world.user, 1)
        world.proxy.cut("COMMIT")
        unit.commit()
        credits.debit(world.user, 1)
    assert credits.balance(world.user) == 8


def test_a_transaction_begun_by_hand_is_found_out_too(world):
    told: list[str] = []
    with world.db.engine.manual_commit():
        world.db.engine.begin()
        credits.debit(world.user, 1)
        world.db.on_commit(lambda: told.append("told"))
        world.proxy.cut("COMMIT")
        world.db.engine.commit()
    assert (credits.balance(world.user), told) == (9, ["told"])


def test_privileged_work_is_found_out_too(world):
    with told_of(world.db) as told:
        appointment = make_appointment()
    with world.db.privileged(reason="test"):
        world.proxy.cut("COMMIT")
        with world.db.atomic():
            Appointment.get_by_id(appointment.id).pre_confirm()
    assert (Appointment.get_by_id(appointment.id).state, told) == ("pre_confirmed", [])
    assert world.told == ["pre_confirm"]


@pytest.mark.parametrize("where", KEPT)
def test_many_entries_and_a_transfer_are_found_out(world, where):
    other = make_user()
    world.proxy.cut("COMMIT", **where)
    credits.purchase_many([{"user": other, "credits": 3}])
    world.proxy.cut("COMMIT", **where)
    staff = world.centre.staff
    credits.transfer(world.user, other, 2, reason="siblings", by=staff)
    assert (credits.balance(world.user), credits.balance(other)) == (8, 5)


# -- lone statements --------------------------------------------------------------------------------------------------

POSTINGS = {
    "without a key": lambda world: credits.purchase(world.user, 5),
    "with a key": lambda world: credits.purchase(world.user, 5, idempotency_key="k"),
    "with a payment": lambda world: credits.purchase(world.user, 5, payment_method="m", payment_reference="r"),
    "with metadata": lambda world: credits.purchase(world.user, 5, metadata={"a": 1}),
}


@pytest.mark.parametrize("post", POSTINGS.values(), ids=POSTINGS)
@pytest.mark.parametrize("where", KEPT)
def test_a_posting_that_was_kept_gives_its_entry(world, where, post):
    world.proxy.cut("rayces", **where)
    entry = post(world)
    assert world.proxy.was_cut
    stored = CreditTransaction.get_by_id(entry.id)
    assert entry.__data__ == stored.__data__
    assert credits.balance(world.user) == 15


@pytest.mark.slow
@walked("post", POSTINGS.values())
@walked("where", NEVER_KEPT)
def test_a_posting_that_never_came_is_said_to_be_not_committed(world, where, post):
    world.proxy.cut("rayces", **where)
    error = lost(post, world)
    assert (error.outcome, error.retryable) == (NOT_COMMITTED, True)
    assert credits.balance(world.user) == 10


@pytest.mark.slow
def test_a_posting_that_is_still_on_its_way_never_arrives(world):
    """The process that it was sent to is ended, so that what is said of it stays true."""
    world.proxy.cut("rayces", late_seconds=2.0)
    assert lost(credits.purchase, world.user, 5).outcome == NOT_COMMITTED
    world.proxy.wait_for_the_late()
    assert credits.balance(world.user) == 10


def test_a_key_that_was_used_for_another_request_is_not_taken_for_this_one(world):
    credits.purchase(world.user, 5, idempotency_key="k")
    world.proxy.cut("rayces")
    assert lost(credits.purchase, world.user, 7, idempotency_key="k").outcome == NOT_COMMITTED
    assert credits.balance(world.user) == 15


def test_an_earlier_entry_is_not_taken_for_what_would_have_repeated_it(world):
    first = credits.purchase(world.user, 5, idempotency_key="k")
    world.proxy.cut("rayces")
    assert lost(credits.purchase, world.user, 5, idempotency_key="k").outcome == NOT_COMMITTED
    assert credits.purchase(world.user, 5, idempotency_key="k") == first
    assert credits.balance(world.user) == 15


def test_a_posting_in_a_unit_has_no_key_of_the_librarys_own(world):
    with world.db.atomic():
        assert credits.debit(world.user, 1).idempotency_key is None
    alone = credits.debit(world.user, 1)
    assert CreditTransaction.get_by_id(alone.id).idempotency_key == alone.idempotency_key
    assert alone.idempotency_key.startswith("rayces:")


@pytest.mark.slow
def test_a_balance_whose_opening_is_lost_is_opened_once(world):
    asked_before = 4  # for the balance, whether the user was erased, why there is none, whether there is such a user
    newcomer, another = make_user(), make_user()
    world.proxy.cut("rayces", skip=asked_before)
    assert credits.purchase(newcomer, 3).balance_after == 3
    world.proxy.cut("rayces", skip=asked_before, **BEFORE)
    assert lost(credits.purchase, another, 3).outcome == NOT_COMMITTED
    assert world.proxy.was_cut
    assert credits.purchase(another, 3).balance_after == 3


@pytest.mark.parametrize("where", KEPT)
def test_an_event_that_was_kept_is_told_once(world, where):
    appointment = make_appointment()
    world.proxy.cut('UPDATE "appointments" SET', **where)
    appointment.pre_confirm()
    assert world.proxy.was_cut
    stored = Appointment.get_by_id(appointment.id)
    assert (appointment.state, stored.state, world.told) == ("pre_confirmed", "pre_confirmed", ["pre_confirm"])
    assert appointment.expires_at == stored.expires_at
    assert [row.event for row in appointment.history()] == ["pre_confirm"]


@pytest.mark.parametrize("where", KEPT)
def test_an_event_of_one_message_that_was_kept_is_told_once(world, where):
    appointment = make_appointment()
    appointment.pre_confirm()
    world.told.clear()
    world.proxy.cut("rayces", **where)
    appointment.confirm()
    assert world.proxy.was_cut
    stored = Appointment.get_by_id(appointment.id)
    assert (appointment.state, stored.state, world.told) == ("confirmed", "confirmed", ["confirm"])


@pytest.mark.parametrize("where", NEVER_KEPT)
def test_an_event_that_never_came_leaves_memory_as_it_was_and_tells_nobody(world, where):
    appointment = make_appointment()
    world.proxy.cut("rayces", **where)
    error = lost(appointment.pre_confirm)
    assert (error.outcome, appointment.state, world.told) == (NOT_COMMITTED, "draft", [])
    appointment.pre_confirm()
    assert world.told == ["pre_confirm"]


def test_another_ones_event_is_not_taken_for_this_one(world):
    appointment, staff = make_appointment(), world.centre.staff
    Appointment.get_by_id(appointment.id).pre_confirm()
    world.proxy.cut("rayces", **BEFORE)
    assert lost(appointment.pre_confirm, by=staff).outcome == NOT_COMMITTED
    assert world.told == ["pre_confirm"]


@pytest.mark.slow
@pytest.mark.parametrize("where", KEPT)
def test_a_booking_and_a_move_that_were_kept_are_given(world, where):
    world.proxy.cut("rayces", skip=1, **where)
    booked = world.centre.book()
    assert world.proxy.was_cut
    assert world.told == ["pre_confirm"]
    assert booked.__data__ == Appointment.get_by_id(booked.id).__data__
    world.proxy.cut("rayces", skip=1, **where)
    later = booked.scheduled_at + timedelta(hours=2)
    moved = reschedule(booked, later, now=NOW)
    assert world.proxy.was_cut
    assert (moved.scheduled_at, Appointment.get_by_id(booked.id).scheduled_at) == (later, later)


@pytest.mark.parametrize("where", NEVER_KEPT)
def test_a_booking_that_never_came_takes_no_time(world, where):
    world.proxy.cut("rayces", skip=1, **where)
    assert lost(world.centre.book).outcome == NOT_COMMITTED
    assert world.centre.book().state == "pre_confirmed"


@pytest.mark.slow
@pytest.mark.parametrize("where", NEVER_KEPT)
def test_an_earlier_move_of_the_same_moment_is_not_taken_for_this_one(world, where):
    """A program may tell the moment, and do several things at it."""
    appointment, staff = world.centre.book(at(10), by=world.centre.staff), world.centre.staff
    reschedule(appointment, at(11), by=staff, now=NOW)
    world.proxy.cut("rayces", skip=1, **where)
    assert lost(reschedule, appointment, at(12), by=staff, now=NOW).outcome == NOT_COMMITTED
    assert world.proxy.was_cut
    assert Appointment.get_by_id(appointment.id).scheduled_at == at(11)


@pytest.mark.slow
@walked("where", NEVER_KEPT)
def test_an_earlier_event_of_the_same_moment_is_not_taken_for_this_one(world, where):
    appointment, staff = make_appointment(client=world.user), world.centre.staff
    appointment.change_price(price_cents=100, by=staff, now=NOW)
    world.proxy.cut("rayces", **where)
    assert lost(appointment.change_price, price_cents=300, by=staff, now=NOW).outcome == NOT_COMMITTED
    assert appointment.price_cents == 100


@pytest.mark.slow
@pytest.mark.parametrize("where", KEPT)
def test_a_move_and_an_event_of_a_moment_that_had_some_are_given(world, where):
    appointment, staff = world.centre.book(at(10), by=world.centre.staff), world.centre.staff
    reschedule(appointment, at(11), by=staff, now=NOW)
    world.proxy.cut("rayces", skip=1, **where)
    assert reschedule(appointment, at(12), by=staff, now=NOW).scheduled_at == at(12)
    appointment = Appointment.get_by_id(appointment.id)
    appointment.change_price(price_cents=100, by=staff, now=NOW)
    world.proxy.cut("rayces", **where)
    appointment.change_price(price_cents=300, by=staff, now=NOW)
    assert Appointment.get_by_id(appointment.id).price_cents == appointment.price_cents == 300


def test_what_was_answered_is_not_said_to_be_undone_when_its_rows_cannot_be_read_any_more(world):
    engine = world.db.engine
    cursor = engine.connection().cursor()
    cursor.execute(
        "INSERT INTO posts (organization_id, user_id, content, created_at, updated_at) "
        "VALUES (%s, %s, 'kept', now(), now()) RETURNING id",
        (world.db.organization_id, world.user.id),
    )
    cursor.connection.close()
    assert lost(cursor.fetchone).outcome == UNKNOWN
    with world.db.atomic():
        cursor = engine.connection().cursor()
        cursor.execute("SELECT 1")
        cursor.connection.close()
        assert lost(cursor.fetchone).outcome == NOT_COMMITTED
        world.db.engine.session.transactions[-1].rollback(begin=False)


PLAIN = {
    "create": make_student,
    "update": lambda: Student.update(grade_level="3").execute(),
    "delete": lambda: Student.delete().where(Student.id == 0).execute(),
    "a function in raw SQL": lambda: Student.raw("SELECT * FROM students WHERE pg_sleep(0) IS NULL").execute(),
}


@pytest.mark.parametrize("statement", PLAIN.values(), ids=PLAIN)
@pytest.mark.parametrize("where", [BEFORE, AFTER])
def test_of_a_lone_write_without_a_mark_the_outcome_is_unknown(world, where, statement):
    world.proxy.cut("rayces", **where)
    error = lost(statement)
    assert (error.outcome, error.retryable) == (UNKNOWN, False)


@walked(
    "reading",
    [
        lambda: Student.select().count(),
        lambda: Student.get_or_none(Student.id == 1),
        lambda: list(Student.select().for_update()),
    ],
)
def test_a_lone_read_can_have_committed_nothing(world, reading):
    world.proxy.cut("rayces")
    error = lost(reading)
    assert (error.outcome, error.retryable) == (NOT_COMMITTED, True)


def test_what_the_server_refuses_and_what_cannot_be_reached_is_not_committed(world):
    with pytest.raises(DuplicateError) as refused:
        make_user(email=world.user.email)
    assert refused.value.outcome == NOT_COMMITTED
    with Database.connect("postgresql://nobody@localhost:1/none") as away:
        with pytest.raises(DatabaseUnreachableError) as unreachable, away.privileged(reason="test"):
            Student.select().count()
    assert unreachable.value.outcome == NOT_COMMITTED


def test_a_procedure_that_commits_by_itself_may_have_kept_a_part(own_db):
    make_organization(own_db)
    with own_db.privileged(reason="test"):
        block = "DO $$ BEGIN UPDATE organizations SET name = 'kept'; {} RAISE 'after'; END $$"
        with contextlib.closing(psycopg2.connect(own_db.url)) as owner:
            owner.autocommit = True
            text = f"CREATE PROCEDURE halves() LANGUAGE plpgsql AS $p${block[6:-3].format('COMMIT;')}$p$"
            owner.cursor().execute(text)
            owner.cursor().execute("GRANT EXECUTE ON PROCEDURE halves TO rayces_admin")
        with pytest.raises(Exception, match="after") as caught:
            own_db.execute_sql("CALL halves()")
        assert own_db.execute_sql("SELECT DISTINCT name FROM organizations").fetchall() == [("kept",)]
    assert (caught.value.outcome, caught.value.retryable) == (UNKNOWN, False)


@walked(
    "sql, writes",
    [
        ('SELECT "t1"."update" FROM "t" AS "t1" FOR NO KEY UPDATE', False),
        ("SELECT 'insert into x'", False),
        ("WITH a AS (DELETE FROM x RETURNING id) SELECT * FROM a", True),
        ("SELECT * INTO x FROM y", True),
        ("UPDATE x SET y = 1", True),
    ],
)
def test_whether_the_librarys_sql_writes_is_read_off_its_words(sql, writes):
    assert may_write(sql) is writes


def test_what_may_commit_within_itself_is_known_behind_comments():
    assert commits_within("/* a */ -- b\n CALL halves()")
    assert commits_within("do $$ begin end $$")
    assert not commits_within("SELECT 'call'")


# -- behind a proxy that pools transactions ---------------------------------------------------------------------------


@pytest.fixture
def pooled(world):
    """The same as it works where the server process behind a connection is not known."""
    engine = world.db.engine
    engine.pool.close()
    direct, engine._footing = engine._footing, replace(engine._footing, is_direct=False)
    engine.session.give_back()
    yield world
    engine.pool.close()
    engine._footing = direct


@pytest.mark.slow
def test_behind_a_pooling_proxy_units_are_found_out(pooled):
    for where, balance in ((AFTER, 8), (LATE, 6)):
        pooled.proxy.cut("COMMIT", **where)
        debiting(pooled, [])
        assert (pooled.proxy.was_cut, credits.balance(pooled.user)) == (True, balance)
    pooled.proxy.cut("COMMIT", **BEFORE)
    assert lost(debiting, pooled, []).outcome == NOT_COMMITTED


def test_behind_a_pooling_proxy_a_lone_posting_that_is_not_found_may_still_come(pooled):
    pooled.proxy.cut("INSERT INTO credit_transactions", **AFTER)
    assert credits.purchase(pooled.user, 5).balance_after == 15
    pooled.proxy.cut("INSERT INTO credit_transactions", **BEFORE)
    assert lost(credits.purchase, pooled.user, 5).outcome == UNKNOWN
