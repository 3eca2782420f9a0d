"""AppointmentSeries: the rule by which appointments recur; each of them says which occurrence it is."""

from __future__ import annotations

from typing import Any

from peewee import SQL, Check

from rayces_core.fields import StringField, UTCDateTimeField, settled
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel

CHANGED = "change a series with scheduling.reschedule_series(appointment, start, ...)"


class AppointmentSeries(TimestampedTenantModel):
    """A series as it was booked, up to where it was changed.

    Attributes:
        rule: when it recurs, an RRULE of RFC 5545 without a DTSTART: "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=20".
        starts_at: its first occurrence. time_zone: whose wall clock the rule is read by.
        ends_before: no occurrence is from this moment on, as it was cancelled or changed; None where it was not.
        follows: the series that this one was split from by a change.
    """

    rule = settled(StringField(), CHANGED)
    starts_at = settled(UTCDateTimeField(), CHANGED)
    time_zone = settled(StringField(), CHANGED)
    ends_before = settled(UTCDateTimeField(null=True), CHANGED)
    follows = settled(TenantForeignKey("self", backref="followers", null=True), CHANGED)
    follows_id: int | None

    class Meta:
        """The table and its rules."""

        table_name = "appointment_series"
        personal = {"plain": "rule time_zone"}
        defaults_in_database = True
        constraints = [
            Check("rule ~ '^FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)(;|$)'", name="appointment_series_rule_check"),
            Check("ends_before >= starts_at", name="appointment_series_ends_before_check"),
            Check("follows_id <> id", name="appointment_series_follows_id_check"),
        ]


AppointmentSeries.add_index(
    AppointmentSeries.organization,
    AppointmentSeries.follows,
    name="index_appointment_series_on_follows_id",
    where=AppointmentSeries.follows.is_null(False),
)


def occurrence_check(table: str) -> Any:
    """What is of a series is one of its occurrences."""
    return Check("(series_id IS NULL) = (occurrence_at IS NULL)", name=f"{table}_occurrence_at_check")


def add_occurrence_index(model: Any) -> None:
    """An occurrence of a series is one row."""
    model.add_index(
        model.organization,
        model.series,
        model.occurrence_at,
        unique=True,
        where=SQL("series_id IS NOT NULL"),
        name=f"{model._meta.table_name}_organization_id_series_id_occurrence_at_key",
    )
