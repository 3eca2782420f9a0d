"""Records of what is booked, and what is waited for."""

from __future__ import annotations

from typing import Final

from rayces_core.exporting.records.shape import (
    BOOLEAN,
    DATE,
    DOCUMENT,
    ID,
    INTEGER,
    MOMENT,
    MONEY,
    STAMPS,
    Column,
    Record,
    columns,
    joined,
)
from rayces_core.models import Appointment, AppointmentSeries, GroupSession, SlotRequest

# What a session holds besides its professional.
_BESIDE: Final = (Column("second_professional", "q.email"), Column("room", "w.name"), Column("device", "d.name"))
_JOINED_BESIDE: Final = " ".join(
    (
        joined("second_professional_id", "q"),
        joined("room_id", "w", "resources"),
        joined("device_id", "d", "resources"),
    )
)

# Which series it is of, which of its occurrences, and which series that one was split from.
_OF_SERIES: Final = (
    Column("series_rule", "x.rule"),
    Column("series_starts_at", "x.starts_at", MOMENT),
    Column("series_time_zone", "x.time_zone"),
    Column("series_ends_before", "x.ends_before", MOMENT),
    *columns("occurrence_at", MOMENT),
    Column("series_follows_rule", "f.rule"),
    Column("series_follows_starts_at", "f.starts_at", MOMENT),
    Column("series_follows_time_zone", "f.time_zone"),
    Column("series_follows_ends_before", "f.ends_before", MOMENT),
)

CALENDAR: Final = (
    Record(
        "slot_requests",
        SlotRequest,
        (
            Column("client", "c.email"),
            Column("student_first_name", "s.first_name"),
            Column("student_last_name", "s.last_name"),
            Column("student_date_of_birth", "s.date_of_birth", DATE),
            Column("professional", "p.email"),
            Column("service_name", "v.name"),
            *columns("duration_minutes", INTEGER),
            *columns("weekdays", DOCUMENT),
            *columns("from_time until_time"),
            *columns("from_day until_day", DATE),
            *columns("uses_credit", BOOLEAN),
            *columns("state"),
            *columns("place_at", MOMENT),
            *columns("id student_id", INTEGER),
            *STAMPS,
        ),
        joins=" ".join(
            (
                joined("client_id", "c"),
                joined("student_id", "s", "students"),
                joined("professional_id", "p"),
                joined("service_id", "v", "services"),
            )
        ),
        state="state",
        people=("client", "professional"),
    ),
    Record(
        "appointments",
        Appointment,
        (
            Column("professional", "p.email"),
            Column("student_first_name", "s.first_name"),
            Column("student_last_name", "s.last_name"),
            Column("student_date_of_birth", "s.date_of_birth", DATE),
            Column("client", "c.email"),
            *columns("scheduled_at", MOMENT),
            Column("service_name", "v.name"),
            *_BESIDE,
            *columns("duration_minutes buffer_minutes buffer_before_minutes", INTEGER),
            *columns("state notes professional_notes"),
            *columns("pre_confirmed_at expires_at confirmed_at executed_at no_show_at cancelled_at", MOMENT),
            Column("cancelled_by", "b.email"),
            *columns("cancellation_reason"),
            *columns("uses_credit allows_overlap", BOOLEAN),
            Column("price", "t.price_cents", MONEY),
            *columns("currency"),
            *columns("created_at", MOMENT),
            *columns("created_at_made_up", BOOLEAN),
            *_OF_SERIES,
            Column("group_session_at", "g.scheduled_at", MOMENT),
            *columns("external_id"),
            *columns("id student_id credits_used reserved_credits group_session_id seat series_id", INTEGER),
            *columns("metadata", DOCUMENT),
            *columns("updated_at", MOMENT),
        ),
        joins=" ".join(
            (
                joined("professional_id", "p"),
                joined("student_id", "s", "students"),
                joined("client_id", "c"),
                joined("cancelled_by_id", "b"),
                joined("service_id", "v", "services"),
                _JOINED_BESIDE,
                joined("series_id", "x", "appointment_series"),
                "LEFT JOIN appointment_series AS f ON f.organization_id = t.organization_id AND f.id = x.follows_id",
                joined("group_session_id", "g", "group_sessions"),
            )
        ),
        when="scheduled_at",
        state="state",
        people=("professional", "client"),
    ),
    Record(
        "group_sessions",
        GroupSession,
        (
            Column("professional", "p.email"),
            *columns("name"),
            *columns("scheduled_at", MOMENT),
            *columns("duration_minutes buffer_minutes capacity open_seats", INTEGER),
            *columns("state"),
            *columns("cancelled_at", MOMENT),
            Column("cancelled_by", "b.email"),
            *columns("cancellation_reason"),
            *_BESIDE,
            *ID,
            *STAMPS,
        ),
        joins=" ".join((joined("professional_id", "p"), joined("cancelled_by_id", "b"), _JOINED_BESIDE)),
        when="scheduled_at",
        state="state",
        people=("professional",),
    ),
    Record(
        "appointment_series",
        AppointmentSeries,
        (
            *columns("rule"),
            *columns("starts_at", MOMENT),
            *columns("time_zone"),
            *columns("ends_before", MOMENT),
            *columns("follows_id", INTEGER),
            *ID,
            *STAMPS,
        ),
        when="starts_at",
    ),
)
