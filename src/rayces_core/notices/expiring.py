"""Telling that credits are about to expire: the client whose they are, once for each purchase, stage and channel.

Rule it guards: of a purchase it is told once, also where its credits went to another account of the same person; not of
what is spent, taken back or expired, nor at a stage that had passed when it was bought.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.fields.notices import CREDITS_EXPIRING
from rayces_core.notices.making import ADDRESS, LOOKAHEAD, make, organization_of, wanted_by
from rayces_core.notices.quiet import reminder_due

# A lot that a duplicate's credits were handed over in names the purchase.
PURCHASE: Final = "coalesce(lot.purchase_id, lot.credit_transaction_id)"
_COMING: Final = f"""
SELECT {PURCHASE}, person.id, wanted.minutes, lot.expires_at, wanted.channel,
       {ADDRESS.format(channel="wanted.channel")}, bought.created_at
  FROM credit_lots AS lot
  JOIN credit_balances AS held ON held.organization_id = %(tenant)s AND held.id = lot.credit_balance_id
  JOIN credit_transactions AS bought ON bought.organization_id = %(tenant)s AND bought.id = {PURCHASE}
  JOIN users AS person ON person.organization_id = %(tenant)s AND person.id = held.user_id
       AND person.erased_at IS NULL AND person.merged_into_id IS NULL
  CROSS JOIN unnest(%(minutes)s::integer[], %(channels)s::text[]) AS wanted (minutes, channel)
 WHERE lot.organization_id = %(tenant)s AND lot.remaining > 0
   AND lot.expires_at > %(now)s AND lot.expires_at <= %(until)s
   AND lot.expires_at <= %(now)s + %(lookahead)s + make_interval(mins => wanted.minutes)
   AND bought.created_at <= lot.expires_at - make_interval(mins => wanted.minutes)
   AND NOT person.muted_channels ? wanted.channel
   AND NOT EXISTS (
       SELECT 1 FROM notices AS made
        WHERE made.organization_id = %(tenant)s AND made.purchase_id = {PURCHASE}
          AND made.minutes_before = wanted.minutes AND made.channel = wanted.channel
   )
 ORDER BY lot.expires_at, lot.id"""
# Of what a notice `notice` tells: how much is left, whoever has it by now, and of which kind.
_LEFT: Final = """
SELECT coalesce(sum(lot.remaining), 0), min(kind.name)
  FROM credit_lots AS lot
  JOIN credit_balances AS held ON held.organization_id = %(tenant)s AND held.id = lot.credit_balance_id
  LEFT JOIN credit_kinds AS kind ON kind.organization_id = %(tenant)s AND kind.id = held.credit_kind_id
 WHERE lot.organization_id = %(tenant)s AND (lot.purchase_id = %(purchase)s OR lot.credit_transaction_id = %(purchase)s)
   AND lot.remaining > 0"""
IS_LEFT: Final = """EXISTS (
                SELECT 1 FROM credit_lots AS lot
                 WHERE lot.organization_id = %(tenant)s AND lot.remaining > 0
                   AND (lot.purchase_id = notice.purchase_id OR lot.credit_transaction_id = notice.purchase_id))"""


def make_expiries(now: datetime | None = None) -> int:
    """Put into the queue what the bound tenant tells of credits that expire, a day ahead; returns how many.

    Each is for one purchase, stage and channel.
    """
    moment, organization = clock.moment(now), organization_of()
    policy = organization.policy
    rules = policy.notices.rules_for(CREDITS_EXPIRING)
    if not rules:
        return 0
    wanted = wanted_by(rules)
    until = moment + LOOKAHEAD + timedelta(minutes=max(wanted["minutes"]))
    values: dict[str, Any] = {name: wanted[name] for name in ("minutes", "channels")}
    values |= {"tenant": organization.id, "now": moment, "until": until, "lookahead": LOOKAHEAD}
    made = []
    for row in current().engine.run_prepared(_COMING, values).fetchall():
        purchase, person, minutes, expires_at, channel, address, bought_at = row
        due = reminder_due(
            expires_at,
            timedelta(minutes=minutes),
            since=bought_at,
            hours=policy.notices.quiet_hours,
            zone=organization.zone,
        )
        if due is not None:
            made.append((None, purchase, person, CREDITS_EXPIRING, minutes, 0, expires_at, channel, address, due))
    return make(organization, made, moment)


def left_of(purchase_id: int) -> tuple[int, str | None]:
    """How many credits of a purchase are left, and of which kind; None for the default one."""
    values = {"tenant": current().organization_id, "purchase": purchase_id}
    number, kind = current().engine.run_prepared(_LEFT, values).fetchone()
    return int(number), kind
