"""The second pass: a batch is there whole or not at all, nothing is lost, nothing is there twice."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg2
import pytest

from rayces_core import (
    Appointment,
    AppointmentState,
    Database,
    ImportRefusedError,
    PermissionDeniedError,
    Post,
    StateTransition,
    Student,
    TransactionFailedError,
    User,
    importing,
)
from rayces_core.models import ImportRun
from tests.conftest import on_server
from tests.factory import make_organization
from tests.importing import killed
from tests.importing.world import CHILDREN, NOW, PEOPLE, counts, make_centre, people, session, told
from tests.patience import wait_until
from tests.sizes import exhaustive, quick_or_whole

BATCH = 100
ROWS = quick_or_whole(1500, 3000)


def stopping_after(batches: int) -> Any:
    """A progress callback that raises once so many batches are committed."""
    seen = 0

    def progress(what: str, _: int, __: int | None) -> None:
        nonlocal seen
        seen += what == "write"
        if seen == batches:
            raise KeyboardInterrupt

    return progress


@pytest.mark.slow
def test_every_row_is_written_once(db: Database, a: Any, b: Any) -> None:
    with db.tenant(b):
        before = counts()
    with db.tenant(a):
        report = importing.run(people(1234), User, batch_rows=BATCH)
        assert (report.rows, report.created, report.unchanged, report.written) == (1234, 1234, 0, True)
        emails = {row.email for row in User.select()}
        assert emails == {row["email"] for row in people(1234)}
        assert User.select().count() == 1234
        assert len({row.jti for row in User.select()}) == 1234
        run = ImportRun.get()
        assert (run.created, run.last_row, run.is_finished) == (1234, 1234, True)
        again = importing.run(people(1234), User, batch_rows=BATCH)
        assert (again.created, again.updated, again.unchanged) == (0, 0, 1234)
        assert User.select().count() == 1234
    with db.tenant(b):
        assert counts() == before


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["users", "students", "appointments", "credits", "posts"])
def test_the_same_source_twice_changes_nothing(db: Database, a: Any, kind: str) -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        "users": PEOPLE,
        "students": CHILDREN,
        "appointments": [session(24 * day, state=state) for day, state in enumerate(("draft", "confirmed"))],
        "credits": [{"user": "ana@example.org", "credits": 3}],
        "posts": [{"author": "ana@example.org", "content": "a\\b\tc\nd", "created_at": "2024-05-06 07:08"}],
    }
    with db.tenant(a):
        make_centre()
        importing.run(rows[kind], kind, now=NOW)
        before = counts()
        report = importing.run(rows[kind], kind, now=NOW + timedelta(hours=1))
        assert (report.created, report.updated, report.unchanged) == (0, 0, len(rows[kind]))
        assert counts() == before
        if kind == "posts":
            assert Post.get().content == "a\\b\tc\nd"


@pytest.mark.slow
def test_nothing_is_written_where_a_row_has_a_problem(db: Database, a: Any) -> None:
    rows = [*people(500), {"email": "nobody"}]
    with db.tenant(a):
        with pytest.raises(ImportRefusedError, match="row 501, email") as refused:
            importing.run(rows, User, batch_rows=BATCH)
        assert User.select().count() == 0
        assert ImportRun.select().count() == 0
        assert told(refused.value.report) == [(501, "email")]
        report = importing.run(rows, User, batch_rows=BATCH, on_error="skip")
        assert (report.created, report.skipped, told(report)) == (500, 1, [(501, "email")])
        assert User.select().count() == 500


@pytest.mark.slow
@pytest.mark.parametrize("batches", [1, 3])
def test_an_interrupted_import_goes_on_after_its_last_batch(db: Database, a: Any, batches: int) -> None:
    with db.tenant(a):
        with pytest.raises(KeyboardInterrupt):
            importing.run(people(450), User, batch_rows=BATCH, progress=stopping_after(batches))
        assert User.select().count() == batches * BATCH
        run = ImportRun.get()
        assert (run.last_row, run.created, run.is_finished) == (batches * BATCH, batches * BATCH, False)
        report = importing.run(people(450), User, batch_rows=BATCH, resume=True)
        assert (report.resumed_after, report.created) == (batches * BATCH, 450 - batches * BATCH)
        assert User.select().count() == 450
        run = ImportRun.get()
        assert (run.last_row, run.created, run.is_finished) == (450, 450, True)
        assert importing.run(people(450), User, resume=True).unchanged == 450


@pytest.mark.slow
def test_another_source_is_not_resumed(db: Database, a: Any) -> None:
    with db.tenant(a):
        with pytest.raises(KeyboardInterrupt):
            importing.run(people(250), User, batch_rows=BATCH, progress=stopping_after(1))
        report = importing.run(people(260), User, batch_rows=BATCH, resume=True)
        assert (report.resumed_after, report.created, report.unchanged) == (0, 160, 100)


UNDER_WAY = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IN ('active', 'idle in transaction')"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [("soon", 5), *exhaustive(("after", 2), ("soon", 40))], ids=lambda how: f"{how[0]} {how[1]}"
)
def test_a_killed_import_leaves_whole_batches_and_is_finished_by_resume(
    bare_db: Database, how: tuple[str, int]
) -> None:
    organization = make_organization(bare_db)
    asked = (bare_db.url, organization.subdomain, ROWS, BATCH, *how)
    importer = multiprocessing.get_context("forkserver").Process(target=killed.bring_in, args=asked)
    importer.start()
    importer.join(100)
    assert importer.exitcode == -signal.SIGKILL
    with bare_db.privileged(reason="test"):  # what the server had been sent before, it still does
        wait_until(lambda: bare_db.execute_sql(UNDER_WAY).fetchone() == (0,))
    with bare_db.tenant(organization):
        there = User.select().count()
        assert 0 < there <= ROWS
        assert there % BATCH == 0
        run = ImportRun.get()
        assert (run.created, run.last_row) == (there, there)
        report = importing.run(people(ROWS), User, batch_rows=BATCH, resume=True)
        assert report.created == ROWS - there
        assert {row.email for row in User.select()} == {row["email"] for row in people(ROWS)}
        assert User.select().count() == ROWS


def during_the_read(rows: list[dict[str, Any]], db: Database, organization: Any, act: Any, late: bool) -> Any:
    """Progress that has another connection act between check and write, or after the first batch."""
    acted = []

    def other() -> None:
        with db.tenant(organization):
            act()

    def progress(what: str, done: int, _: int | None) -> None:
        due = (what == "write") if late else (what == "check" and done == len(rows))
        if due and not acted:
            acted.append(True)
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

    return progress


@pytest.mark.parametrize("moved", [False, True], ids=["ids that grow", "ids of another server"])
@pytest.mark.parametrize("late", [False, True], ids=["after the check", "after the first batch"])
def test_a_row_that_came_since_the_check_is_not_there_twice(db: Database, a: Any, late: bool, moved: bool) -> None:
    rows = [{"first_name": f"Luz {number}", "last_name": "Sosa"} for number in range(20)]
    with db.tenant(a):
        if moved:
            Student.create(id=2**40, first_name="Eva", last_name="Paz")
        act = during_the_read(rows, db, a, lambda: Student.create(first_name="LUZ 15", last_name="Sosa"), late)
        report = importing.run(rows, Student, batch_rows=5, progress=act)
        assert (report.created, report.unchanged) == (19, 1)
        assert Student.select().count() == 20 + moved


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_a_duplicate_that_came_since_the_check_is_named(db: Database, a: Any, on_error: str) -> None:
    rows = list(people(20))
    with db.tenant(a):
        act = during_the_read(rows, db, a, lambda: User.create(email="person13@example.org", first_name="Eva"), False)
        if on_error == "stop":
            with pytest.raises(ImportRefusedError, match="row 13, first_name") as refused:
                importing.run(rows, User, batch_rows=5, progress=act)
            assert told(refused.value.report) == [(13, "first_name")]
            assert User.select().count() == 10 + 1
        else:
            report = importing.run(rows, User, batch_rows=5, progress=act, on_error="skip")
            assert (report.created, report.skipped, told(report)) == (19, 1, [(13, "first_name")])
            assert User.select().count() == 20


@pytest.mark.slow
@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_an_overlap_that_came_since_the_check_is_named(db: Database, a: Any, on_error: str) -> None:
    rows = [session(24 * day) for day in range(6)]
    with db.tenant(a):
        make_centre()
        ana, teo = User.get(User.email == "ana@example.org"), Student.get(Student.first_name == "Teo")

        def book() -> None:
            made = Appointment(
                professional=User.get(User.email == "eva@example.org").id,
                student=teo,
                client=ana,
                scheduled_at=rows[3]["scheduled_at"] + timedelta(minutes=30),
            )
            made.save()
            made.pre_confirm(now=NOW)

        act = during_the_read(rows, db, a, book, False)
        if on_error == "stop":
            with pytest.raises(ImportRefusedError, match="row 4, scheduled_at"):
                importing.run(rows, Appointment, batch_rows=2, progress=act, now=NOW)
            assert Appointment.select().count() == 2 + 1
        else:
            report = importing.run(rows, Appointment, batch_rows=2, progress=act, now=NOW, on_error="skip")
            assert (report.created, report.skipped, told(report)) == (5, 1, [(4, "scheduled_at")])
            assert Appointment.select().count() == 6
        journaled = StateTransition.select().where(StateTransition.subject_type == "Appointment").count()
        states = [row.state for row in Appointment.select()]
        assert journaled == 2 * states.count(AppointmentState.CONFIRMED) + 1


@pytest.mark.slow
def test_a_reference_that_went_since_the_check_takes_its_batch_with_it(db: Database, a: Any) -> None:
    rows = [
        {"first_name": f"Sol {number}", "last_name": "Paz", "primary_contact": "x@example.org"} for number in range(4)
    ]
    rows[0]["primary_contact"] = rows[1]["primary_contact"] = ""
    with db.tenant(a):
        importing.run([{"email": "x@example.org"}], User)
        act = during_the_read(rows, db, a, lambda: User.get().delete_instance(), False)
        with pytest.raises(ImportRefusedError, match="rows 3 to 4 were refused"):
            importing.run(rows, Student, batch_rows=2, progress=act, on_error="skip")
        assert Student.select().count() == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["students", "credits", *exhaustive("users", "appointments", "posts")])
def test_two_imports_of_one_source_at_once_end_with_one_copy(bare_db: Database, kind: str) -> None:
    two_at_once(bare_db, kind)


@pytest.mark.slow
def test_so_they_do_where_the_servers_units_of_work_see_an_earlier_moment(own_db: Database) -> None:
    with psycopg2.connect(own_db.url) as connection, connection.cursor() as cursor:
        name = connection.info.dbname
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    with Database.connect(own_db.url) as db:
        two_at_once(db, "students")


def two_at_once(db: Database, kind: str) -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        "users": list(people(60)),
        "students": [{"first_name": f"Luz {number}", "last_name": "Paz"} for number in range(60)],
        "appointments": [session(24 * day) for day in range(60)],
        "posts": [{"author": "ana@example.org", "content": f"{n}", "created_at": NOW} for n in range(60)],
        "credits": [{"user": "ana@example.org", "credits": 1, "reference": f"{n}"} for n in range(60)],
    }
    organization = make_organization(db)
    with db.tenant(organization):
        make_centre()
        before = counts()
    checked, reports, failures = threading.Barrier(2), [], []

    def bring_in() -> None:
        def progress(what: str, done: int, _: int | None) -> None:
            if what == "check" and done:
                checked.wait(timeout=60)

        try:
            with db.tenant(organization):
                reports.append(importing.run(rows[kind], kind, now=NOW, batch_rows=7, progress=progress))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=bring_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(report.created for report in reports) == 60
    assert sum(report.unchanged for report in reports) == 60
    with db.tenant(organization):
        after = counts()
    grown = {name for name in after if after[name] != before[name]}
    models = {"users": "User", "students": "Student", "appointments": "Appointment", "posts": "Post"}
    if kind in models:
        assert after[models[kind]] - before[models[kind]] == 60
        assert grown <= {models[kind], "StateTransition"}
    else:
        assert after["CreditTransaction"] == 60


def test_an_import_within_a_unit_of_work_is_refused(db: Database, a: Any) -> None:
    with db.tenant(a), db.atomic(), pytest.raises(TransactionFailedError, match="batch by batch"):
        importing.run(PEOPLE, User)


def test_an_iterable_is_read_once_and_lazily(db: Database, a: Any) -> None:
    given = 0

    def rows() -> Iterator[dict[str, str]]:
        nonlocal given
        for row in people(300):
            given += 1
            yield row

    with db.tenant(a):
        assert importing.run(rows(), User).created == 300
    assert given == 300


def test_an_update_changes_what_is_said_and_nothing_else(db: Database, a: Any) -> None:
    with db.tenant(a):
        importing.run(PEOPLE, User)
        eva = User.get(User.email == "eva@example.org")
        rows = [
            {"email": "eva@example.org", "phone": "+54 11 4321-5678", "last_name": ""},
            {"email": "new@example.org"},
        ]
        report = importing.run(rows, User, update=True)
        assert (report.created, report.updated, report.unchanged) == (1, 1, 0)
        now = User.get_by_id(eva.id)
        assert (now.phone, now.last_name, now.role, now.jti) == ("+541143215678", "Luna", eva.role, eva.jti)
        assert now.updated_at > eva.updated_at


def test_a_batch_and_its_progress_are_kept_together(own_db: Database) -> None:
    organization = make_organization(own_db)
    on_server(own_db.url, "REVOKE UPDATE ON import_runs FROM rayces_app")
    with own_db.tenant(organization):
        with pytest.raises(PermissionDeniedError):
            importing.run(people(10), User)
        assert User.select().count() == 0
        assert ImportRun.get().last_row == 0
