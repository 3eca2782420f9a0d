"""Public holidays as closed days: rows, so that whoever reads the database sees what was decided.

Rule it guards: filled in again they are the same and those of the settings, and a day that the centre decided on itself
stays as it is.
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
from rayces_core.scheduling.affected import check_seen, tell_affected_by_closings
from rayces_core.scheduling.series import unit_of_work
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
# Holidays to come that are none any more: of a country that is not the setting's any more, or not of these years.
GONE: Final = """
DELETE FROM closed_days
 WHERE organization_id = %(tenant)s AND region IS NOT NULL AND NOT is_open AND day > %(today)s
   AND day <> ALL(%(days)s::date[])
   AND (region IS DISTINCT FROM %(region)s OR extract(year FROM day) = ANY(%(years)s))
"""


def fill_holidays(years: Iterable[int] | int | None = None, *, dry_run: bool = False) -> list[ClosedDay]:
    """Make the public holidays of the organization's `holiday_country` closed days; without that setting none.

    Args:
        years: which; without it this one and the next, by the organization's calendar.
        dry_run: change nothing, and tell what would be.

    Returns:
        The closed days that are new or have another name, by day. Sessions of theirs stay booked: `affected` and
        `affected_groups` of each list them, and a booking that was decided before is decided again. Of holidays to
        come, those that are none any more are taken out: those of another country or subdivision than that of the
        settings in every year, those of the same one in `years`. Days of the centre's own, and holidays on which it
        works, stay as they are.

    Raises:
        MissingExtraError: the package `holidays` is not installed. TenantNotSetError: no tenant is bound.
        InvalidDataError: the package knows no such country, subdivision or year.
        TransactionFailedError: the unit of work, at REPEATABLE READ or SERIALIZABLE, would not see all sessions.
    """
    binding = current()
    if binding.privileged:
        raise TenantNotSetError("closed days are an organization's; wrap the code in `with db.tenant(...):`")
    organization = Organization.get_by_id(binding.organization_id)
    policy, now = organization.policy, clock.now()
    today = now.astimezone(organization.zone).date()
    wanted, region = _years(years, today), None
    found: dict[date, str] = {}
    if policy.holiday_country is not None:
        found = _holidays(policy.holiday_country, policy.holiday_subdivision, wanted)
        region = "-".join(filter(None, (policy.holiday_country, policy.holiday_subdivision)))
    given: dict[str, Any] = {"tenant": organization.id, "region": region, "now": now, "today": today, "years": wanted}
    given |= {"days": list(found), "names": [name[:200].strip() for name in found.values()]}
    with unit_of_work(only_tried=dry_run):
        check_seen()
        binding.engine.run_prepared(GONE, given)
        days = [day for (day,) in binding.engine.run_prepared(FILLED, given).fetchall()]
        if days:
            hold_bookings(organization.id)
        filled = list(ClosedDay.select().where(ClosedDay.day.in_(days)).order_by(ClosedDay.day))
        tell_affected_by_closings(filled)
    return filled


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
