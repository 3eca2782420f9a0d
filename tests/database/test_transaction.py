"""Units of work, savepoints, and what runs after the commit."""

import contextlib

import peewee
import pytest

from rayces_core import (
    ConfigurationError,
    DuplicateError,
    Student,
    TenantNotSetError,
    TenantSwitchError,
    TransactionFailedError,
    User,
)
from tests.factory import make_organization, make_student, make_user
from tests.walking import walked


class Stop(Exception):
    pass


@pytest.fixture
def bound(db, a):
    with db.tenant(a):
        yield a


def names() -> list[str]:
    return [student.first_name for student in Student.select().order_by(Student.id)]


def test_what_a_unit_of_work_did_is_kept_together(db, bound):
    with db.atomic():
        make_student(first_name="one")
        make_student(first_name="two")
    assert names() == ["one", "two"]


def test_an_exception_undoes_the_whole_unit_and_goes_on(db, bound):
    with pytest.raises(Stop), db.atomic():
        make_student()
        raise Stop
    assert names() == []


def test_outside_a_unit_of_work_each_statement_stands_alone(bound):
    make_student(first_name="kept")
    with pytest.raises(DuplicateError):
        User.insert_many([{"email": "x@example.org"}, {"email": "x@example.org"}]).execute()
    assert names() == ["kept"]
    assert User.select().count() == 0


def test_an_inner_unit_is_a_savepoint(db, bound):
    with db.atomic():
        make_student(first_name="outer")
        with pytest.raises(Stop), db.atomic():
            make_student(first_name="inner")
            with db.atomic():
                make_student(first_name="innermost")
            raise Stop
        make_student(first_name="after")
    assert names() == ["outer", "after"]


def test_a_failed_statement_in_a_savepoint_leaves_the_rest_usable(db, bound):
    user = make_user()
    with db.atomic():
        with pytest.raises(DuplicateError), db.atomic():
            make_user(email=user.email)
        make_student(first_name="after")
    assert names() == ["after"]


def test_atomic_decorates_a_function(db, bound):
    @db.atomic()
    def both(fail: bool) -> None:
        make_student()
        if fail:
            raise Stop

    both(False)
    with pytest.raises(Stop):
        both(True)
    assert len(names()) == 1


def test_rollback_and_commit_in_the_middle_start_afresh(db, bound):
    with db.atomic() as unit:
        make_student(first_name="dropped")
        unit.rollback()
        make_student(first_name="kept")
        unit.commit()
        make_student(first_name="dropped too")
        unit.rollback()
    assert names() == ["kept"]


def test_a_unit_of_work_needs_a_tenant(db):
    with pytest.raises(TenantNotSetError), db.atomic():
        pass


def test_an_isolation_level_is_the_transactions_own(db, bound):
    with db.atomic("SERIALIZABLE"):
        assert db.execute_sql("show transaction_isolation").fetchone() == ("serializable",)
    assert db.execute_sql("show transaction_isolation").fetchone() == ("read committed",)


def test_get_or_create_survives_losing_a_race_within_a_unit(db, bound):
    with db.atomic():
        first, created = User.get_or_create(email="x@example.org")
        again, created_again = User.get_or_create(email="x@example.org")
    assert (created, created_again, first) == (True, False, again)


# -- after the commit -----------------------------------------------------------------------------------------


def test_callbacks_run_after_the_outermost_commit_in_order(db, bound):
    seen = []
    with db.atomic():
        db.on_commit(lambda: seen.append(("one", db.engine.holder_of_transaction())))
        with db.atomic():
            db.on_commit(lambda: seen.append(("two", names())))
            make_student(first_name="x")
        assert seen == []
    assert seen == [("one", None), ("two", ["x"])]


def test_callbacks_of_an_undone_unit_never_run(db, bound):
    seen = []
    with pytest.raises(Stop), db.atomic():
        db.on_commit(lambda: seen.append("never"))
        raise Stop
    with db.atomic():
        pass
    assert seen == []


def test_callbacks_of_an_undone_savepoint_never_run(db, bound):
    seen = []
    with db.atomic():
        db.on_commit(lambda: seen.append("outer"))
        with pytest.raises(Stop), db.atomic():
            db.on_commit(lambda: seen.append("inner"))
            raise Stop
    assert seen == ["outer"]


def test_outside_a_unit_of_work_a_callback_runs_at_once(db, bound):
    seen = []
    db.on_commit(lambda: seen.append("now"))
    assert seen == ["now"]


def test_a_failing_callback_is_logged_and_undoes_nothing(db, bound, caplog):
    seen = []

    def fail() -> None:
        raise Stop("mail server")

    with db.atomic():
        make_student(first_name="kept")
        db.on_commit(fail)
        db.on_commit(lambda: seen.append("still runs"))

    assert names() == ["kept"]
    assert seen == ["still runs"]
    assert "mail server" in caplog.text


def test_a_callback_may_begin_a_unit_of_its_own(db, bound):
    def later() -> None:
        with db.atomic():
            make_student(first_name="later")

    with db.atomic():
        db.on_commit(later)
    assert names() == ["later"]


def test_callbacks_do_not_run_when_the_commit_itself_is_refused(db, bound):
    seen = []
    create = "create temp table t (id int primary key deferrable initially deferred) on commit drop"
    with pytest.raises(DuplicateError), db.atomic():
        db.on_commit(lambda: seen.append("never"))
        db.execute_sql(create)
        db.execute_sql("insert into t values (1), (1)")
    assert seen == []


# -- no tenant change in an open transaction ------------------------------------------------------------------


def test_another_tenant_inside_an_open_transaction_is_refused(db, bound, b):
    with db.atomic():
        for tenant in (b, b.id, b.subdomain):
            with pytest.raises(TenantSwitchError), db.tenant(tenant):
                pass
        with pytest.raises(TenantSwitchError), db.privileged(reason="test"):
            pass
        with db.tenant(bound), db.tenant(bound.id), db.tenant(bound.subdomain):
            make_student(first_name="same")
    assert names() == ["same"]


def test_the_same_tenant_is_known_inside_its_transaction_without_having_been_looked_up(db, bound):
    db.engine.organizations.forget()
    with db.atomic(), db.tenant(bound.subdomain):
        pass


def test_a_transaction_begun_by_hand_is_held_too(db, bound, b):
    with db.engine.manual_commit():
        db.engine.begin()
        make_student(first_name="by hand")
        with pytest.raises(TenantSwitchError), db.tenant(b):
            pass
        db.engine.commit()
        make_student(first_name="alone")
    assert names() == ["by hand", "alone"]


def test_a_transaction_left_open_is_undone_with_its_block_and_said_so(db, a):
    with pytest.raises(TransactionFailedError, match="still open"), db.tenant(a):
        db.engine.begin()
        make_student()
    with db.tenant(a):
        assert names() == []


# -- whole or not at all --------------------------------------------------------------------------------------


def test_a_unit_in_which_a_statement_failed_is_not_taken_for_kept(db, bound):
    seen = []
    with pytest.raises(TransactionFailedError, match="nothing of it was kept"), db.atomic():
        db.on_commit(lambda: seen.append("never"))
        make_student()
        with contextlib.suppress(peewee.DataError):
            db.execute_sql("select 1 / 0")
    assert (names(), seen) == ([], [])


def test_a_unit_of_another_database_than_the_bound_tenants_is_refused(db, own_db, bound):
    other = make_organization(own_db)
    with own_db.tenant(other):
        with pytest.raises(TenantSwitchError, match="another database"), db.atomic():
            pass
        make_student(first_name="kept")
        assert names() == ["kept"]


def test_a_unit_that_is_open_cannot_be_entered_again(db, bound):
    unit = db.atomic()
    with pytest.raises(TransactionFailedError, match="open already"), unit, unit:
        pass
    with unit:
        make_student(first_name="once closed it can")
    assert names() == ["once closed it can"]


def test_a_unit_used_inside_and_then_alone_is_a_transaction_again(db, bound):
    unit = db.atomic()
    with db.atomic(), unit:
        make_student(first_name="inside")
    with pytest.raises(Stop), unit:
        make_student(first_name="alone")
        raise Stop
    assert names() == ["inside"]


def test_units_left_out_of_order_are_all_undone(db, bound):
    outer, inner = db.atomic(), db.atomic()
    outer.__enter__()
    make_student()
    inner.__enter__()
    make_student()
    with pytest.raises(TransactionFailedError, match="another order"):
        outer.__exit__(None, None, None)
    assert names() == []
    with db.atomic():
        make_student(first_name="works again")
    assert names() == ["works again"]


def test_an_outer_unit_cannot_be_committed_under_an_inner_one(db, bound):
    with pytest.raises(TransactionFailedError), db.atomic() as outer:
        make_student()
        with db.atomic():
            outer.commit()
    assert names() == []


def test_a_generator_that_holds_a_unit_and_is_dropped_undoes_no_other(db, bound):
    def holding():
        with db.atomic():
            make_student(first_name="held")
            yield

    generator = holding()
    next(generator)
    with pytest.raises(TransactionFailedError), db.atomic():
        make_student(first_name="inner")
        generator.close()
        make_student(first_name="after")
    assert names() == []


def test_a_commit_in_the_middle_runs_what_waited_for_it(db, bound):
    seen = []
    with pytest.raises(Stop), db.atomic() as unit:
        db.on_commit(lambda: seen.append("committed"))
        unit.commit()
        db.on_commit(lambda: seen.append("undone"))
        raise Stop
    assert seen == ["committed"]


def test_a_failing_callback_outside_a_unit_is_logged_too(db, bound, caplog):
    db.on_commit(lambda: 1 / 0)
    assert "ZeroDivisionError" in caplog.text


@walked("level", ["bogus", 5, "READ COMMITTED; COMMIT"])
def test_an_unknown_isolation_level_is_refused(db, bound, level):
    with pytest.raises(ConfigurationError, match="isolation level"):
        db.atomic(level)


def test_an_inner_unit_cannot_choose_an_isolation_level(db, bound):
    with pytest.raises(TransactionFailedError, match="outermost"), db.atomic(), db.atomic("SERIALIZABLE"):
        pass


def test_an_interrupt_while_a_transaction_begins_leaves_none_open(db, bound, monkeypatch):
    from rayces_core.database.connection import TenantConnection

    begin = TenantConnection.begin

    def interrupted(connection, *values, **options):
        begin(connection, *values, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(TenantConnection, "begin", interrupted)
    with pytest.raises(KeyboardInterrupt), db.atomic():
        pass
    monkeypatch.undo()
    make_student(first_name="kept")
    with db.privileged(reason="another connection"):
        pass
    assert names() == ["kept"]
