"""Appointment: a session that a client books for a student with a professional."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from peewee import SQL, Check

from rayces_core.fields import (
    BooleanField,
    EnumField,
    GeneratedDateTimeField,
    IntegerField,
    JSONField,
    StringField,
    TextField,
    UTCDateTimeField,
)
from rayces_core.models.professional import Professional
from rayces_core.models.student import Student
from rayces_core.models.user import User
from rayces_core.schemas import Metadata
from rayces_core.tenancy import TenantForeignKey, TimestampedTenantModel


class AppointmentState(StrEnum):
    """Where an appointment stands."""

    DRAFT = "draft"
    PRE_CONFIRMED = "pre_confirmed"
    CONFIRMED = "confirmed"
    EXECUTED = "executed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self in (AppointmentState.EXECUTED, AppointmentState.CANCELLED, AppointmentState.NO_SHOW)

    @property
    def occupies_time(self) -> bool:
        """Whether the professional's time is taken; drafts and cancelled appointments take none."""
        return self not in (AppointmentState.DRAFT, AppointmentState.CANCELLED)


class Appointment(TimestampedTenantModel):
    """A session at a moment. `professional_id` is the id of the professional's user.

    While the state occupies time, `scheduled_at` to `occupied_until` (the buffer included, the end not) is the
    professional's: the database lets no two overlap.
    """

    professional = TenantForeignKey(Professional, field="user", column_name="professional_id", backref="appointments")
    professional_id: int
    student = TenantForeignKey(Student, backref="appointments")
    student_id: int
    client = TenantForeignKey(User, backref="booked_appointments")
    client_id: int
    scheduled_at = UTCDateTimeField()
    duration_minutes = IntegerField(default=60)
    buffer_minutes = IntegerField(default=0)
    occupied_until = GeneratedDateTimeField(null=True)
    state = EnumField(AppointmentState, default=AppointmentState.DRAFT)
    pre_confirmed_at = UTCDateTimeField(null=True)
    expires_at = UTCDateTimeField(null=True)
    confirmed_at = UTCDateTimeField(null=True)
    executed_at = UTCDateTimeField(null=True)
    no_show_at = UTCDateTimeField(null=True)
    cancelled_at = UTCDateTimeField(null=True)
    cancelled_by = TenantForeignKey(User, backref="cancelled_appointments", null=True)
    cancelled_by_id: int | None
    cancellation_reason = StringField(null=True)
    notes = TextField(null=True)
    professional_notes = TextField(null=True)
    uses_credit = BooleanField(default=False)
    credits_used = IntegerField(default=0)
    metadata: JSONField[dict[str, Any]] = JSONField(Metadata, default=dict)

    class Meta:
        """The table and its rules."""

        table_name = "appointments"
        defaults_in_database = True
        constraints = [
            Check("duration_minutes BETWEEN 15 AND 480", name="appointments_duration_minutes_check"),
            Check("buffer_minutes >= 0", name="appointments_buffer_minutes_check"),
            Check("credits_used >= 0", name="appointments_credits_used_check"),
            Check("jsonb_typeof(metadata) = 'object'", name="appointments_metadata_check"),
            Check(
                "state IN ('draft', 'pre_confirmed', 'confirmed', 'executed', 'cancelled', 'no_show')",
                name="appointments_state_check",
            ),
            Check(
                "state = 'cancelled' OR (pre_confirmed_at IS NOT NULL) = (state <> 'draft')",
                name="appointments_pre_confirmed_at_check",
            ),
            Check("(expires_at IS NULL) = (pre_confirmed_at IS NULL)", name="appointments_expires_at_check"),
            Check(
                "CASE state WHEN 'cancelled' THEN confirmed_at IS NULL OR pre_confirmed_at IS NOT NULL "
                "ELSE (confirmed_at IS NOT NULL) = (state IN ('confirmed', 'executed', 'no_show')) END",
                name="appointments_confirmed_at_check",
            ),
            Check("(executed_at IS NOT NULL) = (state = 'executed')", name="appointments_executed_at_check"),
            Check("(no_show_at IS NOT NULL) = (state = 'no_show')", name="appointments_no_show_at_check"),
            Check("(cancelled_at IS NOT NULL) = (state = 'cancelled')", name="appointments_cancelled_at_check"),
            Check(
                "CASE state WHEN 'cancelled' "
                "THEN cancelled_by_id IS NOT NULL OR coalesce(btrim(cancellation_reason), '') <> '' "
                "ELSE cancelled_by_id IS NULL AND cancellation_reason IS NULL END",
                name="appointments_cancellation_reason_check",
            ),
        ]

    @property
    def ends_at(self) -> datetime:
        """When the session itself ends; the buffer comes after."""
        return self.scheduled_at + timedelta(minutes=self.duration_minutes)


Appointment.add_index(
    Appointment.organization,
    Appointment.professional,
    Appointment.scheduled_at,
    Appointment.state,
    unique=True,
    where=SQL("state IN ('confirmed', 'executed')"),
    name="idx_no_double_booking",
)
