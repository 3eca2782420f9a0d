"""Who reads which rows: every model by every role, on a world with others' rows of each kind."""

from types import SimpleNamespace
from typing import Any

import pytest

from rayces_core import (
    Appointment,
    AppointmentSeries,
    CalendarFeed,
    ClosedDay,
    CreditTransaction,
    InvoiceLine,
    Organization,
    OutsideBusy,
    OutsideCalendar,
    Professional,
    Role,
    SlotRequest,
    StateTransition,
    Student,
    TimeOffRequest,
    User,
)
from rayces_core.errors import CrossTenantError, InvalidDataError, NotPermittedError, TenancyError, TenantNotSetError
from rayces_core.fields import StringField
from rayces_core.models import TENANT_MODELS
from rayces_core.models.visibility import RULES, readable
from rayces_core.tenancy.model import TenantModel
from tests.factory import (
    START,
    make_appointment,
    make_balance,
    make_closed_day,
    make_credential,
    make_device,
    make_endpoint,
    make_feed,
    make_giving,
    make_group,
    make_import_run,
    make_invoice,
    make_invoice_counter,
    make_invoice_line,
    make_issued,
    make_kind,
    make_like,
    make_lot,
    make_lot_movement,
    make_message,
    make_notice,
    make_organization,
    make_outside_busy,
    make_outside_calendar,
    make_package,
    make_post,
    make_professional,
    make_resource,
    make_series,
    make_sign_in_attempt,
    make_single_use_token,
    make_slot_request,
    make_student,
    make_time_off,
    make_transaction,
    make_transition,
    make_user,
)
from tests.walking import walked

ROLES = ("guardian", "professional", "staff", "admin")


@pytest.fixture(scope="module")
def world(db: Any) -> Any:
    """One organization: a family, its professional, and another family with another professional."""
    organization = make_organization(db)
    with db.tenant(organization):
        yield _world(organization)


def _world(organization: Any) -> SimpleNamespace:
    guardian, stranger = make_user(), make_user()
    mine, other, idle = make_professional(), make_professional(), make_professional(active=False)
    child, second = make_student(primary_contact=guardian), make_student(secondary_contact=guardian)
    met, foreign = make_student(primary_contact=stranger), make_student(primary_contact=stranger)
    series, met_series, their_series = make_series(), make_series(), make_series()
    occurrence = {"occurrence_at": START}
    session = make_appointment(professional=mine, student=child, client=guardian, series=series, **occurrence)
    by_another = make_appointment(professional=other, student=second, client=stranger)  # of an own child
    for_another = make_appointment(professional=other, student=foreign, client=guardian)  # booked by oneself
    met_session = make_appointment(professional=mine, student=met, client=stranger, series=met_series, **occurrence)
    theirs = make_appointment(professional=other, student=foreign, client=stranger, series=their_series, **occurrence)
    balance, foreign_balance = make_balance(user=guardian), make_balance(user=stranger)
    pro_balance = make_balance(user=mine.user)
    entry = make_transaction(credit_balance=balance, user=guardian)
    foreign_entry = make_transaction(credit_balance=foreign_balance, user=stranger)
    lot = make_lot(credit_transaction=entry)
    make_lot_movement(credit_lot=make_lot(credit_transaction=foreign_entry))
    moves = {
        name: make_transition(subject_type=type(row).__name__, subject_id=row.id)
        for name, row in {
            "session": session,
            "met_session": met_session,
            "theirs": theirs,
            "child": child,
            "met": met,
            "foreign": foreign,
            "entry": entry,
            "foreign_entry": foreign_entry,
        }.items()
    }
    # The same id under another type is another row.
    moves["misnamed"] = make_transition(subject_type="Other", subject_id=session.id)
    make_closed_day()
    make_time_off(professional=other)
    make_slot_request()
    make_notice(appointment=session, recipient=stranger)
    make_feed(user=stranger)
    make_outside_busy(calendar=make_outside_calendar(professional=other))
    my_calendar = make_outside_calendar(professional=mine)
    make_invoice(user=guardian)
    make_invoice_line(invoice=make_issued(user=stranger), appointment=theirs)
    line = make_invoice_line(invoice=make_issued(user=guardian), appointment=session)
    return SimpleNamespace(
        organization=organization,
        users={
            "guardian": guardian,
            "professional": mine.user,
            "staff": make_user(role=Role.STAFF),
            "admin": make_user(role=Role.ADMIN),
        },
        stranger=stranger,
        expected={
            User: {
                "guardian": {guardian.id, mine.user_id, other.user_id},
                "professional": {mine.user_id, other.user_id, guardian.id, stranger.id},
            },
            Professional: {"guardian": {mine.id, other.id}, "professional": {mine.id, other.id}},
            Student: {"guardian": {child.id, second.id}, "professional": {child.id, met.id}},
            Appointment: {
                "guardian": {session.id, by_another.id, for_another.id},
                "professional": {session.id, met_session.id},
            },
            AppointmentSeries: {"guardian": {series.id}, "professional": {series.id, met_series.id}},
            type(balance): {"guardian": {balance.id}, "professional": {pro_balance.id}},
            CreditTransaction: {"guardian": {entry.id}, "professional": set()},
            StateTransition: {
                "guardian": {moves[name].id for name in ("session", "child", "entry")},
                "professional": {moves[name].id for name in ("session", "met_session", "child", "met")},
            },
            type(make_endpoint()): {"guardian": set(), "professional": set(), "staff": set()},
            type(make_credential(user=guardian)): {each: set() for each in ROLES},
            type(make_single_use_token(user=guardian)): {each: set() for each in ROLES},
            type(make_sign_in_attempt()): {each: set() for each in ROLES},
            type(make_device(user=stranger)): {
                "guardian": {make_device(user=guardian).id},
                **{each: set() for each in ("professional", "staff", "admin")},
            },
            type(make_import_run()): {"guardian": set(), "professional": set()},
            type(make_message()): {"guardian": set(), "professional": set(), "staff": set()},
            type(make_group(professional=mine)): {"guardian": "all", "professional": "all"},
            ClosedDay: {"guardian": "all", "professional": "all"},
            CalendarFeed: {
                "guardian": {make_feed(user=guardian).id},
                **{each: set() for each in ("professional", "staff", "admin")},
            },
            OutsideCalendar: {
                "professional": {my_calendar.id},
                **{each: set() for each in ("guardian", "staff", "admin")},
            },
            OutsideBusy: {"guardian": set(), "professional": {make_outside_busy(calendar=my_calendar).id}},
            TimeOffRequest: {"guardian": set(), "professional": {make_time_off(professional=mine).id}},
            SlotRequest: {
                "guardian": {make_slot_request(client=guardian).id, make_slot_request(student=child).id},
                "professional": set(),
            },
            type(line.invoice): {"guardian": {line.invoice_id}, "professional": set()},
            InvoiceLine: {"guardian": {line.id}, "professional": set()},
            type(make_invoice_counter()): {"guardian": set(), "professional": set()},
            type(given := make_giving(professional=other)): {"guardian": "all", "professional": "all"},
            type(given.service): {"guardian": "all", "professional": "all"},
            type(make_kind()): {"guardian": "all", "professional": "all"},
            type(make_package()): {"guardian": "all", "professional": "all"},
            type(lot): {"guardian": {lot.id}, "professional": set()},
            type(moved := make_lot_movement(credit_lot=lot)): {"guardian": {moved.id}, "professional": set()},
            type(make_post(user=stranger)): {"guardian": "all", "professional": "all"},
            type(make_like(user=stranger)): {"guardian": "all", "professional": "all"},
            type(noted := make_notice(appointment=session)): {"guardian": {noted.id}, "professional": set()},
            type(make_resource()): {"guardian": "all", "professional": "all"},
        },
        foreign=foreign,
        idle=idle,
        theirs=theirs,
    )


def _ids(query: Any) -> set[int]:
    return {row.id for row in query}


@pytest.mark.slow
@walked("role", ROLES)
@walked("model", TENANT_MODELS, ids=lambda model: model.__name__)
def test_each_role_reads_of_each_model_what_the_table_says(world: Any, model: Any, role: str) -> None:
    assert model in RULES, "a new model needs a rule, even if it is one that shows nothing"
    every = _ids(model.select())
    seen = _ids(model.visible_to(world.users[role]))
    expected = world.expected[model].get(role, "all")
    assert every, "a walk over no row shows nothing"
    if role == "guardian" and expected != "all":
        assert every - expected, "there has to be a row that the guardian must not see"
    assert seen == (every if expected == "all" else expected)


def test_scopes_chain_before_and_after(world: Any) -> None:
    guardian = world.users["guardian"]
    after = _ids(Appointment.visible_to(guardian).in_state("draft").for_client(world.stranger))
    before = _ids(Appointment.in_state("draft").for_client(world.stranger).visible_to(guardian))
    assert after == before
    assert len(after) == 1


def test_an_alias_and_a_join_are_narrowed_as_well(world: Any) -> None:
    guardian, other = world.users["guardian"], Student.alias()
    assert _ids(other.select().visible_to(guardian)) == world.expected[Student]["guardian"]
    joined = Student.select().join(Appointment).where(Appointment.state == "draft").visible_to(guardian).distinct()
    assert _ids(joined) == world.expected[Student]["guardian"]


@pytest.mark.parametrize("role", ROLES)
def test_a_query_that_joins_what_the_rule_asks_too_sees_the_same(world: Any, role: str) -> None:
    user = world.users[role]
    students = Student.select().join(Appointment).where(Appointment.state == "draft").visible_to(user).distinct()
    in_sessions = {a.student_id for a in Appointment.in_state("draft")}
    assert _ids(students) == _ids(Student.visible_to(user)) & in_sessions
    sessions = Appointment.select().join(Student).where(Student.last_name != "-").visible_to(user)
    assert _ids(sessions) == _ids(Appointment.visible_to(user))
    profiles = Professional.select().join(Appointment).visible_to(user).distinct()
    with_sessions = {a.professional_id for a in Appointment.select()}
    assert _ids(profiles) == {p.id for p in Professional.visible_to(user) if p.user_id in with_sessions}


def test_nothing_widens_what_is_seen_again(world: Any) -> None:
    seen = Student.visible_to(world.users["guardian"])
    with pytest.raises(TenancyError, match="orwhere"):
        seen.orwhere(Student.id == world.foreign.id)
    assert not seen.where((Student.id == world.foreign.id) | (Student.last_name == "-")).exists()


def test_a_professional_sees_the_own_children_and_credits_as_a_guardian_does(world: Any) -> None:
    professional = world.users["professional"]
    child = make_student(secondary_contact=professional)
    try:
        assert child.id in _ids(Student.visible_to(professional))
    finally:
        child.delete_instance()


def test_a_profile_that_is_not_active_is_shown_to_itself_and_to_whom_it_had_sessions_with(world: Any) -> None:
    assert world.idle.id in _ids(Professional.visible_to(world.idle.user))
    client = make_user()
    assert world.idle.id not in _ids(Professional.visible_to(client))
    make_appointment(professional=world.idle, client=client)
    assert world.idle.id in _ids(Professional.visible_to(client))


def test_a_user_who_was_not_saved_sees_nothing(world: Any) -> None:
    for nobody in (User(email="x@example.org"), User(id=world.users["admin"].id, role=3), 1, None, "admin"):
        with pytest.raises(InvalidDataError):
            Student.visible_to(nobody)


def test_a_role_that_was_assigned_and_not_saved_shows_nothing(world: Any) -> None:
    pretender = User.get_by_id(world.users["guardian"].id)
    pretender.role = Role.ADMIN
    with pytest.raises(InvalidDataError, match="unsaved role"):
        Student.visible_to(pretender)


def test_a_user_of_another_organization_is_refused(world: Any, db: Any) -> None:
    other = make_organization(db)
    with db.tenant(other):
        admin = make_user(role=Role.ADMIN)
        with pytest.raises(CrossTenantError):
            Student.visible_to(world.users["admin"])
    with pytest.raises(CrossTenantError):
        Student.visible_to(admin)


def test_privileged_work_shows_a_user_the_own_organization_alone(world: Any, db: Any) -> None:
    other = make_organization(db)
    with db.tenant(other):
        make_student()
        ours = make_user(role=Role.ADMIN)
    with db.privileged(reason="test"):
        assert {row.organization_id for row in Student.visible_to(ours)} == {other.id}
        assert {row.organization_id for row in Student.visible_to(world.users["guardian"])} == {world.organization.id}


def test_a_query_built_for_a_user_shows_nothing_in_another_organization(world: Any, db: Any) -> None:
    query = Student.visible_to(world.users["admin"])
    other = make_organization(db)
    with db.tenant(other):
        make_student()
        assert list(query) == []


def test_no_tenant_is_no_sight(world: Any, db: Any) -> None:
    from contextvars import Context

    with pytest.raises(TenantNotSetError):
        Context().run(lambda: list(Student.visible_to(world.users["admin"])))


class Note(TenantModel):
    """A host's table without a rule."""

    text = StringField()


class SubUser(User):
    """A host's subclass: another table than the one whose rule it would inherit."""


@pytest.mark.parametrize("model", [Note, SubUser])
def test_a_model_without_a_rule_is_refused_even_to_admins(world: Any, model: Any) -> None:
    with pytest.raises(NotPermittedError, match="readable"):
        model.visible_to(world.users["admin"])


def test_a_host_gives_its_own_table_a_rule(world: Any) -> None:
    class Remark(TenantModel):
        text = StringField()

    readable(Remark, lambda model, user: user.is_staff and model.text != "secret")
    sql, parameters = Remark.visible_to(world.users["staff"]).sql()
    assert "secret" in parameters
    assert "IS NULL" in Remark.visible_to(world.users["guardian"]).sql()[0].upper()
    assert sql


def test_an_organization_has_no_rule_of_its_own(world: Any) -> None:
    with pytest.raises(NotPermittedError):
        Organization.visible_to(world.users["admin"])


@pytest.mark.slow
def test_a_guardians_children_are_found_by_the_two_indexes(world: Any, db: Any) -> None:
    Student.insert_many([{"first_name": "Ana", "last_name": str(n)} for n in range(3000)]).execute()
    sql, parameters = Student.visible_to(world.users["guardian"]).sql()
    with db.atomic() as unit:
        db.execute_sql("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in db.execute_sql(f"EXPLAIN {sql}", parameters).fetchall())
        unit.rollback()
    assert "primary_contact" in plan, plan
    assert "secondary_contact" in plan, plan
    assert "Seq Scan" not in plan, plan
