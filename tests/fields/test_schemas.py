"""What the jsonb schemas accept, refuse and normalise."""

import json
from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rayces_core.fields.schemas import (
    MINUTES_PER_DAY,
    WEEKDAYS,
    BlockedDates,
    BlockedPeriod,
    Documents,
    EmergencyContacts,
    Metadata,
    OrganizationSettings,
    TimeWindow,
    WeeklySchedule,
)
from tests.walking import walked

CONTACT = {"name": "Ana Paz", "relationship": "aunt", "phone": "+54 11 5555 0101"}
DOCUMENT = {"url": "https://files.example.org/report.pdf", "uploaded_at": "2026-05-25T14:30:00Z"}


def stored(schema, value):
    """The plain JSON that a column of this schema would hold."""
    adapter = TypeAdapter(schema)
    return adapter.dump_python(adapter.validate_python(value), mode="json")


def refusal(schema, value):
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(schema).validate_python(value)
    return str(refused.value)


# -- strategies -------------------------------------------------------------------------------------------------------


def clock_text(minute):
    return f"{minute // 60:02}:{minute % 60:02}"


@st.composite
def separate_windows(draw):
    """Windows of one day that do not overlap, in any order."""
    edges = sorted(draw(st.sets(st.integers(0, MINUTES_PER_DAY), max_size=12)))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    return draw(st.permutations([{"start": clock_text(first), "end": clock_text(last)} for first, last in pairs]))


schedules = st.dictionaries(st.sampled_from(WEEKDAYS), separate_windows())
short_text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda text: text.strip())
day_ranges = st.tuples(st.dates(), st.dates()).map(sorted)
blocked = st.lists(
    st.one_of(
        st.dates(),
        st.dates().map(date.isoformat),
        day_ranges.map(lambda days: {"start": days[0], "end": days[1].isoformat()}),
        st.builds(lambda days, reason: {"start": days[0], "end": days[1], "reason": reason}, day_ranges, short_text),
    ),
    max_size=8,
)
contacts = st.lists(
    st.fixed_dictionaries(
        {"name": short_text, "relationship": short_text, "phone": short_text},
        optional={"email": st.sampled_from(["ana@example.org", " Ana@Example.ORG "])},
    ),
    max_size=5,
)
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.timezones())
documents = st.dictionaries(
    short_text.map(str.strip),
    st.fixed_dictionaries(
        {"url": st.sampled_from(["https://a.example/x?y=1", "s3://bucket/key"]), "uploaded_at": moments},
        optional={"kind": short_text},
    ),
    max_size=4,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
own_keys = st.text().filter(lambda key: key not in OrganizationSettings.model_fields)
settings = st.builds(
    lambda known, own: own | known,
    st.fixed_dictionaries(
        {},
        optional={
            "cancellation_notice_hours": st.integers(0, 720),
            "confirmation_hours": st.integers(1, 720),
            "booking_window_days": st.integers(1, 730),
            "minimum_notice_minutes": st.integers(0, 43_200),
            "book_prospects": st.booleans(),
        },
    ),
    st.dictionaries(own_keys, json_values, max_size=3),
)


# -- every schema -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(
    st.one_of(
        st.tuples(st.just(WeeklySchedule), schedules),
        st.tuples(st.just(BlockedDates), blocked),
        st.tuples(st.just(EmergencyContacts), contacts),
        st.tuples(st.just(Documents), documents),
        st.tuples(st.just(OrganizationSettings), settings),
        st.tuples(st.just(Metadata), st.dictionaries(st.text(), json_values, max_size=4)),
    )
)
def test_the_stored_form_is_plain_json_and_is_accepted_again_unchanged(schema_and_value):
    schema, value = schema_and_value
    first = stored(schema, value)
    assert json.loads(json.dumps(first)) == first
    assert stored(schema, first) == first


@walked(
    "schema, value",
    [
        (WeeklySchedule, {"monday": [], "someday": []}),
        (WeeklySchedule, {"monday": [{"start": "09:00", "end": "10:00", "room": 3}]}),
        (BlockedDates, [{"start": "2026-01-01", "end": "2026-01-02", "who": "me"}]),
        (EmergencyContacts, [CONTACT | {"age": 3}]),
        (Documents, {"report": DOCUMENT | {"size": 3}}),
    ],
)
def test_an_unknown_key_is_refused(schema, value):
    assert "Extra inputs are not permitted" in refusal(schema, value)


# -- weekly schedule --------------------------------------------------------------------------------------------------


@given(schedules)
def test_a_schedule_keeps_every_window_sorts_each_day_and_leaves_out_days_off(schedule):
    result = stored(WeeklySchedule, schedule)
    assert set(result) == {day for day, windows in schedule.items() if windows}
    for day, windows in result.items():
        assert windows == sorted(schedule[day], key=lambda window: window["start"])


@given(
    st.lists(
        st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda w: w[0] < w[1]), min_size=2, max_size=5
    )
)
def test_a_day_is_accepted_exactly_when_no_minute_lies_in_two_windows(windows):
    minutes = [minute for first, last in windows for minute in range(first, last)]
    value = {"friday": [{"start": clock_text(first), "end": clock_text(last)} for first, last in windows]}
    if len(minutes) == len(set(minutes)):
        assert len(stored(WeeklySchedule, value)["friday"]) == len(windows)
    else:
        assert "overlaps" in refusal(WeeklySchedule, value)


@given(st.integers(0, 1439), st.integers(0, 1440))
def test_a_window_ends_after_it_starts(first, last):
    value = {"start": clock_text(first), "end": clock_text(last)}
    if first < last:
        window = TimeWindow.model_validate(value)
        assert (window.start_minute, window.end_minute) == (first, last)
    else:
        assert "must be after the start" in refusal(TimeWindow, value)


def test_midnight_as_24_00_is_an_end_but_no_start():
    assert TimeWindow(start="22:00", end="24:00").end_minute == MINUTES_PER_DAY
    assert "time of day" in refusal(TimeWindow, {"start": "24:00", "end": "24:00"})


def test_windows_may_touch():
    windows = [{"start": "09:00", "end": "12:00"}, {"start": "12:00", "end": "13:00"}]
    assert stored(WeeklySchedule, {"monday": windows}) == {"monday": windows}


@walked(
    "text",
    ["9:00", "09:60", "25:00", "09:00:00", "24:01", "09.00", " 09:00", "09:00\n", "\u0660\u0669:\u0660\u0660", ""],
)
def test_a_malformed_time_of_day_is_refused(text):
    assert "time of day" in refusal(TimeWindow, {"start": text, "end": "23:00"})
    assert "time of day" in refusal(TimeWindow, {"start": "00:00", "end": text})


def test_a_time_object_of_whole_minutes_is_accepted_and_one_with_seconds_or_zone_is_not():
    assert stored(TimeWindow, {"start": time(9), "end": time(12, 30)}) == {"start": "09:00", "end": "12:30"}
    refusal(TimeWindow, {"start": time(9, 0, 1), "end": "12:00"})
    refusal(TimeWindow, {"start": time(9, tzinfo=UTC), "end": "12:00"})


def test_windows_on_gives_the_windows_of_the_weekday_of_a_date():
    schedule = WeeklySchedule.model_validate({"monday": [{"start": "09:00", "end": "12:00"}]})
    assert [window.start for window in schedule.windows_on(date(2026, 5, 25))] == ["09:00"]
    assert schedule.windows_on(date(2026, 5, 26)) == ()


# -- blocked dates ----------------------------------------------------------------------------------------------------


@given(st.dates())
def test_a_plain_date_blocks_that_one_day(day):
    expected = [{"start": day.isoformat(), "end": day.isoformat()}]
    assert stored(BlockedDates, [day]) == stored(BlockedDates, [day.isoformat()]) == expected


@given(st.dates(), st.dates(), st.dates())
def test_a_period_covers_its_first_and_last_day_and_those_between(one, other, day):
    first, last = sorted((one, other))
    period = BlockedPeriod(start=first, end=last)
    assert period.covers(first)
    assert period.covers(last)
    assert period.covers(day) == (first <= day <= last)


@given(day_ranges.filter(lambda days: days[0] != days[1]))
def test_a_period_that_ends_before_it_starts_is_refused(days):
    assert "must not be before the start" in refusal(BlockedDates, [{"start": days[1], "end": days[0]}])


@given(blocked)
def test_blocked_periods_are_kept_and_ordered_by_start(periods):
    result = stored(BlockedDates, periods)
    assert len(result) == len(periods)
    assert [period["start"] for period in result] == sorted(period["start"] for period in result)


@walked("value", ["2026-02-30", "25/05/2026", "2026-5-25", "2026-05-25T00:00", "today", datetime(2026, 5, 25)])
def test_what_is_no_calendar_day_is_refused(value):
    refusal(BlockedDates, [value])
    refusal(BlockedDates, [{"start": value, "end": "2026-12-31"}])


@walked("value", [5, 1_764_201_600, None, ["2026-05-25"], {"start": "2026-05-25"}])
def test_a_period_of_another_form_is_refused(value):
    refusal(BlockedDates, [value])


# -- contacts and documents -------------------------------------------------------------------------------------------


@walked("key", CONTACT)
@walked("value", ["", "   ", None, 5, "x" * 201])
def test_a_contact_needs_name_relationship_and_phone_of_sensible_length(key, value):
    assert key in refusal(EmergencyContacts, [CONTACT | {key: value}])


@walked("missing", CONTACT)
def test_a_contact_without_a_required_key_is_refused(missing):
    refusal(EmergencyContacts, [{key: value for key, value in CONTACT.items() if key != missing}])


def test_a_contact_is_trimmed_and_its_email_normalised():
    value = CONTACT | {"name": "  Ana Paz ", "email": " Ana@Example.ORG"}
    assert stored(EmergencyContacts, [value]) == [CONTACT | {"email": "ana@example.org"}]


def test_a_contact_with_a_malformed_email_is_refused():
    assert "e-mail" in refusal(EmergencyContacts, [CONTACT | {"email": "ana"}])


def test_at_most_twenty_contacts_are_kept():
    assert len(stored(EmergencyContacts, [CONTACT] * 20)) == 20
    refusal(EmergencyContacts, [CONTACT] * 21)


def test_a_document_moment_is_stored_in_utc():
    local = datetime(2026, 5, 25, 11, 30, tzinfo=timezone(timedelta(hours=-3)))
    for moment in (local, local.isoformat()):
        assert stored(Documents, {"report": DOCUMENT | {"uploaded_at": moment}}) == {"report": DOCUMENT}


@walked(
    "moment",
    [
        "2026-05-25T14:30:00",
        datetime(2026, 5, 25),
        "2026-05-25",
        1_764_201_600,
        "1764201600",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_a_document_moment_that_is_naive_or_a_number_is_refused(moment):
    assert "report.uploaded_at" in refusal(Documents, {"report": DOCUMENT | {"uploaded_at": moment}})


@walked("url", ["", "report.pdf", "/files/1", "javascript:alert(1)", "JavaScript://%0aalert(1)", "https://a b"])
def test_a_document_needs_an_absolute_url_that_runs_nothing(url):
    assert "absolute URL" in refusal(Documents, {"report": DOCUMENT | {"url": url}})


@walked("name", ["", " report", "report ", "x" * 201])
def test_a_document_name_is_not_blank_and_not_padded_so_no_two_collapse_into_one(name):
    refusal(Documents, {name: DOCUMENT})


# -- organization settings and metadata -------------------------------------------------------------------------------


def test_settings_have_defaults_that_are_not_stored():
    policy = OrganizationSettings()
    assert (policy.cancellation_notice_hours, policy.confirmation_hours, policy.book_prospects) == (24, 24, True)
    assert stored(OrganizationSettings, {}) == {}


@given(settings)
def test_settings_store_exactly_what_was_given(value):
    assert stored(OrganizationSettings, value) == value


@given(settings)
def test_settings_validated_twice_still_store_only_what_was_given(value):
    policy = OrganizationSettings.model_validate(value)
    assert stored(OrganizationSettings, policy) == value


@walked(
    "key, value",
    [
        ("cancellation_notice_hours", -1),
        ("cancellation_notice_hours", "24"),
        ("cancellation_notice_hours", True),
        ("cancellation_notice_hours", 24.0),
        ("cancellation_notice_hours", None),
        ("confirmation_hours", 0),
        ("confirmation_hours", 721),
        ("booking_window_days", 0),
        ("booking_window_days", 731),
        ("minimum_notice_minutes", -1),
        ("minimum_notice_minutes", 43_201),
        ("book_prospects", 1),
        ("book_prospects", "yes"),
    ],
)
def test_a_known_setting_of_the_wrong_type_or_range_is_refused(key, value):
    assert key in refusal(OrganizationSettings, {key: value})


@walked("schema", [OrganizationSettings, Metadata])
@walked("value", [object(), datetime(2026, 5, 25, tzinfo=UTC), {1, 2}, b"x"])
def test_an_open_schema_still_takes_json_values_only(schema, value):
    refusal(schema, {"own": value})


@walked("value", [[], "x", 5, None, True])
def test_metadata_and_settings_are_objects(value):
    refusal(Metadata, value)
    refusal(OrganizationSettings, value)
