"""The parts of a posting's statement that move lots: what is taken comes from the oldest ones, what goes back returns.

Rule it guards: the balance's row is locked before the statement begins, so it sees every lot as it is, and nobody else
moves one meanwhile. What does not move lots has none of this, and only looks at the balance's `in_lots`.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

# What a posting may have among what is given: it takes from a balance, whose lots are drawn on or which must have none;
# gives back to an appointment's payer; or takes all that is left of a lot that has expired.
TAKES, DRAWS, RETURNS, EXPIRES = "takes", "draws", "returns", "lot"
# And it may end what its appointment has reserved, which it pays for.
FREES: Final = "frees"
# What takes a purchase back takes of its own lot first.
TAKES_BACK: Final = "takes_back"

PRESENT: Final = "(SELECT at FROM present)"
NO_LOTS: Final = "\n      AND in_lots = 0"
# What has expired is still there until that is posted, and pays for nothing.
IF_USABLE: Final = f"""
      AND balance + %(amount)s >= reserved{{own}} + (SELECT coalesce(sum(remaining), 0) FROM credit_lots
           WHERE organization_id = %(tenant)s AND credit_balance_id = credit_balances.id AND expires_at <= {PRESENT})"""
IF_EXPIRED: Final = f"""
      AND EXISTS (SELECT 1 FROM credit_lots
           WHERE organization_id = %(tenant)s AND id = %(lot)s AND credit_balance_id = credit_balances.id
             AND remaining >= -%(amount)s AND expires_at <= {PRESENT})"""

OF_LOT: Final = "SELECT id, -%(amount)s AS taken FROM credit_lots WHERE organization_id = %(tenant)s AND id = %(lot)s"
DRAWN: Final = f"""SELECT id, least(remaining, -%(amount)s - before)::integer AS taken FROM (
        SELECT id, remaining, sum(remaining) OVER (ORDER BY {{first}}expires_at, id) - remaining AS before
          FROM credit_lots
         WHERE organization_id = %(tenant)s AND credit_balance_id = (SELECT credit_balance_id FROM entry)
           AND remaining > 0 AND expires_at > {PRESENT}
    ) AS ranked WHERE before < -%(amount)s"""
OF_PURCHASE: Final = "coalesce(purchase_id, credit_transaction_id) <> %(takes_back)s, "
# As if the debit had been so much smaller: first what came from no lot, then what came from the latest ones. The entry
# itself is left out, as Citus has written it by then.
LATEST: Final = """SELECT id, -least(lent, %(amount)s - before)::integer AS taken FROM (
        SELECT id, lent, loose + sum(lent) OVER (ORDER BY expires_at DESC, id DESC) - lent AS before FROM (
            SELECT *, (
                SELECT -sum(amount) FROM credit_transactions
                 WHERE organization_id = %(tenant)s AND appointment_id = %(appointment)s AND status = 'completed'
                   AND credit_balance_id = (SELECT credit_balance_id FROM entry) AND id <> (SELECT id FROM entry)
            ) - sum(lent) OVER () AS loose FROM (
                SELECT lot.id, lot.expires_at, -sum(movement.amount) AS lent
                  FROM credit_transactions AS cause
                  JOIN credit_lot_movements AS movement ON movement.organization_id = %(tenant)s
                       AND movement.credit_transaction_id = cause.id
                  JOIN credit_lots AS lot ON lot.organization_id = %(tenant)s AND lot.id = movement.credit_lot_id
                 WHERE cause.organization_id = %(tenant)s AND cause.appointment_id = %(appointment)s
                   AND cause.credit_balance_id = (SELECT credit_balance_id FROM entry)
                 GROUP BY lot.id, lot.expires_at HAVING sum(movement.amount) < 0
            ) AS owed
        ) AS owing
    ) AS ranked WHERE before < %(amount)s"""
MOVED: Final = """, drawn AS (
    {drawn}
), lots AS (
    UPDATE credit_lots AS lot SET remaining = lot.remaining - drawn.taken, updated_at = entry.created_at
      FROM drawn, entry WHERE lot.organization_id = %(tenant)s AND lot.id = drawn.id
), drawings AS (
    INSERT INTO credit_lot_movements (organization_id, credit_lot_id, credit_transaction_id, amount)
    SELECT %(tenant)s, drawn.id, entry.id, -drawn.taken FROM drawn, entry RETURNING 1
)"""
FIGURE: Final = ", in_lots = mine.in_lots - (SELECT coalesce(sum(taken), 0) FROM drawn)"


OWN: Final = " - (SELECT coalesce(sum(reserved_credits), 0)::integer FROM hold)"


def own(given: Set[str]) -> str:
    """What is taken off what a balance has reserved, as the appointment that is paid for holds it."""
    return OWN if FREES in given else ""


def conditions(given: Set[str]) -> str:
    """What of lots must hold of a balance for such a posting."""
    if EXPIRES in given:
        return IF_EXPIRED
    if DRAWS in given:
        return IF_USABLE.format(own=own(given))
    return NO_LOTS if TAKES in given else ""


def moves(given: Set[str]) -> bool:
    """Whether such a posting may move lots."""
    return not {EXPIRES, DRAWS, RETURNS}.isdisjoint(given)


def moved(given: Set[str]) -> str:
    """The part of the statement that moves the lots."""
    if EXPIRES in given:
        return MOVED.format(drawn=OF_LOT)
    if DRAWS not in given:
        return MOVED.format(drawn=LATEST)
    return MOVED.format(drawn=DRAWN.format(first=OF_PURCHASE if TAKES_BACK in given else ""))
