"""The shapes of the jsonb columns, as Pydantic models that dump to the normalised plain JSON that is stored.

Rule: what a schema accepts it brings to one form, and that form is accepted again unchanged. Unknown keys are
refused everywhere but in `OrganizationSettings` and `Metadata`.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictInt,
    StringConstraints,
    model_serializer,
    model_validator,
)

from rayces_core import clock
from rayces_core.errors import InvalidDataError
from rayces_core.fields.countries import is_country
from rayces_core.fields.notices import NoticeSettings
from rayces_core.fields.shape import Shape, TimeOfDay, short_text, time_of_day, time_text
from rayces_core.fields.text import email_problem

END_OF_DAY: Final = "24:00"
MINUTES_PER_DAY: Final = 24 * 60
MOST_BLOCKED: Final = 1000
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DAY_OF_YEAR: Final = re.compile(r"[01][0-9]-[0-3][0-9]")
ISO_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T.*")
URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
SCRIPT_SCHEMES: Final = ("javascript:", "vbscript:")


def _end_of_window(value: str) -> str:
    return value if value == END_OF_DAY else time_of_day(value)


def _day(value: object) -> object:
    is_date = isinstance(value, date) and not isinstance(value, datetime)
    if is_date or (isinstance(value, str) and ISO_DATE.fullmatch(value)):
        return value
    raise ValueError('must be a date such as "2026-05-25"')


def _moment(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and ISO_MOMENT.fullmatch(value)):
        return value
    raise ValueError('must be a moment with its offset such as "2026-05-25T14:30:00Z"')


def _in_utc(value: datetime) -> datetime:
    try:
        return clock.utc(value, "moment")
    except InvalidDataError as error:
        raise ValueError(error.reason) from None


def _email(value: str) -> str:
    address = value.strip().lower()
    if problem := email_problem(address):
        raise ValueError(problem)
    return address


def _url(value: str) -> str:
    if not URL.fullmatch(value) or value.lower().startswith(SCRIPT_SCHEMES):
        raise ValueError('must be an absolute URL such as "https://files.example.org/report.pdf"')
    return value


def _capitals(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _country(value: str) -> str:
    if not is_country(value):
        raise ValueError('must be a country of ISO 3166 such as "AR"')
    return value


def _day_of_year(value: str) -> str:
    if not DAY_OF_YEAR.fullmatch(value):
        raise ValueError('must be a month and a day such as "12-19"')
    try:
        date.fromisoformat(f"2000-{value}")
    except ValueError:
        raise ValueError(f"there is no such day as {value}") from None
    return value


def _untrimmed_refused(value: str) -> str:
    if value != value.strip():
        raise ValueError("must not begin or end with a blank")
    return value


DayOfYear = Annotated[str, AfterValidator(_day_of_year)]
EndOfWindow = Annotated[str, BeforeValidator(time_text), AfterValidator(_end_of_window)]
Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_in_utc)]
Email = Annotated[str, AfterValidator(_email)]
Country = Annotated[str, BeforeValidator(_capitals), AfterValidator(_country)]
Url = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2048), AfterValidator(_url)]


class TimeWindow(Shape):
    """One stretch of a day in wall-clock time, `{"start": "09:00", "end": "12:30"}`; "24:00" may only be an end."""

    start: TimeOfDay
    end: EndOfWindow

    @property
    def start_minute(self) -> int:
        """Minutes from midnight to the start, 0 to 1439."""
        return _minutes(self.start)

    @property
    def end_minute(self) -> int:
        """Minutes from midnight to the end, 1 to 1440; the end itself is outside the window."""
        return _minutes(self.end)

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.end_minute <= self.start_minute:
            raise ValueError(f"the end {self.end} must be after the start {self.start}{self._way_out()}")
        return self

    def _way_out(self) -> str:
        if self.end_minute == self.start_minute:
            return ""
        if self.end_minute == 0:
            return f'; midnight as an end is "{END_OF_DAY}"'
        over = f'"{self.start}" to "{END_OF_DAY}" and, on the next day, "00:00" to "{self.end}"'
        return f"; hours over midnight are two windows, {over}"


def _minutes(value: str) -> int:
    return int(value[:2]) * 60 + int(value[3:])


def _in_order(windows: tuple[TimeWindow, ...]) -> tuple[TimeWindow, ...]:
    ordered = sorted(windows, key=lambda window: window.start_minute)
    for first, second in pairwise(ordered):
        if second.start_minute < first.end_minute:
            raise ValueError(f"{second.start}-{second.end} overlaps {first.start}-{first.end}")
    return tuple(ordered)


DayWindows = Annotated[tuple[TimeWindow, ...], Field(max_length=48), AfterValidator(_in_order)]


class WeeklySchedule(Shape):
    """When a professional works: per weekday the windows of the day, in order and without overlap.

    A weekday without windows is a day off and is left out of the JSON; so nothing at all is `{}`.
    """

    monday: DayWindows = ()
    tuesday: DayWindows = ()
    wednesday: DayWindows = ()
    thursday: DayWindows = ()
    friday: DayWindows = ()
    saturday: DayWindows = ()
    sunday: DayWindows = ()

    def windows_on(self, day: date) -> tuple[TimeWindow, ...]:
        """Give the windows of the weekday that a date falls on."""
        windows: tuple[TimeWindow, ...] = getattr(self, WEEKDAYS[day.weekday()])
        return windows


class BlockedPeriod(Shape):
    """Days without sessions, first and last included. A plain date stands for that one day.

    With `hours` only these hours of each of the days are without, as for a dentist from 10 to 13.
    """

    start: Day
    end: Day
    hours: TimeWindow | None = None
    reason: Annotated[str, short_text(500)] | None = None

    def covers(self, day: date) -> bool:
        """Say whether a date lies in the period."""
        return self.start <= day <= self.end

    @model_validator(mode="before")
    @classmethod
    def _from_one_day(cls, value: object) -> object:
        return {"start": value, "end": value} if isinstance(value, str | date) else value

    @model_validator(mode="after")
    def _ends_on_or_after_start(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"the end {self.end} must not be before the start {self.start}")
        return self


def _by_start(periods: list[BlockedPeriod]) -> list[BlockedPeriod]:
    return sorted(periods, key=_place)


def _place(period: BlockedPeriod) -> tuple[date, date, str, str]:
    return period.start, period.end, period.hours.start if period.hours else "", period.reason or ""


BlockedDates = Annotated[list[BlockedPeriod], Field(max_length=MOST_BLOCKED), AfterValidator(_by_start)]


class DatedSchedule(Shape):
    """A weekly schedule that holds from one day until another, both included, or from then on."""

    start: Day
    end: Day | None = None
    schedule: WeeklySchedule

    @model_validator(mode="after")
    def _ends_on_or_after_start(self) -> Self:
        if self.end is not None and self.end < self.start:
            raise ValueError(f"the end {self.end} must not be before the start {self.start}")
        return self


def _one_after_the_other(schedules: list[DatedSchedule]) -> list[DatedSchedule]:
    ordered = sorted(schedules, key=lambda dated: dated.start)
    for first, second in pairwise(ordered):
        if first.end is None or second.start <= first.end:
            raise ValueError(f"the schedule from {second.start} begins before the one from {first.start} has ended")
    return ordered


DatedSchedules = Annotated[list[DatedSchedule], Field(max_length=100), AfterValidator(_one_after_the_other)]


class DateOverride(Shape):
    """The hours of one date, in place of the weekly ones: more, fewer or, without windows, none."""

    date: Day
    windows: DayWindows = ()
    reason: Annotated[str, short_text(500)] | None = None


def _one_a_date(overrides: list[DateOverride]) -> list[DateOverride]:
    ordered = sorted(overrides, key=lambda override: override.date)
    for first, second in pairwise(ordered):
        if first.date == second.date:
            raise ValueError(f"{first.date} is given twice; put all its windows together")
    return ordered


DateOverrides = Annotated[list[DateOverride], Field(max_length=1000), AfterValidator(_one_a_date)]


class EmergencyContact(Shape):
    """Whom to call about a student."""

    name: Annotated[str, short_text(200)]
    relationship: Annotated[str, short_text(100)]
    phone: Annotated[str, short_text(50)]
    email: Email | None = None


EmergencyContacts = Annotated[list[EmergencyContact], Field(max_length=20)]


class Document(Shape):
    """Where a student's document lies, and since when (in UTC)."""

    url: Url
    uploaded_at: Moment
    kind: Annotated[str, short_text(100)] | None = None


DocumentName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_untrimmed_refused)]
Documents = Annotated[dict[DocumentName, Document], Field(max_length=500)]


class TransitionDetails(Shape):
    """What a change of the journal has overwritten: the values as they were before it."""

    admission_date: Day | None = None
    discharge_date: Day | None = None
    on_leave_until: Day | None = None
    price_cents: Annotated[StrictInt, Field(ge=0)] | None = None
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] | None = None
    scheduled_at: Moment | None = None


Series = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9/-]{0,20}$")]


class OrganizationSettings(Shape):
    """An organization's policy. Only what was given is stored, so a default may still change; other keys are kept."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    cancellation_notice_hours: Annotated[StrictInt, Field(ge=0, le=720)] = 24
    confirmation_hours: Annotated[StrictInt, Field(ge=1, le=720)] = 24
    booking_window_days: Annotated[StrictInt, Field(ge=1, le=730)] = 90
    minimum_notice_minutes: Annotated[StrictInt, Field(ge=0, le=43_200)] = 0
    book_prospects: StrictBool = True
    families_book_groups: StrictBool = True
    # Whether a pre-confirmed appointment reserves what its confirmation takes.
    reserve_credits: StrictBool = True
    correction_days: Annotated[StrictInt, Field(ge=0, le=3660)] = 7
    # Day and month of the last school day, such as "12-19": a series may go on until then.
    school_year_end: DayOfYear | None = None
    # Whose public holidays are closed days, once they are filled in; None is nobody's.
    holiday_country: Country | None = None
    holiday_subdivision: Annotated[str, short_text(20)] | None = None
    reminder_quiet_minutes: Annotated[StrictInt, Field(ge=0, le=43_200)] = 60
    # Who is told of what, over which channel and when not.
    notices: NoticeSettings = NoticeSettings()
    # What invoices say of the centre, and how they are numbered and taxed; a price has its tax in it.
    tax_id: Annotated[str, short_text(50)] | None = None
    tax_basis_points: Annotated[StrictInt, Field(ge=0, le=10_000)] = 0
    invoice_series: Series = ""
    credit_note_series: Series = ""
    invoice_due_days: Annotated[StrictInt, Field(ge=0, le=365)] = 0
    # Whose habits phones and dates of an import are read by; None is the country of the time zone.
    country: Country | None = None
    # Of these None is no limit.
    start_every_minutes: Annotated[StrictInt, Field(ge=1, le=720)] | None = None
    open_holds_per_client: Annotated[StrictInt, Field(ge=1, le=1000)] | None = None
    future_sessions_per_client: Annotated[StrictInt, Field(ge=1, le=10_000)] | None = None
    # Of offers to families that wait for a time: how long one is held, and how far ahead it is at least.
    slot_offer_minutes: Annotated[StrictInt, Field(ge=5, le=10_080)] = 120
    slot_offer_notice_minutes: Annotated[StrictInt, Field(ge=0, le=43_200)] = 120
    slot_offer_keeps_place: StrictBool = False
    # What a feed tells: of so many days that are over, and so many to come.
    calendar_past_days: Annotated[StrictInt, Field(ge=0, le=730)] = 90
    calendar_days_ahead: Annotated[StrictInt, Field(ge=1, le=730)] = 365

    @model_serializer(mode="wrap")
    def _stored(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in plain(self).items() if key in self.model_fields_set}


Feature = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=100)]
# Each once, in order.
Features = Annotated[list[Feature], Field(max_length=100), AfterValidator(lambda given: sorted(set(given)))]
Metadata = dict[str, JsonValue]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
# Each once, in the order of the week.
Weekdays = Annotated[
    list[Weekday], Field(min_length=1), AfterValidator(lambda given: sorted(set(given), key=WEEKDAYS.index))
]
