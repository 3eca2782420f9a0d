"""OutsideCalendar: a professional's calendar elsewhere, and OutsideBusy: when it says that there is no time."""

from __future__ import annotations

from peewee import Check

from rayces_core.fields import StringField, UTCDateTimeField, settled
from rayces_core.models.professional import Professional
from rayces_core.tenancy.model import TenantForeignKey, TenantModel, TimestampedTenantModel

ADDED = "remove it and add another one with calendars.add_outside_calendar(...)"
READ = "calendars.refresh_calendars() writes these rows"


class OutsideCalendar(TimestampedTenantModel):
    """A calendar elsewhere, read every so often. `professional_id` is the id of the professional's user.

    Attributes:
        url: where it is read; who knows it can read the calendar, so no log, export or archive has it.
        etag, last_modified: what the server said of the version that was read.
        read_at: when all of it was read last. tried_at: when it was asked last.
        failing_since, failure: since when it cannot be read, and why, in words; what was read before still counts.
    """

    professional = settled(
        TenantForeignKey(
            Professional,
            field="user",
            column_name="professional_id",
            backref="outside_calendars",
            on_delete="CASCADE",
        ),
        ADDED,
    )
    professional_id: int
    name = StringField()
    url = settled(StringField(), ADDED)
    etag = StringField(null=True)
    last_modified = StringField(null=True)
    read_at = UTCDateTimeField(null=True)
    tried_at = UTCDateTimeField(null=True)
    failing_since = UTCDateTimeField(null=True)
    failure = StringField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "outside_calendars"
        personal = {"gone": "name url etag last_modified failure"}
        erased_with = "professional_id"
        defaults_in_database = True
        constraints = [
            Check("name = btrim(name) AND name <> '' AND length(name) <= 200", name="outside_calendars_name_check"),
            Check("url ~ '^https?://' AND length(url) <= 2048", name="outside_calendars_url_check"),
            Check("(failing_since IS NULL) = (failure IS NULL)", name="outside_calendars_failing_since_check"),
        ]

    def __repr__(self) -> str:
        return f"<OutsideCalendar {self.id}: {self.name!r}>"


class OutsideBusy(TenantModel):
    """A stretch of time in which a professional has no time, as a calendar elsewhere says."""

    calendar = settled(TenantForeignKey(OutsideCalendar, backref="busy", on_delete="CASCADE"), READ)
    calendar_id: int
    professional = settled(
        TenantForeignKey(
            Professional, field="user", column_name="professional_id", backref="outside_busy", on_delete="CASCADE"
        ),
        READ,
    )
    professional_id: int
    begins_at = settled(UTCDateTimeField(), READ)
    ends_at = UTCDateTimeField()

    class Meta:
        """The table and its rules."""

        table_name = "outside_busy"
        defaults_in_database = True
        constraints = [Check("ends_at > begins_at", name="outside_busy_ends_at_check")]


OutsideCalendar.add_index(
    OutsideCalendar.organization,
    OutsideCalendar.professional,
    OutsideCalendar.url,
    unique=True,
    name="outside_calendars_organization_id_professional_id_url_key",
)
OutsideBusy.add_index(
    OutsideBusy.organization,
    OutsideBusy.calendar,
    OutsideBusy.begins_at,
    unique=True,
    name="outside_busy_organization_id_calendar_id_begins_at_key",
)
OutsideBusy.add_index(
    OutsideBusy.organization,
    OutsideBusy.professional,
    OutsideBusy.ends_at,
    name="index_outside_busy_on_professional_id",
)
