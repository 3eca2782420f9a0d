"""Public holidays as closed days: rows, so that whoever reads the database sees what was decided.

Rule it guards: filled in again they are the same, and a day that the centre decided on itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from importlib import import_module
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, MissingExtraError, TenantNotSetError
from rayces_core.models.closed_day import ClosedDay, hold_bookings
from rayces_core.tenancy.organization import Organization

# A day of the centre's own, or one that it works on, is kept.
FILLED: Final = """
INSERT INTO closed_days (organization_id, day, name, region, created_at, updated_at)
SELECT %(tenant)s, given.day, given.name, %(region)s, %(now)s, %(now)s
  FROM unnest(%(days)s::date[], %(names)s::varchar[]) AS given(day, name)
ON CONFLICT (organization_id, day) DO UPDATE SET name = excluded.name, region = excluded.region,
    updated_at = excluded.updated_at
 WHERE closed_days.region IS NOT NULL AND NOT closed_days.is_open
   AND (closed_days.name, closed_days.region) IS DISTINCT FROM (excluded.name, excluded.region)
RETURNING day
"""
# Holidays to come that are none any more.
GONE: Final = """
DELETE FROM closed_days
 WHERE organization_id = %(tenant)s AND region IS NOT NULL AND NOT is_open AND day > %(today)s
   AND extract(year FROM day) = ANY(%(years)s) AND day <> ALL(%(days)s::date[])
"""


def fill_holidays(years: Iterable[int] | int | None = None) -> list[ClosedDay]:
    """Make the public holidays of the organization's `holiday_country` closed days; without that setting none.

    Args:
        years: which; without it this one and the next, by the organization's calendar.

    Returns:
        The closed days that are new or have another name, by day. Of holidays to come, those that are none any more are
        taken out; days of the centre's own, and holidays on which it works, stay as they are.

    Raises:
        MissingExtraError: the package `holidays` is not installed. TenantNotSetError: no tenant is bound.
        InvalidDataError: the package knows no such country, subdivision or year.
    """
    binding = current()
    if binding.privileged:
        raise TenantNotSetError("closed days are an organization's; wrap the code in `with db.tenant(...):`")
    organization = Organization.get_by_id(binding.organization_id)
    policy, now = organization.policy, clock.now()
    today = now.astimezone(organization.zone).date()
    if policy.holiday_country is None:
        return []
    wanted = _years(years, today)
    found = _holidays(policy.holiday_country, policy.holiday_subdivision, wanted)
    region = "-".join(filter(None, (policy.holiday_country, policy.holiday_subdivision)))
    given = {"tenant": organization.id, "region": region, "now": now, "today": today, "years": wanted}
    given |= {"days": list(found), "names": [name[:200].strip() for name in found.values()]}
    with binding.engine.atomic():
        binding.engine.run_prepared(GONE, given)
        days = [day for (day,) in binding.engine.run_prepared(FILLED, given).fetchall()]
        if days:
            hold_bookings(organization.id)
        return list(ClosedDay.select().where(ClosedDay.day.in_(days)).order_by(ClosedDay.day))


def _years(given: Iterable[int] | int | None, today: date) -> list[int]:
    if given is None:
        return [today.year, today.year + 1]
    years = list(given) if isinstance(given, Iterable) else [given]
    for year in years:
        if isinstance(year, bool) or not isinstance(year, int) or not 1900 <= year <= 2200:
            raise InvalidDataError("years", given, f"{year!r} is no year from 1900 to 2200")
    return years


def _holidays(country: str, subdivision: str | None, years: list[int]) -> dict[date, str]:
    try:
        known: Any = import_module("holidays")
    except ImportError:
        raise MissingExtraError(
            "public holidays need the package holidays: pip install 'rayces-core[holidays]'"
        ) from None
    try:
        # The country's own names: left to the package they would be in the language of this process's environment, and
        # two hosts would rename each other's days.
        named = {"subdiv": subdivision, "language": known.country_holidays(country).default_language}
        return dict(sorted(known.country_holidays(country, years=years, **named).items()))
    except NotImplementedError as error:
        raise InvalidDataError("holiday_country", (country, subdivision), f"has no holidays there: {error}") from None
