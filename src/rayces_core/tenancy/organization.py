"""Organization: a centre that gives sessions, and the tenant that every other row belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from peewee import Check

from rayces_core import clock
from rayces_core.database.binding import bound_here, current
from rayces_core.database.tenants import use_organization_model
from rayces_core.errors import InvalidDataError, RaycesError, TenancyError
from rayces_core.fields import (
    BooleanField,
    CurrencyField,
    EmailField,
    IdField,
    JSONField,
    StringField,
    TextField,
    TimeZoneField,
    UTCDateTimeField,
)
from rayces_core.fields.countries import country_of
from rayces_core.fields.schemas import OrganizationSettings
from rayces_core.tenancy.queries import forget_organizations
from rayces_core.tenancy.scoped import ScopedModel

# Zones that a server has said it knows; what it knows is known to its engine for good.
_known_zones: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
NOT_RECOGNISED = "22023"


def day_begins(day: str, zone: str) -> str:
    """SQL: the first moment of a day on the wall clocks of a zone, as `Organization.local_days` has it.

    It is after the last moment of the day before: where clocks go back to midnight there are two, and PostgreSQL takes
    the later one.
    """
    return f"((({day})::timestamp - interval '1 microsecond') AT TIME ZONE {zone} + interval '1 microsecond')"


class ServerTimeZoneField(TimeZoneField[str]):
    """A time zone that the server knows too, however it comes into the column: days of admission are counted there."""

    def db_value(self, value: Any) -> Any:
        """Give the name; raises `InvalidDataError` for one that Python or the server does not know."""
        zone = super().db_value(value)
        if bound_here() is not None:  # where nothing is bound nothing is written
            _check_zone(zone)
        return zone


class Organization(ScopedModel):
    """A centre; its own id is what holds its rows together. Made by `Database.create_organization`.

    In a tenant's block the only one there is is the tenant's own. `moving` says how far it is on its way to another
    database, `moving_cell` which one; only `cells.move` writes them.
    """

    id = IdField()
    name = StringField()
    subdomain = StringField()
    time_zone = ServerTimeZoneField(default="America/Argentina/Buenos_Aires")
    currency = CurrencyField(default="ARS")
    settings: JSONField[dict[str, Any]] = JSONField(OrganizationSettings, default=dict)
    active = BooleanField(default=True)
    email = EmailField(null=True)
    phone = StringField(null=True)
    address = TextField(null=True)
    created_at = UTCDateTimeField(default=clock.now)
    updated_at = UTCDateTimeField(default=clock.now)
    moving = StringField(null=True)
    moving_cell = StringField(null=True)

    class Meta:
        """The table and its rules; the organization's own id is what holds it."""

        tenant_column = "id"
        tenant_field = "id"
        table_name = "organizations"
        personal = {"plain": "name subdomain time_zone currency settings email phone address moving moving_cell"}
        defaults_in_database = True
        constraints = [
            Check("btrim(name) <> ''", name="organizations_name_check"),
            Check(
                "length(subdomain) <= 63 AND subdomain ~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$'",
                name="organizations_subdomain_check",
            ),
            Check("btrim(time_zone) <> ''", name="organizations_time_zone_check"),
            Check("currency ~ '^[A-Z]{3}$'", name="organizations_currency_check"),
            Check("jsonb_typeof(settings) = 'object'", name="organizations_settings_check"),
            Check(
                "CASE WHEN moving IS NULL THEN moving_cell IS NULL "
                "ELSE moving IN ('leaving', 'arriving', 'opening', 'left') AND moving_cell IS NOT NULL END",
                name="organizations_moving_check",
            ),
        ]

    def save(self, force_insert: bool = False, only: Iterable[Any] | None = None) -> int | bool:
        """Write the organization; only privileged work may insert one."""
        if (force_insert or self._pk is None) and not current().privileged:
            raise TenancyError("an organization is made by db.create_organization(...) or in a privileged block")
        written = super().save(force_insert, only)
        forget_organizations()
        return written

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which the organization's wall clocks, schedules and days are read."""
        return ZoneInfo(self.time_zone)

    def local_days(self, first: date, days: int = 1) -> tuple[datetime, datetime]:
        """When a day of the organization's wall clocks begins and the next one does; or so many days from it on.

        Raises:
            InvalidDataError: `days` is less than 1, or there is no such day any more.
        """
        try:
            begins, ends = (datetime.combine(day, time.min, self.zone) for day in (first, first + timedelta(days=days)))
            if begins < ends:
                return begins.astimezone(UTC), ends.astimezone(UTC)
        except OverflowError:
            pass
        raise InvalidDataError("days", days, "needs a day of the calendar and at least one day from it on")

    @property
    def country(self) -> str | None:
        """The two letters of its country: its setting, else that of its time zone; None where neither tells one."""
        return self.policy.country or country_of(self.time_zone)

    @property
    def policy(self) -> OrganizationSettings:
        """The settings with the defaults filled in."""
        return OrganizationSettings.model_validate(self.settings)


def taken_apart() -> list[int | None]:
    """Whose rows work in one statement is done for, one after the other; [None]: at once for all that are bound.

    In privileged work with Citus, which locks and joins the rows of one organization alone, it is each of them.
    """
    binding = current()
    if not (binding.privileged and binding.engine.kind.binds_apart):
        return [None]
    return [key for (key,) in binding.engine.run_prepared("SELECT id FROM organizations ORDER BY id", ()).fetchall()]


def on_their_way() -> list[int]:
    """In privileged work: the organizations that are moved to another cell, or have left a copy here.

    Nobody writes their rows in this database, so a sweep over all that met one of them would fail for every other.
    """
    binding = current()
    if not binding.privileged or binding.engine.kind.binds_apart:  # from or to Citus none is moved
        return []
    found = binding.engine.run_prepared("SELECT id FROM organizations WHERE moving IS NOT NULL", ())
    return [key for (key,) in found.fetchall()]


def _check_zone(zone: str | None) -> None:
    """Refuse a zone that Python knows and the server does not."""
    engine = current().engine
    known = _known_zones.setdefault(engine, {str(Organization.time_zone.default), "UTC"})
    if zone is None or zone in known:
        return
    try:
        with engine.atomic() if engine.holder_of_transaction() is not None else nullcontext():
            engine.run_prepared("SELECT timestamptz 'epoch' AT TIME ZONE %s", (zone,))
    except RaycesError as error:
        if error.sqlstate != NOT_RECOGNISED:
            raise
        reason = f"{zone!r} is not known to this PostgreSQL; use another name of the zone, or update its tzdata"
        raise InvalidDataError("Organization.time_zone", zone, reason) from error
    known.add(zone)


Organization.add_index(Organization.subdomain, unique=True, name="organizations_subdomain_key")
use_organization_model(Organization)
