"""ClosedDay: a day on which the whole centre gives no sessions, of its own or a public holiday."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

from peewee import Check

from rayces_core.database.binding import current
from rayces_core.database.snapshots import check_present
from rayces_core.fields import BooleanField, DateField, StringField
from rayces_core.tenancy.model import TimestampedTenantModel
from rayces_core.tenancy.scoping import known_tenant_of

# Whoever books has read the professional's row before and asks for it again: so nobody books by what was before.
_TOUCH: Final = (
    "SELECT 1 FROM professionals WHERE organization_id = %(tenant)s ORDER BY user_id FOR NO KEY UPDATE",
    "UPDATE professionals SET updated_at = updated_at WHERE organization_id = %(tenant)s",
)


class ClosedDay(TimestampedTenantModel):
    """A day without sessions for the whole organization.

    Attributes:
        day: by the organization's calendar. name: as "Independence Day".
        region: whose public holiday it is, as "AR" or "AR-B"; None where the centre decided by itself.
        is_open: the centre works on this holiday nevertheless; so it stays when holidays are filled in again.
    """

    day = DateField()
    name = StringField()
    region = StringField(null=True)
    is_open = BooleanField(default=False)

    affected: tuple[Any, ...] = ()
    """After a save(): the future sessions of that day, of all professionals."""
    affected_groups: tuple[Any, ...] = ()
    """After a save(): the open group sessions of that day, attended or not."""

    class Meta:
        """The table and its rules."""

        table_name = "closed_days"
        personal = {"plain": "name region"}
        defaults_in_database = True
        constraints = [
            Check("name = btrim(name) AND name <> '' AND length(name) <= 200", name="closed_days_name_check"),
            Check("region ~ '^[A-Z]{2}(-.+)?$'", name="closed_days_region_check"),
        ]

    def save(self, force_insert: bool = False, only: Iterable[Any] | None = None) -> int | bool:
        """Write the day; sessions that it hits stay booked, and `affected` and `affected_groups` then list them.

        A booking that was decided before is decided again, so they have every session of that day.

        Raises:
            TransactionFailedError: the unit of work, at REPEATABLE READ or SERIALIZABLE, would not see all of them.
        """
        with current().engine.atomic():
            written = super().save(force_insert, only)
            check_present()
            hold_bookings(known_tenant_of(self) or current().organization_id)
            # The calendar is arithmetic of a layer above, as the effects of a state machine are.
            hits = import_module("rayces_core.scheduling.affected").affected_by_closing
            self.affected, self.affected_groups = ((), ()) if self.is_open else hits(self)
        return written


def hold_bookings(organization_id: int | None) -> None:
    """Have bookings of the organization wait until the transaction ends, and be decided anew."""
    for statement in _TOUCH:
        current().engine.run_prepared(statement, {"tenant": organization_id})


ClosedDay.add_index(ClosedDay.organization, ClosedDay.day, unique=True, name="closed_days_organization_id_day_key")
