"""Schemas for answers hold what a model has but its secrets; those for requests hold what the function takes."""

import inspect
import re
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import AwareDatetime, ValidationError

from rayces_core import (
    Appointment,
    AppointmentState,
    Professional,
    Role,
    Student,
    User,
    calendars,
    credits,
    invoicing,
    people,
    scheduling,
)
from rayces_core.errors import ConfigurationError, InvalidDataError
from rayces_core.integrations import schemas
from rayces_core.integrations.schemas import schema_of
from rayces_core.models import TENANT_MODELS
from rayces_core.showing import SECRET
from tests.factory import START, make_appointment, make_professional, make_student, make_user
from tests.walking import walked

INPUTS = [
    (schemas.BookIn, scheduling.book),
    (schemas.RescheduleIn, scheduling.reschedule),
    (schemas.CancelIn, Appointment.cancel),
    (schemas.AdmitIn, Student.admit),
    (schemas.PurchaseIn, credits.purchase),
    (schemas.AdjustIn, credits.adjust),
    (schemas.RefundIn, credits.refund),
    (schemas.BookGroupIn, scheduling.book_group),
    (schemas.GroupSessionIn, scheduling.create_group_session),
    (schemas.RescheduleGroupIn, scheduling.reschedule_group),
    (schemas.RescheduleSeriesIn, scheduling.reschedule_series),
    (schemas.SlotRequestIn, scheduling.request_slot),
    (schemas.TimeOffIn, scheduling.request_time_off),
    (schemas.PurchasePackageIn, credits.purchase_package),
]
GIVEN_OTHERWISE = {"self", "by", "now", "idempotency_key", "appointment", "refund", "group", "options"}
FUNCTIONS = [
    function
    for room in (calendars, credits, invoicing, people, scheduling)
    for function in (getattr(room, name) for name in room.__all__)
    if inspect.isfunction(function)
]


@pytest.mark.slow
@walked("model", TENANT_MODELS, ids=lambda model: model.__name__)
def test_every_model_has_a_schema_of_all_its_columns_but_the_secret_ones(model):
    out = schema_of(model)
    columns = {field.column_name for field in model._meta.sorted_fields}
    assert set(out.model_fields) == {c for c in columns if not SECRET.search(c)}
    assert out.model_json_schema()["title"] == f"{model.__name__}Out"


@pytest.mark.parametrize(
    ("model", "secret"),
    [(User, "jti"), (User, "current_sign_in_ip"), (Appointment, "request_fingerprint"), (Student, "password")],
)
def test_a_secret_is_left_out_and_refused_by_name(model, secret):
    assert secret not in schema_of(model).model_fields
    with pytest.raises(InvalidDataError):
        schema_of(model, include=("id", secret))


def test_a_secret_is_refused_as_an_extra_as_well():
    with pytest.raises(InvalidDataError, match="secret"):
        schema_of(User, include=("id",), jti=str)


def test_unknown_columns_are_refused():
    with pytest.raises(InvalidDataError, match="no column"):
        schema_of(Student, exclude=("nonsense",))


def test_an_answer_is_read_from_a_row_with_enums_moments_and_properties(db, a):
    out = schema_of(Appointment, exclude=("professional_notes",), ends_at=AwareDatetime)
    with db.tenant(a):
        answer = out.model_validate(Appointment.get_by_id(make_appointment().id))
        person = schema_of(User, full_name=str).model_validate(make_user(role=Role.STAFF))
    assert answer.state is AppointmentState.DRAFT
    assert answer.ends_at == answer.scheduled_at + timedelta(hours=1)
    assert "professional_notes" not in answer.model_dump()
    assert (person.role, person.full_name) == (Role.STAFF, "Ana Paz")


def test_json_columns_have_their_own_schemas():
    properties = schema_of(Professional).model_json_schema()["properties"]
    assert "WeeklySchedule" in str(properties["weekly_schedule"])


@walked("schema, function", INPUTS, ids=lambda one: one.__name__)
def test_a_request_has_what_the_function_takes(schema, function):
    takes = {k for k in inspect.signature(function).parameters if not k.startswith(("override_", "allow_"))}
    assert takes - GIVEN_OTHERWISE <= set(schema.model_fields) <= takes
    assert schema.model_json_schema()["additionalProperties"] is False


@walked("schema, function", INPUTS, ids=lambda one: one.__name__)
def test_a_requests_arguments_bind_to_the_functions_signature(schema, function):
    given = {"student_id": 1, "professional_id": 2, "client_id": 3, "user_id": 4, "credits": 5, "reason": "x"}
    given |= {"capacity": 3, "until_day": "2031-04-01", "start": "2031-03-03", "end": "2031-03-04", "package_id": 6}
    shown = schema.model_json_schema()["properties"]
    body = {key: value for key, value in (given | {"scheduled_at": START}).items() if key in shown}
    data = schema.model_validate(body)
    parameters = inspect.signature(function).parameters
    own = [key for key in ("self", "appointment", "group") if key in parameters]
    inspect.signature(function).bind(*own, **data.arguments(), by=None)
    assert not {"student", "professional", "client", "user"} & set(shown), "rows are asked for by id, as answers say"


def test_a_series_is_asked_for_with_what_each_of_its_sessions_is():
    body = {"student_id": 1, "professional_id": 2, "client_id": 3, "scheduled_at": START, "weekdays": ["monday"]}
    asked = schemas.BookSeriesIn.model_validate(body | {"count": 4, "room_id": 9}).arguments()
    assert (asked["student"], asked["count"], asked["weekdays"], asked["room"]) == (1, 4, ["monday"], 9)
    with pytest.raises(ValidationError):
        schemas.BookSeriesIn.model_validate(body | {"student_id": "Luz"})


@walked("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_public_function_has_a_request_or_says_what_no_request_holds(function):
    excluded, made = (), None
    while made is None:
        try:
            made = schemas.input_of(function, name=f"{function.__name__}In", exclude=excluded)
        except ConfigurationError as error:
            refused = re.search(r"exclude=\('(\w+)',\)", str(error))[1]
            excluded += (refused,)
    assert made.model_json_schema()["additionalProperties"] is False
    assert set(excluded) <= set(inspect.signature(function).parameters)


def test_a_row_is_asked_for_by_the_name_that_answers_have():
    body = {"student_id": 1, "professional_id": 2, "client_id": 3, "scheduled_at": START}
    assert schemas.BookIn.model_validate(body).arguments()["student"] == 1
    with pytest.raises(ValidationError, match="student_id"):
        schemas.BookIn.model_validate({**body, "student_id": "Luz"})
    assert {"student_id", "professional_id", "client_id"} <= set(schema_of(Appointment).model_fields)


def test_what_staff_alone_may_give_is_asked_for_by_name():
    full = schemas.input_of(scheduling.book, name="StaffBookIn", overrides=True)
    assert "override_notice" in full.model_fields
    assert "override_notice" not in schemas.BookIn.model_fields


def test_a_naive_moment_and_an_unknown_field_are_refused():
    body = {"student": 1, "professional": 1, "client": 1, "scheduled_at": "2031-03-03T12:00:00"}
    with pytest.raises(ValidationError):
        schemas.BookIn.model_validate(body)
    with pytest.raises(ValidationError):
        schemas.BookIn.model_validate(body | {"scheduled_at": "2031-03-03T12:00:00Z", "by": 1})


def test_requests_go_into_the_functions_as_they_are(db, a):
    with db.tenant(a):
        staff, professional, student = make_user(role=Role.STAFF), make_professional(), make_student()
        professional.weekly_schedule = {"monday": [{"start": "00:00", "end": "23:59"}]}
        professional.save()
        bought = schemas.PurchaseIn(user=staff.id, credits=3, metadata={"via": "desk"})
        entry = credits.purchase(**bought.arguments(), by=staff)
        adjusted = credits.adjust(**schemas.AdjustIn(user=staff.id, credits=1, reason="gift").arguments(), by=staff)
        student.apply(by=staff)
        student.admit(**schemas.AdmitIn(reason="place").arguments(), by=staff)
        body = {"student": student.id, "professional": professional.user_id, "client": staff.id, "draft": True}
        data = schemas.BookIn(**body, scheduled_at=START)
        now = datetime(2031, 3, 1, tzinfo=UTC)
        booked = scheduling.book(**data.arguments(), by=staff, now=now, override_window=True, override_schedule=True)
        booked.cancel(**schemas.CancelIn(reason="ill").arguments(), by=staff)
    assert (entry.amount, adjusted.balance_after, booked.state) == (3, 4, "cancelled")


@pytest.mark.slow
def test_examples_are_what_the_schema_takes_enums_included():
    shown = {}
    for model in TENANT_MODELS:
        out = schema_of(model)
        for name, field in out.model_fields.items():
            for example in field.examples or ():
                out.__pydantic_validator__.validate_assignment(out.model_construct(), name, example)
                shown[f"{model.__name__}.{name}"] = example
    assert (shown["Appointment.state"], shown["User.role"], shown["Student.admission_state"]) == (
        "draft",
        0,
        "prospect",
    )
    described = schema_of(Appointment).model_json_schema()
    assert described["properties"]["state"]["examples"] == ["draft"]


def test_the_description_of_a_request_says_the_limits_that_the_function_has():
    told = schemas.BookIn.model_json_schema()["properties"]
    limits = {name: (each["minimum"], each["maximum"]) for name, each in told.items() if "minimum" in each}
    rows = ("student", "professional", "client", "service", "second_professional", "room", "device")
    ids = dict.fromkeys((f"{row}_id" for row in rows), (1, 2**63 - 1))
    assert limits == ids | {"duration_minutes": (15, 480)}
    # It stays the function that refuses: its error is more than a number out of range.
    body = {"student_id": 0, "professional_id": 1, "client_id": 1, "scheduled_at": "2031-03-03T15:00:00Z"}
    assert schemas.BookIn.model_validate(body | {"duration_minutes": 1}).arguments()["duration_minutes"] == 1
