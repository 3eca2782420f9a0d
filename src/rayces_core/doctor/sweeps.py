"""What a sweep should have taken long ago: credits of packages whose day is over, and which are still there.

It looks at rows, as nobody but the admin role may; where the login cannot become that role, other checks say so.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any, Final

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.database.database import Database
from rayces_core.doctor.finding import Finding
from rayces_core.migrations import quote_identifier
from rayces_core.migrations.settings import pinned

CODES: Final = ("lots-overdue",)
# A sweep once a day, which was missed once.
SPARED: Final = timedelta(days=2)
# What is reserved stays until its hold ends.
_OVERDUE: Final = """
SELECT count(DISTINCT organization_id), sum(gone) FROM (
    SELECT held.organization_id, least(sum(lot.remaining), held.balance - held.reserved) AS gone
      FROM credit_lots AS lot
      JOIN credit_balances AS held ON held.organization_id = lot.organization_id AND held.id = lot.credit_balance_id
     WHERE lot.remaining > 0 AND lot.expires_at < clock_timestamp() - %(spared)s
     GROUP BY held.organization_id, held.id
) AS overdue WHERE gone > 0
"""


def audit_sweeps(database: Database[Any], connect: Callable[[str], Connection]) -> list[Finding]:
    """What no sweep has taken though it is two days late; [] where the login may not see it."""
    with closing(connect(database.admin_url)) as connection:
        connection.set_session(readonly=True)
        try:
            with connection.cursor() as cursor, pinned(cursor):
                cursor.execute(f"SET LOCAL row_security TO on; SET LOCAL ROLE {quote_identifier(database.admin_role)}")
                cursor.execute(_OVERDUE, {"spared": SPARED})
                organizations, gone = cursor.fetchone() or (0, None)
        except (psycopg2.ProgrammingError, psycopg2.DataError):  # the role or the table is not there, or not its own
            return []
    if not organizations:
        return []
    what = (
        f"{gone} credits of {organizations} organizations expired more than {SPARED.days} days ago and are still there"
    )
    return [Finding("warning", CODES[0], "credit_lots", f"{what}: no sweep takes them", "-- rayces credits expire")]
