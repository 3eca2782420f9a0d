"""db.retrying(): a unit of work is run again where that is safe, and has exactly one effect in the end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from functools import partial

import psycopg2
import pytest

from rayces_core import (
    Appointment,
    ConfigurationError,
    ConnectionLostError,
    Database,
    DatabaseUnreachableError,
    DeadlockError,
    InsufficientCreditsError,
    LockTimeoutError,
    SerializationError,
    SlotTakenError,
    Student,
    TenantNotSetError,
    TransactionFailedError,
    credits,
)
from rayces_core.database import retrying as module
from rayces_core.errors.base import UNKNOWN
from tests.factory import make_appointment, make_organization, make_student, make_user
from tests.patience import wait_until
from tests.sizes import quick_or_whole
from tests.walking import walked

COMMIT_BYTES = 12  # kind, length, the word and its end
COMMITTED_BYTES = 18  # the same, and that the server is ready


@pytest.fixture
def world(through):
    """A Database behind a proxy that cuts, and a user with ten credits."""
    database, proxy = through
    with database.tenant(make_organization(database)):
        user = make_user()
        credits.purchase(user, 10)
        yield database, proxy, user


@pytest.fixture
def bound(db, a):
    with db.tenant(a):
        yield a


class Unit:
    """A unit of work that fails with `errors`, one each time, and counts how often it was begun."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors, self.begun = list(errors), 0

    def __call__(self) -> int:
        self.begun += 1
        make_student()
        if self.errors:
            raise self.errors.pop(0)
        return self.begun


def deadlock():
    error = DeadlockError("deadlock")
    error.outcome = "not committed"
    return error


def unknown():
    error = ConnectionLostError("lost")
    error.outcome, error.retryable = UNKNOWN, False
    return error


# -- cut at every byte ------------------------------------------------------------------------------------------------


def debited_once(world, **where):
    db, proxy, user = world
    told, before = [], credits.balance(user)

    @db.retrying(pause_seconds=0)
    def unit():
        entry = credits.debit(user, 1)
        db.on_commit(lambda: told.append(entry.id))
        return entry

    proxy.cut(**where)
    entry = unit()
    assert proxy.was_cut, where
    assert (credits.balance(user), told) == (before - 1, [entry.id]), where
    if credits.balance(user) == 0:
        credits.purchase(user, 10)


@pytest.mark.slow
@walked("sent", range(0, COMMIT_BYTES + 1, quick_or_whole(4, 1)))
def test_a_commit_that_is_cut_on_its_way_debits_once(world, sent):
    debited_once(world, text="COMMIT", sent=sent)


@walked("answered", range(0, COMMITTED_BYTES, quick_or_whole(6, 1)))
def test_a_commit_whose_answer_is_cut_debits_once(world, answered):
    debited_once(world, text="COMMIT", answered=answered)


@pytest.mark.slow
@walked("message", [0, 1])
@walked("where", [{"sent": 0}, {"sent": 3}, {"sent": 40}, {}, {"answered": 1}, {"answered": 30}])
def test_what_comes_before_the_commit_is_cut_anywhere_and_debits_once(world, message, where):
    debited_once(world, text="", skip=message, **where)


@pytest.mark.slow
def test_a_commit_that_comes_late_debits_once(world):
    debited_once(world, text="COMMIT", late_seconds=0.3)


@pytest.mark.slow
def test_a_commit_that_never_comes_while_the_server_waits_for_it_debits_once(world):
    """The transaction that nobody will end holds the balance's row: it is ended, and the next attempt gets the row."""
    debited_once(world, text="COMMIT", sent=0, leaves_ghost=True)


@pytest.mark.slow
def test_threads_whose_connections_are_cut_at_random_debit_once_each_time(world):
    db, proxy, user = world
    credits.purchase(user, 90)
    dice, told, organization_id = random.Random(11), [], db.organization_id
    places = [{"sent": 0}, {"sent": 5}, {}, {"answered": 3}, {"answered": 40}]

    @db.retrying(attempts=30, pause_seconds=0.01)
    def debit_and_tell():
        entry = credits.debit(user, 1)
        db.on_commit(lambda: told.append(entry.id))

    def work():
        with db.tenant(organization_id):
            for _ in range(quick_or_whole(3, 25)):
                debit_and_tell()

    def came_further(than):
        return len(told) > than or not any(thread.is_alive() for thread in threads)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        proxy.cut(dice.choice(["COMMIT", "COMMIT", "EXECUTE", "BEGIN"]), **dice.choice(places))
        time.sleep(0.03)
        # Where each attempt takes longer than this, none would ever come to its end.
        wait_until(partial(came_further, len(told)))
    proxy.cut("no message has this")
    wanted = 3 * quick_or_whole(3, 25)
    assert credits.balance(user) == 100 - wanted
    assert len(told) == len(set(told)) == wanted
    assert credits.verify().is_clean


def test_subscribers_are_told_once_and_memory_is_put_back_between_the_attempts(world):
    db, proxy, _ = world
    appointment, told, seen = make_appointment(), [], []
    subscriber = Appointment.lifecycle.on()(lambda change: told.append(change.event))

    def unit():
        seen.append(appointment.state)
        appointment.pre_confirm()

    proxy.cut("COMMIT", sent=0)
    db.retrying(pause_seconds=0).run(unit)
    Appointment.lifecycle.off(subscriber)
    assert (seen, told, appointment.state) == (["draft", "draft"], ["pre_confirm"], "pre_confirmed")


# -- what is run again ------------------------------------------------------------------------------------------------


def test_what_was_undone_is_run_again_and_its_result_returned(db, bound):
    unit = Unit(deadlock(), LockTimeoutError("lock"), SerializationError("conflict"))
    for error in unit.errors:
        error.outcome = "not committed"
    assert db.retrying(attempts=4, pause_seconds=0).run(unit) == 4
    assert Student.select().count() == 1


@walked("error", [ValueError("own"), InsufficientCreditsError(required=2, available=1), unknown()])
def test_what_would_not_help_or_is_not_safe_is_not_run_again(db, bound, error):
    unit = Unit(error)
    with pytest.raises(type(error)):
        db.retrying(pause_seconds=0).run(unit)
    assert (unit.begun, Student.select().count()) == (1, 0)


def test_a_refusal_that_comes_of_a_lost_deadlock_is_run_again(db, bound):
    error = SlotTakenError("fought over")
    error.__cause__ = deadlock()
    assert db.retrying(pause_seconds=0).run(Unit(error)) == 2


def test_the_last_error_goes_on_and_says_how_often_it_was_tried(db, bound):
    unit = Unit(*(deadlock() for _ in range(3)))
    with pytest.raises(DeadlockError) as caught:
        db.retrying(pause_seconds=0).run(unit)
    assert (unit.begun, caught.value.__notes__) == (3, ["given up after 3 attempts"])


def test_a_unit_that_is_idempotent_is_run_again_where_the_outcome_is_unknown(db, bound):
    assert db.retrying(idempotent=True, pause_seconds=0).run(Unit(unknown())) == 2


def test_a_unit_that_has_committed_a_part_is_not_run_again(db, bound):
    unit = Unit(deadlock())

    def in_part():
        db.engine.session.transactions[-1].commit()
        return unit()

    with pytest.raises(DeadlockError):
        db.retrying(pause_seconds=0).run(in_part)
    assert unit.begun == 1
    unit = Unit(deadlock())
    assert db.retrying(idempotent=True, pause_seconds=0).run(in_part) == 2


def test_a_real_conflict_of_two_serializable_units_ends_with_both_kept(db, bound):
    students = [make_student(grade_level="0"), make_student(grade_level="0")]
    together = threading.Barrier(2, timeout=60)
    attempts: list[int] = []

    def unit(mine):
        attempts.append(mine)
        total = sum(int(row.grade_level) for row in Student.select().where(Student.id << students))
        if len(attempts) <= 2:
            together.wait()
        Student.update(grade_level=str(total + 1)).where(Student.id == students[mine]).execute()

    def work(mine):
        with db.tenant(bound):
            db.retrying(attempts=10, isolation_level="SERIALIZABLE", pause_seconds=0.01).run(unit, mine)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(attempts) > 2
    found = sorted(int(row.grade_level) for row in Student.select().where(Student.id << students))
    assert found == [1, 2]  # one has seen the other's, as if they had come one after the other


@pytest.mark.slow
def test_a_connection_that_a_dba_ends_in_the_unit_is_replaced(world):
    db, _, user = world
    victims = []

    def unit():
        entry = credits.debit(user, 1)
        if not victims:
            connection = db.engine.connection()
            victims.append(connection.get_backend_pid())
            with db_as_owner(db) as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", victims)
        return entry

    db.retrying(pause_seconds=0).run(unit)
    assert credits.balance(user) == 9


@contextlib.contextmanager
def db_as_owner(db):
    with contextlib.closing(psycopg2.connect(db.admin_url)) as connection:
        connection.autocommit = True
        yield connection.cursor()


def test_a_server_that_is_away_is_asked_again(monkeypatch, db, bound):
    waited: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    with Database.connect("postgresql://nobody@localhost:1/none") as away, away.privileged(reason="test"):
        with pytest.raises(DatabaseUnreachableError) as caught:
            away.retrying(attempts=4, pause_seconds=0.1).run(Student.select().count)
    assert caught.value.__notes__ == ["given up after 4 attempts"]
    assert [0.1, 0.2, 0.4] >= waited >= [0.05, 0.1, 0.2]
    assert len(waited) == 3


# -- how it is used ---------------------------------------------------------------------------------------------------


def test_it_decorates_a_function_that_takes_arguments_and_keeps_its_name(db, bound):
    @db.retrying()
    def enrol(first_name: str, *, last_name: str) -> Student:
        """Makes one."""
        return make_student(first_name=first_name, last_name=last_name)

    assert (enrol.__name__, enrol.__doc__) == ("enrol", "Makes one.")
    assert enrol("Luz", last_name="Paz").first_name == "Luz"


def test_within_an_open_unit_it_is_refused_since_only_the_whole_can_be_run_again(db, bound):
    unit = Unit()
    with db.atomic(), pytest.raises(TransactionFailedError, match=r"put db.retrying\(\) around it"):
        db.retrying().run(unit)
    with pytest.raises(TransactionFailedError):
        db.retrying().run(db.retrying()(unit))
    assert unit.begun == 0


def test_without_a_tenant_nothing_is_run(db):
    unit = Unit()
    with pytest.raises(TenantNotSetError):
        db.retrying().run(unit)
    assert unit.begun == 0


async def a_coroutine() -> None: ...


def a_generator():
    yield


class Waiting:
    async def __call__(self):
        pass


@walked("function", [a_coroutine, a_generator, Waiting()])
def test_what_returns_before_it_has_run_is_refused(db, function):
    with pytest.raises(ConfigurationError, match="returns before it has run"):
        db.retrying()(function)
    with pytest.raises(ConfigurationError):
        db.retrying().run(function)


@walked("options", [{"attempts": 0}, {"attempts": True}, {"attempts": 1.5}, {"pause_seconds": -1}])
def test_malformed_options_are_refused(db, options):
    with pytest.raises(ConfigurationError):
        db.retrying(**options)


def test_what_interrupts_it_passes_at_once(db, bound):
    unit = Unit(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        db.retrying().run(unit)
    assert (unit.begun, Student.select().count()) == (1, 0)


def test_in_an_event_loop_it_does_not_stand_still_between_the_attempts(db, bound):
    async def begin():
        started = time.monotonic()
        result = db.retrying(pause_seconds=600).run(Unit(deadlock()))
        return result, time.monotonic() - started

    result, seconds = asyncio.run(begin())
    assert result == 2
    assert seconds < 60


def test_tasks_in_threads_each_run_their_own_again(db, bound):
    async def all_of_them():
        runs = [asyncio.to_thread(db.retrying(pause_seconds=0).run, Unit(deadlock())) for _ in range(4)]
        return await asyncio.gather(*runs)

    assert asyncio.run(all_of_them()) == [2, 2, 2, 2]
    assert Student.select().count() == 4
