"""What the models say of themselves without a database: names, predicates, defaults and the list of them."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import peewee
import pytest

from rayces_core import clock, models
from rayces_core.errors import InvalidDataError
from rayces_core.fields import JSONField, TypedField
from rayces_core.models import (
    TENANT_MODELS,
    Appointment,
    AppointmentState,
    Organization,
    Professional,
    Role,
    Student,
    TransactionStatus,
    User,
)
from rayces_core.tenancy.model import TenantModel, TimestampedTenantModel
from tests.walking import walked

MOMENT = datetime(2026, 5, 25, 14, 30, tzinfo=UTC)
ALL_MODELS = (Organization, *TENANT_MODELS)
COLUMNS = [field for model in ALL_MODELS for field in model._meta.sorted_fields]


def label(field):
    return f"{field.model.__name__}.{field.name}"


def concrete(base):
    for kind in base.__subclasses__():
        if kind.__module__.startswith("rayces_core.models"):
            yield kind
        yield from concrete(kind)


def test_every_tenant_model_is_listed_and_exported():
    assert set(TENANT_MODELS) == set(concrete(TenantModel))
    assert {model.__name__ for model in ALL_MODELS} <= set(models.__all__)
    assert all(hasattr(models, name) for name in models.__all__)


@walked("field", COLUMNS)
def test_every_column_but_keys_checks_its_values(field):
    assert isinstance(field, TypedField | peewee.ForeignKeyField | peewee.IdentityField)


@walked("field", [field for field in COLUMNS if field.default is not None])
def test_every_default_is_a_value_that_its_column_accepts(field):
    default = field.default() if callable(field.default) else field.default
    assert field.null if default is None else field.db_value(default) is not None


@walked("field", [field for field in COLUMNS if isinstance(field, JSONField) and field.default is not None])
def test_no_two_instances_share_a_json_default(field):
    assert getattr(field.model(), field.name) is not getattr(field.model(), field.name)


@walked("model", [Organization, *(m for m in TENANT_MODELS if issubclass(m, TimestampedTenantModel))])
def test_a_new_row_is_stamped_by_the_clock(model):
    with clock.frozen(MOMENT):
        row = model()
    assert row.created_at == row.updated_at == MOMENT


def test_the_default_role_is_the_least_privileged():
    assert User().role is Role.GUARDIAN
    assert min(Role) == Role.GUARDIAN == 0


def test_every_user_gets_a_token_id_of_its_own():
    assert User().jti != User().jti


@walked(
    "role, true_of_it",
    [
        (Role.GUARDIAN, {"is_guardian"}),
        (Role.PROFESSIONAL, {"is_professional"}),
        (Role.STAFF, {"is_staff"}),
        (Role.ADMIN, {"is_staff", "is_admin"}),
    ],
)
def test_a_role_answers_the_predicates(role, true_of_it):
    user = User(role=role.value)
    predicates = ("is_guardian", "is_professional", "is_staff", "is_admin")
    assert {name for name in predicates if getattr(user, name)} == true_of_it


@walked(
    "first, last, shown",
    [
        ("Ana", "Paz", "Ana Paz"),
        ("Ana", None, "Ana"),
        (None, "Paz", "Paz"),
        (None, None, "ana@example.org"),
        ("", "", "ana@example.org"),
    ],
)
def test_a_user_is_shown_by_name_or_else_by_email(first, last, shown):
    assert User(first_name=first, last_name=last, email="Ana@example.org").full_name == shown


def test_a_student_has_a_full_name():
    assert Student(first_name="Leo", last_name="Paz").full_name == "Leo Paz"


def test_an_organization_reads_its_zone_and_its_policy_with_defaults():
    organization = Organization(settings={"confirmation_hours": 48})
    assert organization.zone == ZoneInfo("America/Argentina/Buenos_Aires")
    assert organization.policy.confirmation_hours == 48
    assert organization.policy.cancellation_notice_hours == 24


def test_a_professional_reads_schedule_and_blocked_dates_as_objects():
    profile = Professional(
        weekly_schedule={"monday": [{"start": "14:00", "end": "15:00"}, {"start": "09:00", "end": "10:00"}]},
        blocked_dates=["2026-05-25"],
    )
    assert [window.start for window in profile.schedule.windows_on(date(2026, 5, 25))] == ["09:00", "14:00"]
    assert [period.covers(date(2026, 5, 25)) for period in profile.blocked_periods] == [True]


def test_an_appointment_ends_after_its_duration_without_the_buffer():
    appointment = Appointment(scheduled_at=MOMENT, duration_minutes=45, buffer_minutes=15)
    assert appointment.ends_at == datetime(2026, 5, 25, 15, 15, tzinfo=UTC)


def test_states_say_whether_they_are_final_and_whether_they_take_time():
    final = {state for state in AppointmentState if state.is_final}
    occupying = {state for state in AppointmentState if state.occupies_time}
    assert final == {"executed", "cancelled", "no_show"}
    assert occupying == {"pre_confirmed", "confirmed", "executed", "no_show"}
    assert {status for status in TransactionStatus if status.is_final} == {"completed", "failed"}


@walked("value", [1.9, "1", True, 2**63])
def test_an_id_is_a_whole_number_of_eight_bytes(value):
    with pytest.raises(InvalidDataError):
        User.id.db_value(value)
