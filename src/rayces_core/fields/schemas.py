"""The shapes of the jsonb columns, as Pydantic models that dump to the normalised plain JSON that is stored.

Rule: what a schema accepts it brings to one form, and that form is accepted again unchanged. Unknown keys are
refused everywhere but in `OrganizationSettings` and `Metadata`.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from itertools import pairwise
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
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
from rayces_core.fields.text import email_problem

TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
END_OF_DAY: Final = "24:00"
MINUTES_PER_DAY: Final = 24 * 60
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
ISO_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T.*")
URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
SCRIPT_SCHEMES: Final = ("javascript:", "vbscript:")


def _time_text(value: object) -> object:
    whole_minutes = isinstance(value, time) and value == time(value.hour, value.minute)
    return value.isoformat("minutes") if isinstance(value, time) and whole_minutes else value


def _time_of_day(value: str) -> str:
    if not TIME_OF_DAY.fullmatch(value):
        raise ValueError('must be a time of day such as "09:30"')
    return value


def _end_of_window(value: str) -> str:
    return value if value == END_OF_DAY else _time_of_day(value)


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


def _untrimmed_refused(value: str) -> str:
    if value != value.strip():
        raise ValueError("must not begin or end with a blank")
    return value


def _text(longest: int) -> Any:
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=longest)


TimeOfDay = Annotated[str, BeforeValidator(_time_text), AfterValidator(_time_of_day)]
EndOfWindow = Annotated[str, BeforeValidator(_time_text), AfterValidator(_end_of_window)]
Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_in_utc)]
Email = Annotated[str, AfterValidator(_email)]
Country = Annotated[str, BeforeValidator(_capitals), AfterValidator(_country)]
Url = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2048), AfterValidator(_url)]


class Shape(BaseModel):
    """Base of the schemas: frozen, no unknown keys; keys without a value are left out of the JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, revalidate_instances="always")

    @model_serializer(mode="wrap")
    def _stored(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in plain(self).items() if value not in (None, [], ())}


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
    """Whole days without sessions, first and last included. A plain date stands for that one day."""

    start: Day
    end: Day
    reason: Annotated[str, _text(500)] | None = None

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
    return sorted(periods, key=lambda period: (period.start, period.end, period.reason or ""))


BlockedDates = Annotated[list[BlockedPeriod], Field(max_length=1000), AfterValidator(_by_start)]


class EmergencyContact(Shape):
    """Whom to call about a student."""

    name: Annotated[str, _text(200)]
    relationship: Annotated[str, _text(100)]
    phone: Annotated[str, _text(50)]
    email: Email | None = None


EmergencyContacts = Annotated[list[EmergencyContact], Field(max_length=20)]


class Document(Shape):
    """Where a student's document lies, and since when (in UTC)."""

    url: Url
    uploaded_at: Moment
    kind: Annotated[str, _text(100)] | None = None


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


class OrganizationSettings(Shape):
    """An organization's policy. Only what was given is stored, so a default may still change; other keys are kept."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    cancellation_notice_hours: Annotated[StrictInt, Field(ge=0, le=720)] = 24
    confirmation_hours: Annotated[StrictInt, Field(ge=1, le=720)] = 24
    booking_window_days: Annotated[StrictInt, Field(ge=1, le=730)] = 90
    minimum_notice_minutes: Annotated[StrictInt, Field(ge=0, le=43_200)] = 0
    book_prospects: StrictBool = True
    correction_days: Annotated[StrictInt, Field(ge=0, le=3660)] = 7
    reminder_quiet_minutes: Annotated[StrictInt, Field(ge=0, le=43_200)] = 60
    # Whose habits phones and dates of an import are read by; None is the country of the time zone.
    country: Country | None = None
    # Of these None is no limit.
    start_every_minutes: Annotated[StrictInt, Field(ge=1, le=720)] | None = None
    open_holds_per_client: Annotated[StrictInt, Field(ge=1, le=1000)] | None = None
    future_sessions_per_client: Annotated[StrictInt, Field(ge=1, le=10_000)] | None = None

    @model_serializer(mode="wrap")
    def _stored(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in plain(self).items() if key in self.model_fields_set}


Metadata = dict[str, JsonValue]
