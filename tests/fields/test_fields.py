"""Every column type refuses wrong values on every way in, and reads back what PostgreSQL stored."""

import copy
import datetime as dt
import inspect
import ipaddress
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum

import peewee
import psycopg2.extras
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from rayces_core import fields
from rayces_core.errors import InvalidDataError, NaiveDatetimeError
from rayces_core.fields.reading import is_as_read
from rayces_core.fields.schemas import BlockedDates, Metadata, OrganizationSettings, WeeklySchedule
from rayces_core.models.credit_balance import CreditBalance
from rayces_core.models.user import User
from tests.sizes import examples
from tests.walking import walked

MOMENT = datetime(2026, 5, 25, 14, 30, 15, 123456, tzinfo=UTC)
MORNING = {"monday": [{"start": "09:00", "end": "12:00"}]}
# One test holds the database for all its examples, which are rows of their own and need no reset between them.
on_postgresql = examples(10, 60, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Colour(StrEnum):
    RED = "red"
    DARK_BLUE = "dark_blue"


class Shade(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 0
    HIGH = 1


class Sample(peewee.Model):
    text = fields.StringField(null=True)
    long_text = fields.TextField(null=True)
    email = fields.EmailField(null=True)
    currency = fields.CurrencyField(null=True)
    time_zone = fields.TimeZoneField(null=True)
    moment = fields.UTCDateTimeField(null=True)
    day = fields.DateField(null=True)
    colour = fields.EnumField(Colour, null=True)
    level = fields.IntEnumField(Level, null=True)
    small = fields.SmallIntegerField(null=True)
    number = fields.IntegerField(null=True)
    big = fields.BigIntegerField(null=True)
    flag = fields.BooleanField(null=True)
    address = fields.InetField(null=True)
    schedule = fields.JSONField(WeeklySchedule, null=True)
    blocked = fields.JSONField(BlockedDates, null=True)
    metadata = fields.JSONField(Metadata, default={})
    policy = fields.JSONField(OrganizationSettings, default=dict)

    class Meta:
        table_name = "samples"
        temporary = True


class Booking(peewee.Model):
    starts_at = fields.UTCDateTimeField()
    until = fields.GeneratedDateTimeField(null=True)

    class Meta:
        table_name = "bookings"
        only_save_dirty = True


SAMPLE_FIELDS = [field for name, field in Sample._meta.fields.items() if name != "id"]
BY_NAME = {field.name: field for field in SAMPLE_FIELDS}

GOOD = {
    "text": "plain",
    "long_text": "line\nline",
    "email": "ana@example.org",
    "currency": "ARS",
    "time_zone": "America/Argentina/Buenos_Aires",
    "moment": MOMENT,
    "day": date(2026, 5, 25),
    "colour": Colour.DARK_BLUE,
    "level": Level.HIGH,
    "small": 3,
    "number": 70_000,
    "big": 2**40,
    "flag": False,
    "address": "10.0.0.1",
    "schedule": MORNING,
    "blocked": [{"start": "2026-05-25", "end": "2026-05-26"}],
    "metadata": {"a": [1, None, "x"]},
    "policy": {"book_prospects": False},
}

BAD = [
    ("text", 5, "needs text, got int"),
    ("text", b"bytes", "needs text, got bytes"),
    ("text", uuid.UUID(int=1), "needs text, got UUID"),
    ("text", "a\x00b", "NUL"),
    ("text", "\ud800", "surrogate"),
    ("long_text", "a\x00b", "NUL"),
    ("email", "ana", "one @"),
    ("email", "@example.org", "one @"),
    ("email", "ana@", "one @"),
    ("email", "a@b@c", "one @"),
    ("email", "a na@example.org", "blank"),
    ("email", "a" * 320 + "@b", "320"),
    ("email", "", "one @"),
    ("email", 5, "needs text"),
    ("email", "a\x00@b", "NUL"),
    ("email", "mailto:a@b.org", "beside"),
    ("email", "<a@b.org>", "beside"),
    ("email", "a@b.org, c", "blank"),
    ("email", "a@b.org.", "no domain"),
    ("email", "a@b\u200b.org", "invisible"),
    ("currency", "ars", "currency code"),
    ("currency", "ARS\n", "currency code"),
    ("currency", "", "currency code"),
    ("time_zone", "Buenos Aires", "IANA time zone"),
    ("time_zone", "America", "IANA time zone"),
    ("time_zone", "../UTC", "IANA time zone"),
    ("time_zone", "", "IANA time zone"),
    ("moment", datetime(2026, 5, 25), "needs a time zone"),
    ("moment", "2026-05-25T14:30:00Z", "needs an aware datetime, got str"),
    ("moment", date(2026, 5, 25), "needs an aware datetime, got date"),
    ("moment", 1_764_201_600, "needs an aware datetime, got int"),
    ("day", datetime(2026, 5, 25), "got a datetime"),
    ("day", MOMENT, "got a datetime"),
    ("day", "2026-05-25", "needs a datetime.date, got str"),
    ("colour", "green", "one of 'red', 'dark_blue'; got 'green'"),
    ("colour", ["red"], "one of 'red', 'dark_blue'"),
    ("colour", 0, "one of 'red', 'dark_blue'"),
    ("colour", Shade.RED, "one of 'red', 'dark_blue'"),
    ("level", 2, "one of 0, 1; got 2"),
    ("level", True, "one of 0, 1; got True"),
    ("level", 1.0, "one of 0, 1; got 1.0"),
    ("level", "1", "one of 0, 1; got '1'"),
    ("small", 2**15, "between -32768 and 32767"),
    ("small", -(2**15) - 1, "between -32768 and 32767"),
    ("number", 2**31, "between -2147483648 and 2147483647"),
    ("number", True, "got the bool True"),
    ("number", 1.0, "whole number, got float"),
    ("number", "5", "whole number, got str"),
    ("number", Decimal(5), "whole number, got Decimal"),
    ("big", 2**63, "between"),
    ("flag", 1, "True or False, got int"),
    ("flag", "false", "True or False, got str"),
    ("address", "10.0.0.256", "no IPv4 or IPv6 address"),
    ("address", "10.0.0.0/8", "no IPv4 or IPv6 address"),
    ("address", "fe80::1%eth0", "zone index"),
    ("address", "", "no IPv4 or IPv6 address"),
    ("address", 1, "as text, got int"),
    ("address", b"\x01\x02\x03\x04", "as text, got bytes"),
    ("schedule", {"monday": [{"start": "09:00", "end": "08:00"}]}, r"monday\.0: the end 08:00 must be after"),
    ("schedule", {"someday": []}, "someday: Extra inputs are not permitted"),
    ("schedule", [], "the whole value: "),
    ("schedule", "{}", "the whole value: "),
    ("schedule", psycopg2.extras.Json([]), "the whole value: "),
    ("blocked", ["2026-02-30"], r"0\.start"),
    ("metadata", {"a": float("nan")}, "is no JSON"),
    ("metadata", {"a": "x\x00y"}, "NUL"),
    ("metadata", {"a\\\x00": 1}, "NUL"),
    ("metadata", {"a": "\ud800"}, "surrogate|unicode|valid"),
    ("metadata", {"a": MOMENT}, "a: input was not a valid JSON value"),
    ("metadata", {1: "a"}, "valid string"),
    ("metadata", [1], "valid dictionary"),
    ("metadata", {"a": "x" * 1_048_576}, "bytes as JSON"),
    ("policy", {"booking_window_days": 0}, "booking_window_days: "),
]


@pytest.fixture(scope="module")
def samples(server_url):
    database = peewee.PostgresqlDatabase(server_url, options="-c timezone=UTC")
    with database.bind_ctx([Sample]), database.connection_context():
        database.create_tables([Sample])
        yield Sample


@pytest.fixture(scope="module")
def bookings(server_url):
    database = peewee.PostgresqlDatabase(server_url, options="-c timezone=UTC")
    with database.bind_ctx([Booking]), database.connection_context():
        database.execute_sql(
            "create temporary table bookings (id serial primary key, starts_at timestamptz not null, "
            "until timestamptz generated always as "
            "(timezone('UTC', timezone('UTC', starts_at) + interval '1 hour')) stored)"
        )
        yield Booking


def reread(row):
    return Sample.get_by_id(row.id)


# -- every field ------------------------------------------------------------------------------------------------------


def test_every_public_field_class_is_tried_here():  # StateField in state_machine/test_assignment.py
    public = {kind for name, kind in vars(fields).items() if inspect.isclass(kind) and name in fields.__all__}
    tried = {type(field) for field in (*SAMPLE_FIELDS, Booking.until, CreditBalance.credit_kind_key, User.id)}
    tried |= {fields.StateField}
    assert public - tried == {fields.TypedField}


@walked("name", GOOD)
def test_a_good_value_is_read_back_as_it_was_written(samples, name):
    row = samples.create(**{name: GOOD[name]})
    value = getattr(reread(row), name)
    assert value == GOOD[name]
    assert type(value) is type(GOOD[name])


@walked("name", GOOD)
def test_what_the_driver_gives_is_the_python_value_exactly_where_the_field_says_so(samples, name):
    row = samples.create(**{name: GOOD[name]})
    cursor = samples._meta.database.execute_sql(f'select "{name}" from samples where id = %s', (row.id,))
    (driver_value,) = cursor.fetchone()
    right = type(driver_value) is type(GOOD[name]) and driver_value == GOOD[name]
    assert right == is_as_read(BY_NAME[name].python_value, cursor.description[0].type_code)
    assert BY_NAME[name].python_value(driver_value) == GOOD[name]


@walked("field", SAMPLE_FIELDS)
def test_null_is_written_and_read_as_none(samples, field):
    assert field.db_value(None) is None
    assert field.python_value(None) is None
    if field.null:
        row = samples.create(**{field.name: None})
        assert getattr(reread(row), field.name) is None
        assert samples.select().where((samples.id == row.id) & (field == None)).exists()  # noqa: E711


@pytest.mark.slow
@walked("name", GOOD)
def test_a_row_is_found_by_its_value_with_equality_and_in_a_list(samples, name):
    row, field = samples.create(**{name: GOOD[name]}), BY_NAME[name]
    own = samples.id == row.id
    assert samples.select().where(own & (field == GOOD[name])).exists()
    if not isinstance(field, fields.JSONField):
        assert samples.select().where(own & field.in_([GOOD[name], GOOD[name]])).exists()
        assert samples.select().where(own & field.between(GOOD[name], GOOD[name])).exists()
        assert not samples.select().where(own & field.not_in([GOOD[name]])).exists()


@walked("name, value, reason", BAD)
def test_a_wrong_value_is_refused_with_field_value_and_reason(name, value, reason):
    with pytest.raises(InvalidDataError, match=reason) as refused:
        BY_NAME[name].db_value(value)
    assert refused.value.field == f"Sample.{name}"
    assert str(refused.value) == f"Sample.{name}: {refused.value.reason}"
    assert isinstance(refused.value, ValueError)


WAYS_IN = {
    "create": lambda name, value: Sample.create(**{name: value}),
    "save": lambda name, value: Sample(**{name: value}).save(),
    "insert": lambda name, value: Sample.insert({name: value}).execute(),
    "insert_many": lambda name, value: Sample.insert_many([{name: GOOD[name]}, {name: value}]).execute(),
    "insert_many of tuples": lambda name, value: Sample.insert_many([(value,)], [BY_NAME[name]]).execute(),
    "bulk_create": lambda name, value: Sample.bulk_create([Sample(**{name: value})]),
    "update": lambda name, value: Sample.update({name: value}).execute(),
    "bulk_update": lambda name, value: Sample.bulk_update([Sample(id=1, **{name: value})], [name]),
    "upsert": lambda name, value: (
        Sample.insert({name: GOOD[name]}).on_conflict(conflict_target=["id"], update={name: value}).execute()
    ),
    "equality": lambda name, value: Sample.select().where(BY_NAME[name] == value).exists(),
    "get_or_none": lambda name, value: Sample.get_or_none(**{name: value}),
    "get_or_create": lambda name, value: Sample.get_or_create(**{name: value}),
}


@pytest.mark.slow
@walked("way", WAYS_IN)
@walked("name, value", {name: value for name, value, _ in BAD}.items())
def test_no_way_in_goes_round_the_check(samples, way, name, value):
    before = samples.select().count()
    with pytest.raises(InvalidDataError):
        WAYS_IN[way](name, value)
    assert samples.select().count() == before


@walked("name", GOOD)
def test_bulk_update_writes_good_values(samples, name):
    rows = [samples.create(), samples.create()]
    for row in rows:
        setattr(row, name, GOOD[name])
    samples.bulk_update(rows, [name])
    assert [getattr(reread(row), name) for row in rows] == [GOOD[name]] * 2


@walked("name", GOOD)
def test_an_alias_checks_and_reads_like_the_model(samples, name):
    row, other = samples.create(**{name: GOOD[name]}), samples.alias()
    found = other.select().where((other.id == row.id) & (getattr(other, name) == GOOD[name])).get()
    assert getattr(found, name) == GOOD[name]
    wrong = next(value for bad, value, _ in BAD if bad == name)
    with pytest.raises(InvalidDataError):
        other.select().where(getattr(other, name) == wrong).exists()


@walked("field", SAMPLE_FIELDS)
def test_a_field_survives_the_deep_copy_that_a_sub_class_of_a_model_makes(field):
    twin = copy.deepcopy(field)
    assert type(twin) is type(field)
    assert twin.python_value(driver_form(field)) == GOOD[field.name]
    with pytest.raises(InvalidDataError):
        twin.db_value(next(value for bad, value, _ in BAD if bad == field.name))


def driver_form(field):
    value = GOOD[field.name]
    return value.value if isinstance(value, Enum) else value


def test_the_label_of_a_field_outside_a_model_is_its_class():
    with pytest.raises(InvalidDataError, match=r"^IntegerField: "):
        fields.IntegerField().db_value("x")


# -- text -------------------------------------------------------------------------------------------------------------


@on_postgresql
@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00")))
def test_any_storable_text_is_read_back_unchanged(samples, text):
    assert reread(samples.create(text=text, long_text=text)).text == text


@pytest.mark.slow
@given(st.text())
def test_a_text_is_refused_exactly_when_utf_8_or_postgresql_cannot_hold_it(text):
    storable = "\x00" not in text and not any(0xD800 <= ord(character) <= 0xDFFF for character in text)
    if storable:
        assert Sample.text.db_value(text) == text
    else:
        with pytest.raises(InvalidDataError):
            Sample.text.db_value(text)


def test_a_text_enum_is_stored_as_plain_text():
    assert type(Sample.text.db_value(Colour.RED)) is str
    assert Sample.text.db_value(Colour.RED) == "red"


def test_an_email_is_normalised_when_assigned_written_and_compared(samples):
    row = samples(email="  Carla@Example.ORG ")
    assert row.email == "carla@example.org"
    row.save()
    samples.insert_many([{"email": "BOB@example.org\n"}]).execute()
    assert samples.get(samples.email == " CARLA@example.org").id == row.id
    assert samples.select().where(samples.email << ["Bob@Example.org"]).count() == 1


def test_emails_and_enums_are_searched_by_part(samples):
    row = samples.create(email="pat.tern@example.org", colour=Colour.DARK_BLUE)
    own = samples.id == row.id
    for condition in (
        samples.email.contains("TERN"),
        samples.email.startswith("pat"),
        samples.email.endswith(".org"),
        samples.email.like("pat%"),
        samples.email % "pat%",
        samples.email.ilike("PAT%"),
        samples.email ** "PAT%",
        samples.email.regexp("^pat[.]"),
        samples.email.iregexp("^PAT[.]"),
        (samples.email + "!") == "pat.tern@example.org!",
        samples.email.concat("!") == "pat.tern@example.org!",
        samples.colour.startswith("dark"),
        samples.currency.is_null(),
    ):
        assert samples.select().where(own & condition).exists()
    assert not samples.select().where(own & samples.email.contains("%zz")).exists()


# -- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@on_postgresql
@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.timezones()))
def test_a_moment_of_any_zone_is_stored_and_read_as_the_same_moment_in_utc(samples, moment):
    row = samples.create(moment=moment)
    assert row.moment.tzinfo is UTC
    read = reread(row).moment
    assert read == moment.astimezone(UTC)
    assert read.tzinfo is UTC
    assert samples.select().where((samples.id == row.id) & (samples.moment == moment)).exists()


@given(st.datetimes())
def test_a_naive_moment_is_refused_and_the_error_names_the_field_and_the_cure(moment):
    with pytest.raises(NaiveDatetimeError, match=r"Sample\.moment: .*timezone\.utc"):
        Sample.moment.db_value(moment)


def test_a_naive_moment_is_refused_in_ranges_lists_and_differences(samples):
    naive = datetime(2026, 5, 25)
    for condition in (
        samples.moment.between(MOMENT, naive),
        samples.moment.in_([MOMENT, naive]),
        samples.moment > naive,
        samples.moment - naive > timedelta(0),
    ):
        with pytest.raises(NaiveDatetimeError):
            samples.select().where(condition).exists()


def test_intervals_are_added_to_and_taken_from_moments_and_days(samples):
    row = samples.create(moment=MOMENT, day=date(2026, 5, 25))
    hour = timedelta(hours=1)
    own = samples.id == row.id
    assert samples.select(samples.moment + hour).where(own).scalar() == MOMENT + hour
    assert samples.select(samples.moment - hour).where(own).scalar() == MOMENT - hour
    assert samples.select(samples.moment - (MOMENT - hour)).where(own).scalar() == hour
    assert samples.select(samples.day + 1).where(own).scalar() == date(2026, 5, 26)
    assert samples.select(samples.day - date(2026, 5, 20)).where(own).scalar() == 5


def test_parts_of_a_moment_are_those_in_utc(samples):
    local = datetime(2026, 12, 31, 22, 0, tzinfo=timezone(timedelta(hours=-3)))
    row = samples.create(moment=local)
    assert samples.select(samples.moment.year, samples.moment.hour).where(samples.id == row.id).tuples().get() == (
        2027,
        1,
    )


@on_postgresql
@given(st.dates())
def test_a_day_is_read_back_unchanged(samples, day):
    assert reread(samples.create(day=day)).day == day


def test_a_computed_moment_is_read_and_searched_but_never_written(bookings):
    row = bookings.create(starts_at=MOMENT)
    row = bookings.get_by_id(row.id)
    assert row.until == MOMENT + timedelta(hours=1)
    assert bookings.select().where(bookings.until > MOMENT).count() == 1
    assert bookings.until.generated
    row.starts_at = MOMENT + timedelta(hours=2)
    row.until = MOMENT
    assert row.save() == 1
    assert bookings.get_by_id(row.id).until == MOMENT + timedelta(hours=3)
    with pytest.raises(InvalidDataError, match="computed by the database"):
        bookings.update(until=MOMENT).execute()
    with pytest.raises(NaiveDatetimeError):
        bookings.select().where(bookings.until > datetime(2026, 5, 25)).exists()


def test_only_computed_fields_say_so():
    assert not any(field.generated for field in SAMPLE_FIELDS)


# -- numbers ----------------------------------------------------------------------------------------------------------


@walked("name", ["small", "number", "big"])
def test_both_ends_of_the_range_are_stored(samples, name):
    for value in BY_NAME[name].bounds:
        assert getattr(reread(samples.create(**{name: value})), name) == value


@on_postgresql
@given(st.integers())
def test_a_whole_number_is_refused_exactly_when_its_column_is_too_small(samples, number):
    for name in ("small", "number", "big"):
        low, high = BY_NAME[name].bounds
        if low <= number <= high:
            assert getattr(reread(samples.create(**{name: number})), name) == number
        else:
            with pytest.raises(InvalidDataError):
                samples.create(**{name: number})


@walked("bits", [63, 5_000, 20_000])
def test_a_number_too_long_to_print_is_refused_like_any_other(bits):
    with pytest.raises(InvalidDataError, match="between"):
        Sample.number.db_value(2**bits)


def test_numbers_count_up_in_sql(samples):
    row = samples.create(number=5)
    samples.update(number=samples.number + 2).where(samples.id == row.id).execute()
    assert reread(row).number == 7
    assert samples.select(peewee.fn.max(samples.number)).where(samples.id == row.id).scalar() == 7


def test_an_enum_number_is_stored_as_a_plain_number():
    assert type(Sample.number.db_value(Level.HIGH)) is int


# -- choices ----------------------------------------------------------------------------------------------------------


@walked("name, kind", [("colour", Colour), ("level", Level)])
def test_every_member_and_its_plain_value_are_read_back_as_the_member(samples, name, kind):
    for member in kind:
        for given_value in (member, member.value):
            row = samples(**{name: given_value})
            assert getattr(row, name) is member
            row.save()
            assert getattr(reread(row), name) is member


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.lists(st.integers()))
def test_a_choice_takes_its_own_values_only(value):
    for field, kind, own in ((Sample.colour, Colour, str), (Sample.level, Level, int)):
        if type(value) is own and value in [member.value for member in kind]:
            assert field.db_value(value) == value
        else:
            with pytest.raises(InvalidDataError):
                field.db_value(value)


def test_a_stored_value_that_is_no_member_is_an_error_that_names_it(samples):
    (row_id,) = samples._meta.database.execute_sql(
        "insert into samples (colour, metadata, policy) values ('green', '{}', '{}') returning id"
    ).fetchone()
    with pytest.raises(InvalidDataError, match="holds 'green', which is none of 'red', 'dark_blue'"):
        samples.get_by_id(row_id)
    samples.delete_by_id(row_id)


def test_members_maps_stored_values_and_null_for_row_builders():
    assert dict(Sample.level.members) == {None: None, 0: Level.LOW, 1: Level.HIGH}


# -- addresses --------------------------------------------------------------------------------------------------------


@on_postgresql
@given(st.ip_addresses())
def test_an_address_is_read_back_as_text_of_the_same_address(samples, address):
    row = samples.create(address=address)
    assert ipaddress.ip_address(reread(row).address) == address
    assert samples.select().where((samples.id == row.id) & (samples.address == str(address))).exists()


# -- json -------------------------------------------------------------------------------------------------------------

storable_text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e15, 1e15).map(lambda x: x + 0.0) | storable_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(storable_text, inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.slow
@on_postgresql
@given(st.dictionaries(storable_text, json_values, max_size=4))
def test_any_json_object_is_read_back_unchanged(samples, value):
    row = samples.create(metadata=value)
    assert reread(row).metadata == value
    assert samples.select().where((samples.id == row.id) & (samples.metadata == value)).exists()


@walked("text", ["\\u0000", "\\\\u0000", "back\\slash", '"quoted"', "100%", "%s %(x)s", "{}"])
def test_text_that_looks_like_an_escape_or_a_placeholder_is_stored_as_it_is(samples, text):
    row = samples.create(metadata={text: text}, text=text)
    assert reread(row).metadata == {text: text}
    assert reread(row).text == text


def test_json_is_normalised_when_written_and_models_are_accepted(samples):
    day = {"monday": [{"start": "14:00", "end": "15:00"}, {"start": "09:00", "end": "10:00"}], "friday": []}
    rows = [samples.create(schedule=given_value) for given_value in (day, WeeklySchedule.model_validate(day))]
    for row in rows:
        assert reread(row).schedule == {"monday": day["monday"][::-1]}
    assert reread(samples.create(blocked=["2026-05-25"])).blocked == [{"start": "2026-05-25", "end": "2026-05-25"}]


def test_json_is_found_by_a_value_that_is_equal_once_normalised(samples):
    row = samples.create(schedule=MORNING)
    assert samples.select().where((samples.id == row.id) & (samples.schedule == (MORNING | {"friday": []}))).exists()


def test_a_driver_json_wrapper_is_checked_like_the_value_in_it(samples):
    row = samples.create(schedule=psycopg2.extras.Json(MORNING | {"friday": []}))
    assert reread(row).schedule == MORNING


def test_several_problems_are_listed_up_to_a_limit_without_the_values():
    value = {"monday": [{"start": f"secret{i}", "end": "10:00"} for i in range(8)]}
    with pytest.raises(InvalidDataError) as refused:
        Sample.schedule.db_value(value)
    assert refused.value.reason.count("must be a time of day") == 5
    assert refused.value.reason.endswith("; and 3 more")
    assert "secret" not in str(refused.value)


def test_endlessly_nested_json_is_refused():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidDataError):
        Sample.metadata.db_value({"a": deep})
    circle = {}
    circle["a"] = circle
    with pytest.raises(InvalidDataError):
        Sample.metadata.db_value(circle)


def test_json_paths_select_compare_and_search(samples):
    row = samples.create(metadata={"a": {"b": [1, 2]}, "name": "x"}, policy={"booking_window_days": 30})
    own = samples.id == row.id
    assert samples.select(samples.metadata["a"]["b"]).where(own).scalar() == [1, 2]
    for condition in (
        samples.metadata["name"] == "x",
        samples.metadata["a"]["b"][0] == 1,
        samples.metadata.path("a", "b") == [1, 2],
        samples.metadata["name"].as_text().in_(["x", "y"]),
        samples.metadata["name"].in_(["x", "y"]),
        samples.metadata["missing"] == None,  # noqa: E711
        samples.policy["booking_window_days"].as_int() > 29,
        samples.policy["booking_window_days"] > 29,
        samples.metadata.contains({"name": "x"}),
        samples.metadata["a"].contains({"b": [2]}),
        samples.metadata.contained_by({"a": {"b": [1, 2, 3]}, "name": "x"}),
        samples.metadata.has_key("a"),
        samples.metadata.has_keys(["a", "name"]),
        samples.metadata.has_any_keys(["z", "name"]),
        samples.metadata["a"]["b"].length() == 2,
    ):
        assert samples.select().where(own & condition).exists()


@walked(
    "change",
    [
        lambda field: field.update({"someday": 1}),
        lambda field: field.append(1),
        lambda field: field["monday"].set(1),
        lambda field: field["monday"].insert(1),
        lambda field: field["monday"].replace(1),
        lambda field: field["monday"].append(1),
        lambda field: field["monday"].remove(),
        lambda field: field.path("monday", 0)["end"].set(1),
    ],
)
def test_a_change_of_a_part_in_sql_is_refused_because_it_would_go_round_the_schema(change):
    with pytest.raises(InvalidDataError, match="assign the whole value"):
        change(Sample.schedule)


def test_a_mutable_default_is_not_shared_between_instances_or_rows(samples):
    for name in ("metadata", "policy"):
        one, other = Sample(), Sample()
        getattr(one, name)["a"] = 1
        assert getattr(other, name) == {}
        assert getattr(Sample(), name) == {}
    samples.insert_many([{"text": "default"}]).execute()
    assert samples.get(text="default").metadata == {}


def test_a_nested_default_is_copied_deeply():
    class Nested(peewee.Model):
        schedule = fields.JSONField(WeeklySchedule, default=MORNING)

    Nested().schedule["monday"].clear()
    assert Nested().schedule == MORNING == {"monday": [{"start": "09:00", "end": "12:00"}]}


def test_a_sub_class_of_a_model_has_working_fields_of_its_own(samples):
    class Special(Sample):
        class Meta:
            table_name = "samples"

    with samples._meta.database.bind_ctx([Special]):
        row = Special.create(schedule=MORNING, colour="red")
        assert Special.get_by_id(row.id).colour is Colour.RED
        with pytest.raises(InvalidDataError, match=r"Special\.schedule"):
            Special.create(schedule=[])


def test_dates_of_the_driver_are_in_utc_because_the_connection_is(samples):
    (moment,) = samples._meta.database.execute_sql("select now()").fetchone()
    assert moment.tzinfo is dt.UTC


class Keeper(peewee.Model):
    metadata = fields.JSONField(Metadata, default=dict)
    schedule = fields.JSONField(WeeklySchedule, default=dict)

    class Meta:
        only_save_dirty = True


@walked(
    "change",
    [
        lambda data: data.update(b=1),
        lambda data: data["list"].append(2),
        lambda data: data["deep"].update(x=True),
        lambda data: data.clear(),
    ],
)
def test_a_change_inside_a_document_is_noticed_once_and_only_in_its_column(change):
    row = Keeper(id=1, metadata={"list": [1], "deep": {"x": 1}})
    row._dirty.clear()
    assert row.schedule == {}
    fields.note_changes_in_place(row)
    assert row._dirty == set()
    change(row.metadata)
    fields.note_changes_in_place(row)
    assert row._dirty == {"metadata"}
    row._dirty.clear()
    fields.note_changes_in_place(row)
    assert row._dirty == set()


def test_reading_a_document_is_no_change():
    row = Keeper(id=1)
    row._dirty.clear()
    assert row.metadata == {}
    fields.note_changes_in_place(row)
    assert row._dirty == set()


def test_a_document_that_could_not_be_stored_is_still_readable_and_counts_as_changed():
    row = Keeper(id=1)
    row.metadata["self"] = row.metadata
    row._dirty.clear()
    assert row.metadata["self"] is row.metadata
    fields.note_changes_in_place(row)
    assert row._dirty == {"metadata"}
    circle = Keeper(id=1, metadata={(1, 2): 3})
    assert circle.metadata == {(1, 2): 3}
