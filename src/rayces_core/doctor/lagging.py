"""Work that a database holds and nobody does: notices that wait, calendars that are not read, offers that are over.

No tenant is held the less for it, so each is a warning. The rows of every organization are read, as the admin role.
"""

from __future__ import annotations

from typing import Any, Final

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case
from psycopg2.extras import RealDictCursor

from rayces_core.doctor.finding import Check, Finding
from rayces_core.migrations.session import quote_identifier

# One that is switched off, or moves to another cell, is let alone by the workers too.
_SERVED: Final = (
    "organizations AS served ON served.id = {of}.organization_id AND served.active AND served.moving IS NULL"
)
_SINCE: Final = "to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC' AS since"

CHECKS: Final[tuple[Check, ...]] = (
    Check(
        "notices-wait",
        "warning",
        f"""SELECT 'notices' AS object, served.subdomain, waiting.channel, count(*) AS rows,
                   {_SINCE.format(moment="min(waiting.retry_at)")}
              FROM notices AS waiting JOIN {_SERVED.format(of="waiting")}
             WHERE waiting.state = 'queued' AND waiting.retry_at < now() - interval '1 hour'
               AND waiting.occurs_at > now()
             GROUP BY served.subdomain, waiting.channel""",
        "notices of {subdomain} over {channel} are due and nobody sends them: {rows}, since {since}",
        "rayces notices deliver MODULE:NAME, with a sender for {channel}",
    ),
    Check(
        "notices-given-up",
        "warning",
        f"""SELECT 'notices' AS object, served.subdomain, given.channel, count(*) AS rows, max(given.reason) AS reason
              FROM notices AS given JOIN {_SERVED.format(of="given")}
             WHERE given.state = 'failed' AND given.occurs_at > now()
             GROUP BY served.subdomain, given.channel""",
        "notices of {subdomain} over {channel} are given up: {rows}, such as for: {reason}",
        "rayces notices retry --organization {subdomain}",
    ),
    Check(
        "calendars-not-read",
        "warning",
        f"""SELECT 'outside_calendars' AS object, served.subdomain, count(*) AS rows,
                   {_SINCE.format(moment="min(coalesce(outside.tried_at, outside.created_at))")}
              FROM outside_calendars AS outside JOIN {_SERVED.format(of="outside")}
              JOIN professionals AS owner ON owner.organization_id = outside.organization_id
                   AND owner.user_id = outside.professional_id AND owner.active
             WHERE coalesce(outside.tried_at, outside.created_at) < now() - interval '1 day'
             GROUP BY served.subdomain""",
        "calendars elsewhere of {subdomain} are not read: {rows}, since {since}",
        "rayces calendars refresh --organization {subdomain}",
    ),
    Check(
        "calendar-fails",
        "warning",
        f"""SELECT 'outside_calendars' AS object, served.subdomain, outside.id, outside.failure,
                   {_SINCE.format(moment="outside.failing_since")}
              FROM outside_calendars AS outside JOIN {_SERVED.format(of="outside")}
             WHERE outside.failing_since < now() - interval '3 days'""",
        "calendar {id} of {subdomain} cannot be read since {since}: {failure}",
        "rayces calendars failing --organization {subdomain}, and have its professional give the address anew",
    ),
    Check(
        "offers-not-swept",
        "warning",
        f"""SELECT 'slot_requests' AS object, served.subdomain, count(*) AS rows,
                   {_SINCE.format(moment="min(held.expires_at)")}
              FROM slot_requests AS offered JOIN {_SERVED.format(of="offered")}
              JOIN appointments AS held ON held.organization_id = offered.organization_id
                   AND held.slot_request_id = offered.id AND held.state = 'pre_confirmed'
             WHERE offered.state = 'offered' AND held.expires_at < now() - interval '1 hour'
             GROUP BY served.subdomain""",
        "offers of {subdomain} are over and their families wait as if they were not: {rows}, since {since}",
        "rayces slots offer --organization {subdomain}",
    ),
    Check(
        "holds-not-swept",
        "warning",
        f"""SELECT 'appointments' AS object, served.subdomain, count(*) AS rows,
                   {_SINCE.format(moment="min(held.expires_at)")}
              FROM appointments AS held JOIN {_SERVED.format(of="held")}
             WHERE held.state = 'pre_confirmed' AND held.slot_request_id IS NULL
               AND held.expires_at < now() - interval '1 day'
             GROUP BY served.subdomain""",
        "sessions of {subdomain} were not confirmed in time and nobody ends them, nor what they reserve: "
        "{rows}, since {since}",
        "rayces slots expire --organization {subdomain}",
    ),
)
_MAY_READ: Final = """
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %(admin)s AND pg_has_role(session_user, oid, %(may_set)s)) AS may
"""
_EVERYTHING: Final = " UNION ALL ".join(
    f"SELECT '{check.code}' AS code, to_jsonb(found) AS facts FROM ({check.query}) AS found" for check in CHECKS
)


def audit_work(connection: Connection, admin_role: str) -> list[Finding]:
    """What is left lying, by check; within the connection's transaction, in a database whose schema is whole."""
    may_set = "SET" if connection.server_version >= 160_000 else "MEMBER"
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(_MAY_READ, {"admin": admin_role, "may_set": may_set})
        if not _first(cursor)["may"]:
            return []
        # Where row_security is off, a query that a policy would narrow is refused instead.
        cursor.execute(f"SET LOCAL row_security TO on; SET LOCAL ROLE {quote_identifier(admin_role)}")
        cursor.execute(_EVERYTHING)
        checks = {check.code: check for check in CHECKS}
        found = [checks[each["code"]].finding(each["facts"], {}) for each in cursor.fetchall()]
        cursor.execute("RESET ROLE")
    return sorted(found, key=lambda finding: (finding.object, finding.check, finding.message))


def _first(cursor: Any) -> dict[str, Any]:
    return dict(cursor.fetchone())
