"""What an organization tells people of: for which event, over which channels, to whom, in which words, and when not."""

from __future__ import annotations

import re
from datetime import time
from itertools import combinations
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    StrictInt,
    StringConstraints,
    model_serializer,
    model_validator,
)

from rayces_core.fields.shape import Shape, TimeOfDay, short_text

REMINDER: Final = "reminder"
CREDITS_EXPIRING: Final = "credits_expiring"
# Of these there are stages.
AHEAD: Final = (REMINDER, CREDITS_EXPIRING)
LONGEST_QUIET_MINUTES: Final = 20 * 60
# What a text may have filled in.
PLACES: Final = frozenset(
    {"name", "student", "professional", "starts_at", "minutes", "expires_at", "organization", "phone", "credits"}
)
OF_CREDITS: Final = frozenset({"name", "credits", "expires_at", "organization", "phone"})
_PLACE: Final = re.compile(r"\{([^{}]*)\}")

Event = Literal["reminder", "booked", "offered", "confirmed", "moved", "cancelled", "credits_expiring"]
Audience = Literal["client", "professional", "second_professional", "second_contact"]
Wording = Literal["reminder", "unconfirmed", "booked", "offered", "confirmed", "moved", "cancelled", "credits_expiring"]
Channel = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


def _places(value: str) -> str:
    unknown = sorted({place for place in _PLACE.findall(value) if place not in PLACES})
    if unknown:
        raise ValueError(f"{{{unknown[0]}}} is not filled in; there are {', '.join(sorted(PLACES))}")
    return value


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


Channels = Annotated[tuple[Channel, ...], Field(min_length=1, max_length=10), AfterValidator(_each_once)]
Audiences = Annotated[tuple[Audience, ...], Field(min_length=1), AfterValidator(_each_once)]
# Channels that a person wants nothing over, each once, in order.
Muted = Annotated[list[Channel], Field(max_length=20), AfterValidator(lambda given: sorted(set(given)))]


class NoticeRule(Shape):
    """Over which channels who is told of an event; of a reminder or of credits that expire, how long before."""

    event: Event
    minutes_before: Annotated[StrictInt, Field(ge=1, le=43_200)] | None = None
    channels: Channels
    to: Audiences = ("client",)

    @model_validator(mode="after")
    def _reminders_have_a_stage(self) -> Self:
        if (self.event in AHEAD) != (self.minutes_before is not None):
            raise ValueError(f"minutes_before is of {' and '.join(AHEAD)}, which need it, and of no other event")
        if self.event == CREDITS_EXPIRING and self.to != ("client",):
            raise ValueError("of credits that expire only the client is told, whose they are")
        return self


class QuietHours(Shape):
    """From when until when nothing is sent, by the organization's clocks; over midnight where the end is earlier."""

    start: TimeOfDay
    end: TimeOfDay

    @property
    def bounds(self) -> tuple[time, time]:
        """Both as times of day."""
        return time.fromisoformat(self.start), time.fromisoformat(self.end)

    @model_validator(mode="after")
    def _leave_time(self) -> Self:
        start, end = (each.hour * 60 + each.minute for each in self.bounds)
        if not 0 < (end - start) % (24 * 60) <= LONGEST_QUIET_MINUTES:
            raise ValueError(f"last at most {LONGEST_QUIET_MINUTES // 60} hours, and end later than they begin")
        return self


class NoticeText(Shape):
    """An organization's own words for a notice, in one language; what stands in braces is filled in."""

    wording: Wording
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]
    subject: Annotated[str, short_text(200), AfterValidator(_places)]
    text: Annotated[str, short_text(2000), AfterValidator(_places)]

    @model_validator(mode="after")
    def _fill_in_what_is_known(self) -> Self:
        known = OF_CREDITS if self.wording == CREDITS_EXPIRING else PLACES - {"credits"}
        unknown = sorted(set(_PLACE.findall(self.subject + self.text)) - known)
        if unknown:
            raise ValueError(f"{{{unknown[0]}}} is not filled in there; there are {', '.join(sorted(known))}")
        return self


def _of_one_each(texts: tuple[NoticeText, ...]) -> tuple[NoticeText, ...]:
    for one, other in combinations(texts, 2):
        if (one.wording, one.language) == (other.wording, other.language):
            raise ValueError(f"{one.wording} is given twice in {one.language}")
    return texts


class NoticeSettings(Shape):
    """All that an organization says of its notices; only what was given is stored. Without rules nobody is told.

    Attributes:
        language: of the texts; without it Spanish where the country speaks it, else English.
        keep_addresses_days: after the session the log keeps addresses so long. keep_days: and the rows themselves.
    """

    rules: Annotated[tuple[NoticeRule, ...], Field(max_length=50)] = ()
    quiet_hours: QuietHours | None = None
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")] | None = None
    texts: Annotated[tuple[NoticeText, ...], Field(max_length=60), AfterValidator(_of_one_each)] = ()
    keep_addresses_days: Annotated[StrictInt, Field(ge=0, le=3660)] = 30
    keep_days: Annotated[StrictInt, Field(ge=0, le=3660)] = 365

    @model_serializer(mode="wrap")
    def _stored(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in plain(self).items() if key in self.model_fields_set}

    def rules_for(self, event: str) -> tuple[NoticeRule, ...]:
        """Those for one event."""
        return tuple(rule for rule in self.rules if rule.event == event)
