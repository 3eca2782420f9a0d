"""What a booking reserves of its client's credits, as parts of the statement that writes it.

The balance is locked after the people and before there is an appointment, so nobody else reserves or takes meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit_holding import AT, check_free, free
from rayces_core.scheduling.services import CREDIT_KIND

# The kind of a service's sessions; of others it is 0, the default one.
KIND: Final = CREDIT_KIND.replace("credit_kind_id", "coalesce(credit_kind_id, 0)")
_BALANCE: Final = "{own}organization_id = %(tenant)s AND {own}user_id = %(client)s AND {own}credit_kind_key = {{kind}}"
LOCK_BALANCE: Final = f"SELECT 1 FROM credit_balances WHERE {_BALANCE.format(own='')} FOR NO KEY UPDATE"
COVERED: Final = f"""
AND %(credits_used)s <= (
    SELECT {free("held", tenant="%(tenant)s", at=AT)} FROM credit_balances AS held
     WHERE {_BALANCE.format(own="held.")}
)"""
RESERVING: Final = f""", reserving AS (
    UPDATE credit_balances AS mine SET reserved = mine.reserved + booked.reserved_credits
      FROM booked WHERE {_BALANCE.format(own="mine.")}
)"""


def check_credits(given: Mapping[str, Any]) -> None:
    """Raise if it was the client's credits that stood in the way; overdue holds of theirs are expired first.

    Raises:
        InsufficientCreditsError: the client has too few that nothing else has reserved.
    """
    kind = None
    if given["service"] is not None:
        (kind,) = current().engine.run_prepared(f"SELECT {KIND}", given).fetchone()
    whose = {"tenant": given["tenant"], "client": given["client"], "kind": kind}
    check_free(Appointment, given["credits_used"], now=given["now"], **whose)
