"""Acceptance: how a tenant is bound, and that the binding never leaks to other code."""

import asyncio
import contextvars
import gc
import logging
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from rayces_core import (
    ConcurrentUnitError,
    ConfigurationError,
    CrossTenantError,
    Database,
    InactiveTenantError,
    Organization,
    Student,
    TenantNotSetError,
    TenantSwitchError,
    UnknownTenantError,
)
from rayces_core.database.session import Session
from tests.factory import make_organization, make_student
from tests.walking import walked


def bound_id(db: Database) -> int | None:
    """What the library, and what PostgreSQL, believes to be bound; both must agree."""
    (setting,) = db.execute_sql("select nullif(current_setting('rayces.organization_id', true), '')").fetchone()
    assert setting == (None if db.organization_id is None else str(db.organization_id))
    return db.organization_id


@pytest.fixture(autouse=True)
def allow_reading_the_setting(monkeypatch):
    """The guard refuses SQL that speaks of the setting; these tests only read it."""
    from rayces_core.database import cursor

    monkeypatch.setattr(cursor, "check", lambda *_: None)


# -- what can be bound ----------------------------------------------------------------------------------------


def test_a_tenant_is_named_by_subdomain_id_or_organization(db, a):
    for tenant in (a.subdomain, a.id, a, f"  {a.subdomain.upper()} "):
        with db.tenant(tenant) as organization:
            assert (organization.id, bound_id(db)) == (a.id, a.id)


@walked("tenant", [None, "", "no-such-centre", 0, -1, 2**40, True, 1.5, object(), b"north", ["a"]])
def test_what_is_no_organization_is_refused(db, tenant):
    with pytest.raises(UnknownTenantError) as caught, db.tenant(tenant):
        pass
    assert isinstance(caught.value, LookupError)


def test_an_unsaved_organization_is_refused(db):
    with pytest.raises(UnknownTenantError, match="not saved"), db.tenant(Organization(name="x", subdomain="x")):
        pass


def test_an_inactive_organization_is_refused(db):
    organization = make_organization(db, active=False)
    for tenant in (organization, organization.id, organization.subdomain):
        with pytest.raises(InactiveTenantError, match=organization.subdomain), db.tenant(tenant):
            pass


def test_switching_an_organization_off_takes_effect_at_once_in_this_process(db, a):
    with db.tenant(a.subdomain):
        pass
    with db.privileged(reason="test"):
        stored = Organization.get_by_id(a.id)
        stored.active = False
        stored.save()
    with pytest.raises(InactiveTenantError), db.tenant(a.subdomain):
        pass


def test_an_organization_of_another_database_is_not_taken_for_one_of_this(db, own_db):
    make_organization(own_db)
    with pytest.raises(UnknownTenantError), own_db.tenant("no-such-centre"):
        pass


def test_what_tenant_yields_can_be_changed_without_changing_what_is_remembered(db, a):
    with db.tenant(a.subdomain) as organization:
        organization.name = "changed in memory"
    with db.tenant(a.subdomain) as organization:
        assert organization.name == a.name


# -- nesting --------------------------------------------------------------------------------------------------


def test_nesting_binds_the_inner_and_restores_the_outer(db, a, b):
    with db.tenant(a):
        with db.tenant(b):
            assert bound_id(db) == b.id
            with db.tenant(a):
                assert bound_id(db) == a.id
            assert bound_id(db) == b.id
        assert bound_id(db) == a.id
    with pytest.raises(TenantNotSetError):
        _ = db.organization_id


def test_an_exception_restores_the_outer(db, a, b):
    with db.tenant(a):
        with pytest.raises(RuntimeError), db.tenant(b):
            raise RuntimeError
        assert bound_id(db) == a.id


def test_a_return_restores_the_outer(db, a, b):
    def leave() -> int:
        with db.tenant(b):
            return bound_id(db)

    with db.tenant(a):
        assert leave() == b.id
        assert bound_id(db) == a.id


def test_a_refused_tenant_leaves_the_outer_bound(db, a):
    with db.tenant(a):
        with pytest.raises(UnknownTenantError), db.tenant("no-such-centre"):
            pass
        assert bound_id(db) == a.id


def test_two_databases_live_in_one_process(db, own_db, a):
    other = make_organization(own_db, name="Other")
    with db.tenant(a):
        make_student()
        with own_db.tenant(other):
            assert Student.select().count() == 0
            make_student()
            make_student()
            assert Student.select().count() == 2
        assert Student.select().count() == 1


def test_a_query_built_for_one_database_runs_on_the_bound_one(db, own_db, a):
    other = make_organization(own_db)
    with db.tenant(a):
        make_student()
        query = Student.select()
        assert len(query) == 1
    with own_db.tenant(other):
        assert len(query) == 0


def test_a_cursor_of_one_database_refuses_the_tenant_of_another(db, own_db, a):
    other = make_organization(own_db)
    with db.tenant(a):
        cursor = db.engine.connection().cursor()
        with own_db.tenant(other), pytest.raises(Exception, match="another database"):
            cursor.execute("select 1")


# -- threads --------------------------------------------------------------------------------------------------


def test_a_new_thread_has_no_tenant(db, a):
    caught = []

    def work() -> None:
        try:
            Student.select().count()
        except TenantNotSetError as error:
            caught.append(error)

    with db.tenant(a):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(caught) == 1


def test_a_thread_that_is_given_the_context_has_the_tenant_and_a_connection_of_its_own(db, a):
    pid = "select pg_backend_pid()"
    with db.tenant(a):
        mine = db.execute_sql(pid).fetchone()
        context = contextvars.copy_context()
        with ThreadPoolExecutor(1) as pool:
            theirs = pool.submit(context.run, lambda: (db.execute_sql(pid).fetchone(), bound_id(db))).result()
    assert theirs[0] != mine
    assert theirs[1] == a.id


@pytest.mark.slow
def test_ten_threads_that_switch_fifty_times_never_mix(own_pool):
    organizations = [make_organization(own_pool) for _ in range(5)]
    for number, organization in enumerate(organizations, 1):
        with own_pool.tenant(organization):
            for _ in range(number):
                make_student(first_name=organization.subdomain)

    def work(seed: int) -> int:
        mismatches = 0
        for turn in range(50):
            index = (seed * 7 + turn * 3) % 5
            with own_pool.tenant(organizations[index]):
                names = {student.first_name for student in Student.select()}
                with own_pool.atomic():
                    inside = {student.first_name for student in Student.select()}
                mismatches += names != {organizations[index].subdomain} or inside != names
                mismatches += bound_id(own_pool) != organizations[index].id
        return mismatches

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(work, range(10))) == 0


# -- asyncio --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_tasks_inherit_the_tenant_and_never_affect_each_other(db, a, b):
    async def switch(organization: Organization) -> bool:
        right = True
        with db.tenant(organization):
            for _ in range(20):
                await asyncio.sleep(0)
                right &= bound_id(db) == organization.id
        await asyncio.sleep(0)
        return right and bound_id(db) == a.id

    async def main() -> list[bool]:
        with db.tenant(a):
            tasks = [asyncio.create_task(switch((a, b)[n % 2])) for n in range(10)]
            results = await asyncio.gather(*tasks)
            assert bound_id(db) == a.id
            return results

    assert all(asyncio.run(main()))


def test_a_transaction_of_one_task_is_not_another_tasks(db, a, b):
    async def hold(entered: asyncio.Event, leave: asyncio.Event) -> None:
        with db.tenant(a), db.atomic():
            make_student(first_name="a")
            entered.set()
            await leave.wait()

    async def meanwhile() -> int:
        with db.tenant(b):
            make_student(first_name="b")
            return Student.select().count()

    async def main() -> int:
        entered, leave = asyncio.Event(), asyncio.Event()
        holding = asyncio.create_task(hold(entered, leave))
        await entered.wait()
        seen = await asyncio.create_task(meanwhile())
        leave.set()
        await holding
        return seen

    assert asyncio.run(main()) == 1
    with db.tenant(a):
        assert [student.first_name for student in Student.select()] == ["a"]


def test_a_child_task_does_not_share_the_parents_transaction(db, a):
    async def child() -> int:
        return Student.select().count()

    async def main() -> int:
        with db.tenant(a), db.atomic():
            make_student()
            with pytest.raises(ConcurrentUnitError, match="begin it outside"):
                await asyncio.create_task(child())
            return Student.select().count()

    assert asyncio.run(main()) == 1


def test_a_cancelled_task_restores_and_gives_its_connection_back(own_pool):
    organization = make_organization(own_pool)

    async def work() -> None:
        with own_pool.tenant(organization), own_pool.atomic():
            make_student()
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert own_pool.engine.pool._in_use == set()
    with own_pool.tenant(organization):
        assert Student.select().count() == 0


@pytest.mark.slow
def test_tasks_without_a_block_give_their_connections_back(own_pool):
    organization = make_organization(own_pool)

    async def main() -> None:
        with own_pool.tenant(organization):
            tasks = [asyncio.create_task(asyncio.to_thread(Student.select().count)) for _ in range(30)]
            await asyncio.gather(*tasks)

    asyncio.run(main())
    assert own_pool.engine.pool._in_use == set()


# -- generators -----------------------------------------------------------------------------------------------


def test_an_iterator_begun_under_a_tenant_raises_when_read_after_the_block(db, a, b):
    with db.tenant(a):
        make_student()
        make_student()
        rows = iter(Student.select().iterator())
        next(rows)
        other = Student.select().iterator()
    with pytest.raises(TenantNotSetError, match="block has ended"):
        next(rows)
    with db.tenant(b), pytest.raises(CrossTenantError, match="another tenant"):
        next(other)


# -- privileged work ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_privileged_work_sees_every_organization(own_db):
    for organization in (make_organization(own_db), make_organization(own_db)):
        with own_db.tenant(organization):
            make_student()
    with own_db.privileged(reason="count"):
        assert Student.select().count() == 2
        assert bound_id(own_db) is None


@walked("reason", ["", "   ", None, 5])
def test_privileged_work_needs_a_reason(db, reason):
    with pytest.raises(ConfigurationError, match="reason"), db.privileged(reason=reason):
        pass


def test_privileged_work_is_logged_with_its_reason_and_its_end(db, caplog):
    with caplog.at_level(logging.INFO, "rayces_core"), pytest.raises(RuntimeError):
        with db.privileged(reason="nightly reconcile"):
            raise RuntimeError
    begun, ended = caplog.messages
    assert "begins: nightly reconcile" in begun
    assert "ended" in ended
    assert "nightly reconcile" in ended


def test_privileged_work_ends_with_its_block(db, a):
    with db.privileged(reason="test"):
        pass
    with pytest.raises(TenantNotSetError):
        Student.select().count()
    with db.tenant(a):
        with db.privileged(reason="test"):
            pass
        assert bound_id(db) == a.id


def test_a_tenant_inside_privileged_work_is_scoped_again(db, a, b):
    with db.tenant(b):
        make_student()
    with db.privileged(reason="test"):
        with db.tenant(a):
            assert Student.select().count() == 0
            assert db.execute_sql("select count(*) from students").fetchone() == (0,)
        assert Student.select().where(Student.organization == b).count() == 1


# -- blocks that end in the wrong place -----------------------------------------------------------------------


def test_blocks_left_out_of_order_leave_nothing_bound(db, a, b):
    first, second = db.tenant(a), db.tenant(b)
    first.__enter__()
    second.__enter__()
    with pytest.raises(TenantSwitchError, match="another order"):
        first.__exit__(None, None, None)
    with pytest.raises(TenantNotSetError):
        Student.select().count()
    with pytest.raises(TenantSwitchError):
        second.__exit__(None, None, None)


def test_a_block_left_in_another_thread_gives_its_connection_back(own_pool):
    organization = make_organization(own_pool)
    holding = own_pool.tenant(organization)

    def enter() -> None:
        holding.__enter__()
        make_student()

    def leave() -> None:
        with pytest.raises(TenantSwitchError, match="another task or thread"):
            holding.__exit__(None, None, None)

    for step in (enter, leave):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    assert own_pool.engine.pool._in_use == set()


@pytest.mark.slow
def test_an_abandoned_async_generator_gives_its_connection_back(own_pool):
    organization = make_organization(own_pool)

    async def rows():
        with own_pool.tenant(organization):
            for number in range(3):
                make_student(first_name=str(number))
                yield number

    async def main() -> None:
        async for _ in rows():
            break

    asyncio.run(main())
    gc.collect()
    assert own_pool.engine.pool._in_use == set()


@pytest.mark.slow
def test_a_thread_that_ends_with_a_connection_in_hand_gives_it_back(own_pool):
    with own_pool.tenant(make_organization(own_pool)):
        for _ in range(own_pool.engine.pool.max_connections + 2):
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(own_pool.engine.connection,))
            thread.start()
            thread.join()
    gc.collect()
    assert own_pool.engine.pool._in_use == set()


@pytest.mark.slow
def test_a_task_that_is_collected_touches_no_other_tasks_transaction(own_pool):
    north, south = make_organization(own_pool), make_organization(own_pool)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def holder() -> None:
            with own_pool.tenant(north), own_pool.atomic():
                make_student(first_name="held")
                await loop.create_future()

        task = loop.create_task(holder())
        await asyncio.sleep(0)
        with own_pool.tenant(south), own_pool.atomic():
            make_student(first_name="half-1")
            loop.set_exception_handler(lambda *_: None)
            del task
            gc.collect()
            make_student(first_name="half-2")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asyncio.run(main())
    with own_pool.tenant(south):
        assert Student.select().count() == 2
    with own_pool.tenant(north):
        assert Student.select().count() == 0


@pytest.mark.slow
def test_a_query_object_shared_by_threads_gives_each_its_own_rows(own_pool):
    organizations = [make_organization(own_pool) for _ in range(2)]
    for organization in organizations:
        with own_pool.tenant(organization):
            make_student(first_name=organization.subdomain)
    shared = Student.select().where(Student.id > 0)

    def work(number: int) -> int:
        organization, wrong = organizations[number % 2], 0
        for _ in range(150):
            with own_pool.tenant(organization):
                names = {student.first_name for student in shared}
                wrong += names != {organization.subdomain} or len(shared) != 1 or shared[0].first_name not in names
        return wrong

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(work, range(6))) == 0


def test_a_query_object_reads_anew_in_the_next_block_of_the_same_tenant(db, a):
    query = Student.select()
    with db.tenant(a):
        assert len(query) == 0
        make_student()
        assert len(query) == 0  # within a block, Peewee's queries keep what they have read
    with db.tenant(a):
        assert len(query) == 1


@pytest.mark.slow
def test_a_forked_child_that_leaves_the_block_does_not_touch_the_parents_connection(own_pool):
    organization = make_organization(own_pool)
    with own_pool.tenant(organization), own_pool.atomic():
        make_student()
        child = os.fork()
        if child == 0:
            leave_like_a_failing_child(own_pool)
        assert os.waitpid(child, 0)[1] == 0
        make_student()
    with own_pool.tenant(organization):
        assert Student.select().count() == 2


def leave_like_a_failing_child(db: Database) -> None:
    """What the frames of a forked child do with the parent's session when an error unwinds them."""
    status = 1
    try:
        for session in [held for held in gc.get_objects() if isinstance(held, Session) and held.conn]:
            for unit in reversed(list(session.transactions)):
                unit.__exit__(ValueError, ValueError(), None)
            session.blocks = 0
            session.release()
        status = 0
    finally:
        os._exit(status)


@walked("key", ["a\0b", "\ud800", 0, -1, 2**63, 2**70])
def test_a_name_or_number_that_no_organization_can_have_is_unknown(db, a, key):
    assert db.find_tenant(key) is None
    with pytest.raises(UnknownTenantError):
        db.tenant(key).__enter__()
    with db.tenant(a), db.atomic(), pytest.raises(UnknownTenantError):
        db.tenant(key).__enter__()


def test_switching_off_by_query_takes_effect_at_once_too(db, a):
    with db.tenant(a.subdomain):
        pass
    with db.privileged(reason="test"):
        Organization.update(active=False).where(Organization.id == a.id).execute()
    with pytest.raises(InactiveTenantError), db.tenant(a.subdomain):
        pass


def test_switching_off_within_a_unit_of_work_takes_effect_with_its_commit(db, a):
    with db.privileged(reason="test"), db.atomic():
        stored = Organization.get_by_id(a.id)
        stored.active = False
        stored.save()
        db.engine.organizations.look_up(a.subdomain, lambda: dict(a.__data__))  # by another thread meanwhile
    with pytest.raises(InactiveTenantError), db.tenant(a.subdomain):
        pass


def test_a_look_up_that_was_under_way_meanwhile_is_not_remembered(db, a):
    look = type(db)._look

    def overtaken(database, key):
        found = look(database, key)
        with database.privileged(reason="another thread switches it off"):
            Organization.update(active=False).where(Organization.id == a.id).execute()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(db), "_look", overtaken)
        with db.tenant(a.subdomain):
            pass
    with pytest.raises(InactiveTenantError), db.tenant(a.subdomain):
        pass


@walked("identifier", [2, 10**30, "2"])
def test_an_organization_that_was_made_by_hand_is_not_trusted(db, identifier):
    with pytest.raises(UnknownTenantError), db.tenant(Organization(id=identifier, subdomain="x", name="x")):
        pass
