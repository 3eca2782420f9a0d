"""Professional: the working profile of a user who gives sessions."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from peewee import Check
from pydantic import TypeAdapter

from rayces_core.database.binding import current
from rayces_core.database.snapshots import check_present
from rayces_core.fields import (
    BooleanField,
    CurrencyField,
    IntegerField,
    JSONField,
    StringField,
    TextField,
    note_changes_in_place,
)
from rayces_core.fields.schemas import BlockedDates, BlockedPeriod, DatedSchedules, DateOverrides, WeeklySchedule
from rayces_core.models.external_ids import add_external_id_index, external_id_check
from rayces_core.models.user import User
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect

_blocked_dates: TypeAdapter[list[BlockedPeriod]] = TypeAdapter(BlockedDates)


# What a saved professional may change that future sessions do not fit any more.
HITTING: Final = ("active", "blocked_dates", "weekly_schedule", "dated_schedules", "date_overrides")


class Professional(TimestampedTenantModel):
    """When, for how long and at what price a user gives sessions; one profile per user.

    Attributes:
        weekly_schedule: the hours of each weekday. dated_schedules: weekly schedules that hold from one day until
            another instead. date_overrides: the hours of single dates, instead of both.
        blocked_dates: days, or hours of days, without sessions, whatever the schedules say.
        buffer_before_minutes, buffer_minutes: kept free before and after a session, as for the way there.
    """

    user = TenantForeignKey(User, backref="professional_profiles")
    user_id: int
    title = StringField(null=True)
    specialization = StringField(null=True)
    bio = TextField(null=True)
    license_number = StringField(null=True)
    weekly_schedule: JSONField[dict[str, Any]] = JSONField(WeeklySchedule, default=dict)
    blocked_dates: JSONField[list[Any]] = JSONField(BlockedDates, default=list)
    dated_schedules: JSONField[list[Any]] = JSONField(DatedSchedules, default=list)
    date_overrides: JSONField[list[Any]] = JSONField(DateOverrides, default=list)
    session_duration_minutes = IntegerField(default=60, between=(15, 480))
    buffer_minutes = IntegerField(default=15, between=(0, 1440))
    buffer_before_minutes = IntegerField(default=0, between=(0, 1440))
    active = BooleanField(default=True)
    accepts_new_clients = BooleanField(default=True)
    session_price_cents = IntegerField(null=True, between=(0, 2**31 - 1))
    currency = CurrencyField(default="ARS")
    external_id = StringField(null=True)

    affected: tuple[Any, ...] = ()
    """After a save() that deactivated, or changed blocked dates or schedule: the future sessions that it hits."""
    affected_groups: tuple[Any, ...] = ()
    """After such a save(): the open group sessions that it hits, attended or not."""

    if TYPE_CHECKING:  # rows of models that know this one, and not the other way round
        appointments: TenantSelect[Any]

    class Meta:
        """The table and its rules."""

        table_name = "professionals"
        personal = {
            "own": "title specialization license_number blocked_dates external_id",
            "own_words": "bio",
            "plain": "weekly_schedule currency dated_schedules date_overrides",
        }
        merging = {"refused": "user_id"}
        erased_as = {"blocked_dates": "'[]'", "active": "false", "accepts_new_clients": "false"}
        defaults_in_database = True
        constraints = [
            Check("jsonb_typeof(weekly_schedule) = 'object'", name="professionals_weekly_schedule_check"),
            Check("jsonb_typeof(blocked_dates) = 'array'", name="professionals_blocked_dates_check"),
            Check("jsonb_typeof(dated_schedules) = 'array'", name="professionals_dated_schedules_check"),
            Check("jsonb_typeof(date_overrides) = 'array'", name="professionals_date_overrides_check"),
            Check("session_duration_minutes BETWEEN 15 AND 480", name="professionals_session_duration_minutes_check"),
            Check("buffer_minutes BETWEEN 0 AND 1440", name="professionals_buffer_minutes_check"),
            Check("buffer_before_minutes BETWEEN 0 AND 1440", name="professionals_buffer_before_minutes_check"),
            Check("session_price_cents >= 0", name="professionals_session_price_cents_check"),
            Check("currency ~ '^[A-Z]{3}$'", name="professionals_currency_check"),
            external_id_check("professionals"),
        ]

    def save(self, force_insert: bool = False, only: Iterable[Any] | None = None) -> int | bool:
        """Write the professional; what hits future sessions is saved all the same, and `affected` then lists them.

        Open groups are `affected_groups`. That takes two more queries (and one for each of the two that has some, where
        the calendar has changed), in no other save, and in a unit of work one more. See `scheduling.affected_by`.

        Raises:
            TransactionFailedError: the unit of work, at REPEATABLE READ or SERIALIZABLE, would not see all of them.
        """
        only = None if only is None else list(only)
        changed = () if force_insert or self.id is None else self._hitting(only)
        if changed and current().engine.session.in_transaction:
            check_present()
        written = super().save(force_insert, only)
        # The calendar is arithmetic of a layer above, as the effects of a state machine are.
        hits = import_module("rayces_core.scheduling.affected").affected_by_change
        self.affected, self.affected_groups = hits(self, changed) if changed else ((), ())
        return written

    def _hitting(self, only: Iterable[Any] | None) -> tuple[str, ...]:
        note_changes_in_place(self)
        named = self.dirty_field_names if only is None else [f if isinstance(f, str) else f.name for f in only]
        return tuple(name for name in HITTING if name in named and not (name == "active" and self.active))

    @property
    def schedule(self) -> WeeklySchedule:
        """The weekly schedule as an object, in the organization's wall-clock time."""
        return WeeklySchedule.model_validate(self.weekly_schedule)

    @property
    def blocked_periods(self) -> list[BlockedPeriod]:
        """The blocked dates as objects, by start."""
        return _blocked_dates.validate_python(self.blocked_dates)


Professional.add_index(
    Professional.organization, Professional.user, unique=True, name="professionals_organization_id_user_id_key"
)
add_external_id_index(Professional)
