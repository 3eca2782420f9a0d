"""The demo's data are what they claim to be, and nothing it calls refused goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn

from rayces_core import clock
from rayces_core.archive.layout import ARCHIVED
from rayces_core.cli.demo_walls import attempts, fingerprint, try_everything
from rayces_core.database.database import Database
from rayces_core.demo import CENTRES, load_centres
from rayces_core.models import (
    AdmissionState,
    Appointment,
    AppointmentSeries,
    AppointmentState,
    CreditBalance,
    CreditLot,
    CreditTransaction,
    GroupSession,
    ImportRun,
    Invoice,
    Notice,
    Organization,
    Professional,
    Resource,
    StateTransition,
    Student,
    TimeOffRequest,
    TransactionStatus,
    User,
)
from tests.cli.process import Terminal
from tests.conftest import on_server
from tests.sizes import quick_or_whole

DAYS = [datetime(2026, 3, day, 2 + 21 * (day % 2), 5, tzinfo=UTC) for day in quick_or_whole((2, 5, 7), range(2, 9))]


# Nobody imports into the demonstration.
SHOWN = [model for model in ARCHIVED if model is not ImportRun]


def count_all(database: Database, organization: Organization) -> list[int]:
    with database.tenant(organization):
        return [model.select().count() for model in SHOWN]


@pytest.mark.slow
def test_loading_twice_doubles_nothing(bare_db: Database) -> None:
    first = load_centres(bare_db)
    before = [count_all(bare_db, organization) for organization in first]
    assert [each.id for each in load_centres(bare_db)] == [each.id for each in first]
    assert [count_all(bare_db, organization) for organization in first] == before
    assert all(all(counts) for counts in before)


@pytest.mark.slow
def test_a_centre_half_made_is_filled(bare_db: Database) -> None:
    bare_db.create_organization(CENTRES[0].name, subdomain=CENTRES[0].subdomain)
    organization, _ = load_centres(bare_db)
    assert all(count_all(bare_db, organization))


@pytest.fixture(scope="module")
def at_any_hour(create_database: Callable[..., str], template: str) -> Iterator[list]:
    """The centres, loaded at every hour of DAYS under subdomains of their own."""
    with Database.connect(create_database(template)) as database:
        loaded = []
        for number, now in enumerate(DAYS):
            renamed = [replace(centre, subdomain=f"{centre.subdomain}-{number}") for centre in CENTRES]
            loaded += [(database, organization, now) for organization in load_centres(database, renamed, now=now)]
        yield loaded


@pytest.mark.slow
def test_every_balance_is_the_sum_of_its_completed_entries_at_any_hour(at_any_hour: list) -> None:
    for database, organization, _ in at_any_hour:
        with database.tenant(organization):
            for balance in CreditBalance.select():
                completed = CreditTransaction.status == TransactionStatus.COMPLETED
                entries = list(balance.transactions.where(completed).order_by(CreditTransaction.id))
                assert balance.balance == sum(entry.amount for entry in entries)
                assert entries == [] or entries[-1].balance_after == balance.balance


@pytest.mark.slow
def test_sessions_lie_within_the_professional_s_hours_at_any_hour(at_any_hour: list) -> None:
    for database, organization, _ in at_any_hour:
        with database.tenant(organization):
            for profile in Professional.select():
                for appointment in profile.appointments:
                    starts = appointment.scheduled_at.astimezone(organization.zone)
                    minute = starts.hour * 60 + starts.minute
                    windows = profile.schedule.windows_on(starts.date())
                    ends = minute + appointment.duration_minutes
                    assert any(window.start_minute <= minute and ends <= window.end_minute for window in windows)


def test_what_is_over_is_past_and_what_is_booked_is_ahead_at_any_hour(at_any_hour: list) -> None:
    ahead = {AppointmentState.DRAFT, AppointmentState.PRE_CONFIRMED}
    for database, organization, now in at_any_hour:
        with database.tenant(organization):
            for appointment in Appointment.select():
                stamps = ("pre_confirmed_at", "confirmed_at", "executed_at", "no_show_at", "cancelled_at")
                moments = [at for at in (getattr(appointment, stamp) for stamp in stamps) if at]
                assert moments == sorted(moments)
                assert all(appointment.created_at <= at <= now for at in moments)
                if appointment.state in (AppointmentState.EXECUTED, AppointmentState.NO_SHOW):
                    assert appointment.ends_at < now
                if appointment.state in ahead:
                    assert appointment.scheduled_at > now
                if appointment.state == AppointmentState.PRE_CONFIRMED:
                    assert now < appointment.expires_at <= appointment.scheduled_at


@pytest.mark.slow
def test_one_session_of_each_centre_is_over_and_nobody_has_marked_it(at_any_hour: list) -> None:
    for database, organization, now in at_any_hour:
        with database.tenant(organization):
            confirmed = list(Appointment.select().where(Appointment.state == AppointmentState.CONFIRMED))
            unmarked = [session for session in confirmed if session.scheduled_at <= now]
            assert [session.ends_at < now for session in unmarked] == [True]


@pytest.mark.slow
def test_each_centre_has_a_weekly_series_that_is_ahead(at_any_hour: list) -> None:
    for database, organization, now in at_any_hour:
        with database.tenant(organization):
            series = AppointmentSeries.get()
            sessions = list(Appointment.select().where(Appointment.series == series))
            assert series.rule.startswith("FREQ=WEEKLY;BYDAY=")
            assert len(sessions) == 6
            assert all(session.scheduled_at > now for session in sessions)


@pytest.mark.slow
def test_each_centre_has_a_blocked_room_and_time_off_that_was_taken_back(at_any_hour: list) -> None:
    for database, organization, now in at_any_hour:
        with database.tenant(organization):
            (room,) = [each for each in Resource.select() if each.blocked_periods]
            (period,) = room.blocked_periods
            assert period.start > now.date()
            assert not any(room.hits(now=now))
            (back,) = TimeOffRequest.filter(state="withdrawn")
            assert [step.event for step in back.history()] == ["approve", "revoke"]
            assert Professional.get(user=back.professional_id).blocked_dates == []


@pytest.mark.slow
def test_each_centre_has_hours_that_change_and_single_dates_with_others(at_any_hour: list) -> None:
    for database, organization, now in at_any_hour:
        with database.tenant(organization):
            profiles = list(Professional.select())
            (dated,) = [entry for profile in profiles for entry in profile.dated_schedules]
            assert date.fromisoformat(dated["start"]) > now.date()
            assert date.fromisoformat(dated["start"]).weekday() == 0
            others = [date.fromisoformat(entry["date"]) for profile in profiles for entry in profile.date_overrides]
            assert len(others) == 2
            assert min(others) > now.date()


@pytest.mark.slow
def test_each_centre_has_a_session_with_two_professionals_and_one_with_a_device(at_any_hour: list) -> None:
    for database, organization, now in at_any_hour:
        with database.tenant(organization):
            (with_two,) = Appointment.select().where(Appointment.second_professional.is_null(False))
            (with_device,) = Appointment.select().where(Appointment.device.is_null(False))
            assert with_two.second_professional_id != with_two.professional_id
            assert with_device.device.kind == "device"
            assert with_two.scheduled_at > now < with_device.scheduled_at


@pytest.mark.slow
def test_each_centre_has_a_duplicate_whose_child_is_the_other_ones(at_any_hour: list) -> None:
    for database, organization, _ in at_any_hour:
        with database.tenant(organization):
            (twice,) = User.select().where(User.merged_into.is_null(False))
            assert twice.merged_into.full_name == twice.full_name
            assert Student.select().where(Student.secondary_contact == twice).count() == 0
            assert Student.select().where(Student.secondary_contact == twice.merged_into).exists()


@pytest.mark.slow
def test_in_each_centre_a_seat_of_a_full_group_was_freed_and_taken(at_any_hour: list) -> None:
    for database, organization, _ in at_any_hour:
        with database.tenant(organization):
            (full,) = [group for group in GroupSession.select() if group.attending() == group.capacity]
            seats = list(Appointment.select().where(Appointment.group_session == full).order_by(Appointment.id))
            assert [seat.state for seat in seats] == ["pre_confirmed", "cancelled", "pre_confirmed"]


@pytest.mark.slow
def test_in_each_centre_a_lot_is_about_to_expire_and_its_notice_is_queued(at_any_hour: list) -> None:
    for database, organization, now in at_any_hour:
        with database.tenant(organization):
            (lot,) = CreditLot.select().where(CreditLot.expires_at < now + timedelta(days=15))
            (notice,) = Notice.select().where(Notice.event == "credits_expiring")
            assert (lot.remaining, notice.purchase_id) == (2, lot.credit_transaction_id)
            assert notice.state == "queued"
            assert now - timedelta(hours=24) < notice.due_at < lot.expires_at


@pytest.mark.slow
def test_in_each_centre_an_invoice_is_credited_and_another_one_is_a_draft(at_any_hour: list) -> None:
    for database, organization, _ in at_any_hour:
        with database.tenant(organization):
            (note,) = Invoice.select().where(Invoice.kind == "credit_note")
            corrected = Invoice.get(series=note.corrects_series, number=note.corrects_number, kind="invoice")
            assert (note.state, corrected.state) == ("issued", "issued")
            assert (note.user, note.total_cents) == (corrected.user, corrected.total_cents)
            assert Invoice.select().where(Invoice.state == "draft").exists()


def test_the_journal_leads_to_every_state(at_any_hour: list) -> None:
    for database, organization, _ in at_any_hour:
        with database.tenant(organization):
            for model, start in ((Appointment, AppointmentState.DRAFT), (Student, AdmissionState.PROSPECT)):
                for row in model.select():
                    about = (StateTransition.subject_type == model.__name__) & (StateTransition.subject_id == row.id)
                    steps = list(StateTransition.select().where(about).order_by(StateTransition.id))
                    states = [start, *(step.to_state for step in steps)]
                    assert [step.from_state for step in steps] == states[:-1]
                    assert states[-1] == (row.state if model is Appointment else row.admission_state)


def test_every_state_of_an_appointment_is_shown(at_any_hour: list) -> None:
    for database, organization, _ in at_any_hour:
        with database.tenant(organization):
            assert {row.state for row in Appointment.select()} == set(AppointmentState)


# -- walls -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded(create_database: Callable[..., str], template: str) -> str:
    """Name of a database with both centres, to be cloned; nobody is connected to it."""
    url = create_database(template)
    with Database.connect(url) as database:
        load_centres(database)
    return parse_dsn(url)["dbname"]


@pytest.fixture
def own_db(make_database: Callable[..., str], loaded: str) -> Iterator[Database]:
    """A database of the test's own in which both centres are loaded already."""
    with Database.connect(make_database(loaded)) as database:
        yield database


@pytest.mark.slow
def test_every_attempt_is_refused_and_changes_nothing(own_db: Database) -> None:
    ours, theirs = load_centres(own_db)
    before = fingerprint(own_db, ours), fingerprint(own_db, theirs)
    outcomes = try_everything(own_db, ours, theirs)
    assert [outcome for outcome in outcomes if not outcome.refused] == []
    assert {outcome.attempt.wall[0] for outcome in outcomes} >= {"1", "2", "3"}
    assert (fingerprint(own_db, ours), fingerprint(own_db, theirs)) == before


@pytest.mark.slow
def test_the_fingerprint_sees_a_changed_row(own_db: Database) -> None:
    ours, _ = load_centres(own_db)
    before = fingerprint(own_db, ours)
    with own_db.tenant(ours), clock.frozen(clock.now() + timedelta(hours=1)):
        Student.update(grade_level="7th grade").execute()
    assert fingerprint(own_db, ours) != before


def test_an_open_policy_is_not_called_refused(own_db: Database) -> None:
    ours, theirs = load_centres(own_db)
    on_server(own_db.url, "CREATE POLICY everybody ON students TO rayces_app USING (true)")
    missed = [outcome for outcome in try_everything(own_db, ours, theirs) if not outcome.refused]
    assert [outcome.words for outcome in missed] == ["4 rows"]
    assert "SELECT * FROM students" in missed[0].attempt.code


@pytest.mark.slow
def test_a_dropped_foreign_key_is_not_called_refused_and_the_row_is_undone(own_db: Database) -> None:
    ours, theirs = load_centres(own_db)
    on_server(own_db.url, "ALTER TABLE students DROP CONSTRAINT students_organization_id_primary_contact_id_fkey")
    before = fingerprint(own_db, ours)
    missed = [outcome for outcome in try_everything(own_db, ours, theirs) if not outcome.refused]
    assert ["primary_contact_id" in outcome.attempt.code for outcome in missed] == [True]
    assert fingerprint(own_db, ours) == before


def test_another_error_than_the_wall_s_is_not_called_refused(own_db: Database) -> None:
    ours, theirs = load_centres(own_db)
    planned = {attempt.code for attempt in attempts(own_db, ours, theirs)}
    on_server(own_db.url, "REVOKE INSERT ON appointments FROM rayces_app")
    missed = [outcome for outcome in try_everything(own_db, ours, theirs) if not outcome.refused]
    assert {outcome.attempt.code for outcome in missed} < planned
    assert [outcome.words.partition(":")[0] for outcome in missed] == ["PermissionDeniedError"]


# -- the command -----------------------------------------------------------------------------------------------------


# `make test` keeps the next one, which shows as much.
@pytest.mark.exhaustive
def test_the_demo_leaves_nothing_unless_told_and_says_how_to_keep_it(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Terminal(capsys)("demo")
    assert (ran.code, ran.err) == (0, "")
    assert "NOT REFUSED" not in ran.out
    assert "--keep DIR" in ran.out
    for model in SHOWN:
        assert ran.out.count(f" {model.__name__} ") >= 2


@pytest.mark.slow
def test_the_demo_runs_twice_in_one_folder_and_admits_a_broken_wall(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    terminal, folder = Terminal(capsys), tmp_path / "kept here"
    first, second = terminal("demo", "--keep", str(folder)), terminal("demo", "--keep", str(folder))
    assert (first.code, first.err, second.code) == (0, "", 0)
    assert "NOT REFUSED" not in first.out
    assert [model.__name__ for model in SHOWN if first.out.count(f" {model.__name__} ") < 2] == []
    assert timeless(first.out) == timeless(second.out)
    assert f'Database.embedded("{folder}")' in first.out
    with Database.embedded(folder) as database:
        on_server(database.admin_url, "CREATE POLICY everybody ON students TO rayces_app USING (true)")
    broken = terminal("demo", "--keep", str(folder))
    assert broken.code == 1
    assert "NOT REFUSED" in broken.out
    assert "1 attempts were NOT refused" in broken.out


def timeless(out: str) -> list[str]:
    return [line for line in out.splitlines() if not line.endswith(" s")]


def test_a_folder_with_other_files_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ana")
    ran = Terminal(capsys)("demo", "--keep", str(tmp_path))
    assert ran.code == 3
    assert ran.err.startswith("rayces: ")
    assert (tmp_path / "letter.txt").read_text() == "Dear Ana"
