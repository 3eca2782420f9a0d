"""Verification: every balance derived anew from the ledger, and every link to an appointment looked at.

It changes nothing and goes through the tables in stretches of their keys, so any size will do. Each question is one
statement, which sees balances and entries as of one moment; so it may run while credits are moving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.tenancy.organization import Organization, taken_apart
from rayces_core.tenancy.scoping import check_home

STRETCH: Final = 2_000
WITHIN: Final = (
    "(organization_id, id) > (%(from_org)s, %(from_id)s) AND (organization_id, id) <= (%(to_org)s, %(to_id)s)"
)
# The entries of these appointments, which lie side by side in an index: looking for each one's takes far more pages.
PAYING: Final = WITHIN.replace("(organization_id, id)", "(organization_id, appointment_id)")

# How the statements call the tables beside the one that they go through.
NAMED: Final = ("entry", "failed", "change", "lot", "movement", "booked", "back", "purchase", "held")

# Each finding: kind, organization, balance, entry, appointment, what was expected and what is there.
OF_BALANCES: Final = """
WITH held AS (
    SELECT * FROM credit_balances WHERE {range}
), posted AS (
    SELECT entry.*, held.user_id AS owner_id
      FROM credit_transactions AS entry
      JOIN held ON held.organization_id = entry.organization_id AND held.id = entry.credit_balance_id
     WHERE {entry}true
), entries AS (
    SELECT *, row_number() OVER chain AS place, coalesce(lag(balance_after) OVER chain, 0) AS carried,
           lag(processed_at) OVER chain AS previous_moment
      FROM posted WHERE status = 'completed'
    WINDOW chain AS (PARTITION BY organization_id, credit_balance_id ORDER BY sequence, id)
), sums AS (
    SELECT organization_id, credit_balance_id, sum(amount) AS total, max(sequence) AS last,
           sum(amount) FILTER (WHERE transaction_type = 'purchase') AS bought,
           -sum(amount) FILTER (WHERE transaction_type IN ('appointment_debit', 'cancellation_refund')) AS used
      FROM entries GROUP BY organization_id, credit_balance_id
), derived AS (
    SELECT held.*, coalesce(total, 0) AS total, coalesce(bought, 0) AS bought, coalesce(used, 0) AS used, last
      FROM held LEFT JOIN sums ON sums.organization_id = held.organization_id AND sums.credit_balance_id = held.id
)
SELECT 'balance' AS kind, organization_id, id AS balance_id, NULL::bigint AS entry_id, NULL::bigint AS appointment_id,
       total::text AS expected, balance::text AS found
  FROM derived WHERE balance <> total
UNION ALL
SELECT 'lifetime_purchased', organization_id, id, NULL, NULL, bought::text, lifetime_purchased::text
  FROM derived WHERE lifetime_purchased <> bought
UNION ALL
SELECT 'lifetime_used', organization_id, id, NULL, NULL, used::text, lifetime_used::text
  FROM derived WHERE lifetime_used <> used
UNION ALL
SELECT 'last_sequence', organization_id, id, NULL, NULL, last::text, last_sequence::text
  FROM derived WHERE last_sequence IS DISTINCT FROM last
UNION ALL
SELECT 'in_lots', organization_id, id, NULL, NULL, coalesce(remaining, 0)::text, in_lots::text
  FROM derived LEFT JOIN (
       SELECT lot.organization_id AS of_organization, lot.credit_balance_id, sum(lot.remaining) AS remaining
         FROM credit_lots AS lot
         JOIN held ON held.organization_id = lot.organization_id AND held.id = lot.credit_balance_id
        WHERE {lot}true GROUP BY 1, 2
  ) AS kept ON kept.of_organization = derived.organization_id AND kept.credit_balance_id = derived.id
 WHERE in_lots <> coalesce(remaining, 0)
UNION ALL
SELECT 'reserved', organization_id, id, NULL, NULL, coalesce(total_held, 0)::text, reserved::text
  FROM derived LEFT JOIN (
       SELECT booked.organization_id AS of_organization, held.id AS of_balance, sum(reserved_credits) AS total_held
         FROM appointments AS booked
         JOIN held ON held.organization_id = booked.organization_id AND held.user_id = booked.client_id
              AND held.credit_kind_key = coalesce(booked.credit_kind_id, 0)
        WHERE {booked}booked.reserved_credits > 0 GROUP BY 1, 2
  ) AS holding ON holding.of_organization = derived.organization_id AND holding.of_balance = derived.id
 WHERE reserved <> coalesce(total_held, 0)
UNION ALL
SELECT 'sequence', organization_id, credit_balance_id, id, NULL, place::text, sequence::text
  FROM entries WHERE sequence IS DISTINCT FROM place
UNION ALL
SELECT 'balance_before', organization_id, credit_balance_id, id, NULL, carried::text, balance_before::text
  FROM entries WHERE balance_before IS DISTINCT FROM carried
UNION ALL
SELECT 'balance_after', organization_id, credit_balance_id, id, NULL, (carried + amount)::text, balance_after::text
  FROM entries WHERE balance_after IS DISTINCT FROM carried + amount
UNION ALL
SELECT 'processed_at', organization_id, credit_balance_id, id, NULL, previous_moment::text, processed_at::text
  FROM entries WHERE processed_at < previous_moment
UNION ALL
SELECT 'payment_attempt', organization_id, credit_balance_id, id, NULL, '1', payment_attempt::text
  FROM posted
 WHERE payment_attempt > 1 AND NOT EXISTS (
       SELECT FROM credit_transactions AS failed
        WHERE {failed}failed.organization_id = posted.organization_id AND failed.payment_method = posted.payment_method
          AND failed.payment_reference = posted.payment_reference AND failed.status = 'failed'
          AND failed.payment_attempt = posted.payment_attempt - 1)
UNION ALL
SELECT 'taken_back', posted.organization_id, posted.credit_balance_id, posted.id, NULL,
       max(CASE WHEN posted.transaction_type = 'purchase' THEN posted.amount ELSE 0 END)::text,
       (-sum(back.amount))::text
  FROM posted JOIN credit_transactions AS back
       ON back.organization_id = posted.organization_id AND back.takes_back_balance_id = posted.credit_balance_id
          AND back.takes_back_sequence = posted.sequence
 WHERE {back}back.status = 'completed' GROUP BY 2, 3, 4
HAVING -sum(back.amount) > max(CASE WHEN posted.transaction_type = 'purchase' THEN posted.amount ELSE 0 END)
UNION ALL
SELECT 'lot_missing', organization_id, credit_balance_id, id, NULL, amount::text, '0'
  FROM entries
 WHERE coalesce(valid_days::text, valid_until::text) IS NOT NULL AND NOT EXISTS (
       SELECT FROM credit_lots AS lot
        WHERE {lot}lot.organization_id = entries.organization_id AND lot.credit_transaction_id = entries.id)
UNION ALL
SELECT 'owner', organization_id, credit_balance_id, id, NULL, owner_id::text, user_id::text
  FROM entries WHERE user_id <> owner_id
ORDER BY 2, 3, 4, 1"""

OF_APPOINTMENTS: Final = """
WITH booked AS (
    SELECT * FROM appointments WHERE {range}
), entries AS (
    SELECT * FROM credit_transactions WHERE {paying} AND status = 'completed'
), paid AS (
    SELECT organization_id, appointment_id,
           count(*) FILTER (WHERE transaction_type = 'appointment_debit') AS debits,
           coalesce(-sum(amount) FILTER (WHERE transaction_type = 'appointment_debit'), 0) AS debited,
           coalesce(sum(amount) FILTER (WHERE transaction_type = 'cancellation_refund'), 0) AS refunded,
           max(processed_at) FILTER (WHERE transaction_type = 'appointment_debit') AS paid_at,
           count(DISTINCT user_id) AS users
      FROM entries GROUP BY organization_id, appointment_id
), linked AS (
    SELECT booked.organization_id, booked.id, booked.state, booked.uses_credit, booked.credits_used,
           booked.cancelled_at, paid_at, coalesce(debits, 0) AS debits, coalesce(debited, 0) AS debited,
           coalesce(refunded, 0) AS refunded, coalesce(users, 0) AS users
      FROM booked LEFT JOIN paid ON paid.organization_id = booked.organization_id AND paid.appointment_id = booked.id
), given_back AS (
    SELECT entry.organization_id, entry.id, entry.appointment_id, entry.refundable_after,
           -sum(entry.amount) OVER (
               PARTITION BY entry.organization_id, entry.appointment_id
               ORDER BY entry.transaction_type, entry.refundable_after DESC, entry.sequence
           ) AS left_over
      FROM entries AS entry
      JOIN linked ON linked.organization_id = entry.organization_id AND linked.id = entry.appointment_id
     WHERE linked.debits = 1 AND entry.transaction_type IN ('appointment_debit', 'cancellation_refund')
)
SELECT 'debit_missing' AS kind, organization_id, NULL::bigint AS balance_id, NULL::bigint AS entry_id,
       id AS appointment_id, credits_used::text AS expected, debited::text AS found
  FROM linked
 WHERE uses_credit AND debited <> credits_used AND state IN ('confirmed', 'executed', 'no_show')
UNION ALL
SELECT 'reserved_of_nothing', organization_id, NULL, NULL, id, '0', reserved_credits::text
  FROM booked
 WHERE reserved_credits > 0 AND NOT EXISTS (
       SELECT FROM credit_balances AS held
        WHERE {held}held.organization_id = booked.organization_id AND held.user_id = booked.client_id
          AND held.credit_kind_key = coalesce(booked.credit_kind_id, 0))
UNION ALL
SELECT 'debited_twice', organization_id, NULL, NULL, id, '1', debits::text FROM linked WHERE debits > 1
UNION ALL
SELECT 'refundable_after', organization_id, NULL, id, appointment_id, left_over::text, refundable_after::text
  FROM given_back WHERE refundable_after IS DISTINCT FROM left_over
UNION ALL
SELECT 'not_given_back', organization_id, NULL, NULL, id, debited::text, refunded::text
  FROM linked
 WHERE uses_credit AND state = 'cancelled' AND refunded < debited AND paid_at <= cancelled_at AND NOT EXISTS (
       SELECT FROM state_transitions AS change
        WHERE {change}change.organization_id = linked.organization_id AND change.subject_type = 'Appointment'
          AND change.subject_id = linked.id AND change.event = 'cancel')
UNION ALL
SELECT 'refund_too_large', organization_id, NULL, NULL, id, debited::text, refunded::text
  FROM linked WHERE refunded > debited
UNION ALL
SELECT 'refund_to_another', organization_id, NULL, NULL, id, '1', users::text FROM linked WHERE users > 1
ORDER BY 2, 5, 1"""

# The purchase says what was bought, and its movements what is left.
OF_LOTS: Final = """
WITH bought AS (
    SELECT * FROM credit_lots WHERE {range}
), moved AS (
    SELECT movement.organization_id, movement.credit_lot_id,
           sum(movement.amount) FILTER (WHERE entry.status = 'completed') AS total,
           count(*) FILTER (WHERE entry.credit_balance_id <> bought.credit_balance_id) AS elsewhere
      FROM credit_lot_movements AS movement
      JOIN bought ON bought.organization_id = movement.organization_id AND bought.id = movement.credit_lot_id
      JOIN credit_transactions AS entry ON entry.organization_id = movement.organization_id
           AND entry.id = movement.credit_transaction_id
     WHERE {movement}{entry}true GROUP BY 1, 2
), taken_back AS (
    SELECT back.organization_id, back.credit_balance_id, back.id, -back.amount AS taken,
           coalesce(-sum(movement.amount) FILTER (WHERE movement.credit_transaction_id = back.id), 0) AS own,
           sum(movement.amount) AS still_there
      FROM bought
      JOIN credit_transactions AS purchase ON purchase.organization_id = bought.organization_id
           AND purchase.id = coalesce(bought.purchase_id, bought.credit_transaction_id)
      JOIN credit_transactions AS back ON back.organization_id = bought.organization_id
           AND back.takes_back_balance_id = purchase.credit_balance_id AND back.takes_back_sequence = purchase.sequence
           AND back.credit_balance_id = bought.credit_balance_id AND back.status = 'completed'
           AND back.processed_at < bought.expires_at
      JOIN credit_lot_movements AS movement ON movement.organization_id = bought.organization_id
           AND movement.credit_lot_id = bought.id
      JOIN credit_transactions AS entry ON entry.organization_id = movement.organization_id
           AND entry.id = movement.credit_transaction_id AND entry.sequence <= back.sequence
     WHERE {back}{purchase}{movement}{entry}true GROUP BY back.organization_id, back.id
)
SELECT 'lot_remaining' AS kind, bought.organization_id, credit_balance_id AS balance_id,
       credit_transaction_id AS entry_id, NULL::bigint AS appointment_id, coalesce(total, 0)::text AS expected,
       remaining::text AS found
  FROM bought LEFT JOIN moved ON moved.organization_id = bought.organization_id AND moved.credit_lot_id = bought.id
 WHERE remaining <> coalesce(total, 0)
UNION ALL
SELECT 'lot_elsewhere', bought.organization_id, credit_balance_id, credit_transaction_id, NULL, '0', elsewhere::text
  FROM bought JOIN moved ON moved.organization_id = bought.organization_id AND moved.credit_lot_id = bought.id
 WHERE elsewhere > 0
UNION ALL
SELECT 'lot_passed_over', organization_id, credit_balance_id, id, NULL, least(taken, still_there + own)::text, own::text
  FROM taken_back WHERE own < least(taken, still_there + own)
UNION ALL
SELECT 'lot_credits', bought.organization_id, bought.credit_balance_id, entry.id, NULL, entry.amount::text,
       credits::text
  FROM bought JOIN credit_transactions AS entry
       ON entry.organization_id = bought.organization_id AND entry.id = bought.credit_transaction_id
 WHERE {entry}entry.amount <> credits
ORDER BY 2, 3, 4, 1"""

WORDS: Final = {
    "balance": "the balance is not the sum of its completed entries",
    "lifetime_purchased": "lifetime_purchased is not the sum of the completed purchases",
    "lifetime_used": "lifetime_used is not what debits took, less what refunds gave back",
    "last_sequence": "the balance does not stand at its last entry",
    "in_lots": "what the balance has in lots is not what is left of them",
    "reserved": "what is reserved of the balance is not what its pre-confirmed appointments hold",
    "reserved_of_nothing": "the appointment has reserved credits, and its client has no balance of that kind",
    "lot_remaining": "what is left of the lot that the entry bought is not the sum of its movements",
    "lot_elsewhere": "the lot that the entry bought was moved by entries of another balance",
    "lot_credits": "the lot is not of as many credits as the entry bought",
    "lot_missing": "the entry counts, and the lot of what it sold is not there",
    "lot_passed_over": "the entry took less from the lot of the purchase that it takes back than was left there",
    "taken_back": "more was taken back of the purchase than it bought",
    "sequence": "the entry is not in its place; one is missing or doubled",
    "balance_before": "the entry does not go on from the balance after the one before",
    "balance_after": "the entry's balance_after is not the balance before it and its amount",
    "processed_at": "the entry bears an earlier moment than the one before",
    "payment_attempt": "the entry follows a payment that failed, and there is none",
    "owner": "the entry and its balance belong to different users",
    "debit_missing": "the appointment was confirmed on credit, and the debit is not what it cost",
    "debited_twice": "the appointment has several debits",
    "refundable_after": "the entry's refundable_after is not what it and those before it left of the debit",
    "not_given_back": "the hold expired with what was paid for it, and nobody decided to keep that; refund it",
    "refund_too_large": "more was refunded than was debited",
    "refund_to_another": "the refund went to another user than the one who paid",
}


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something in the ledger that cannot be right; `kind` is stable, ids are None where they do not apply."""

    kind: str
    organization_id: int
    balance_id: int | None
    entry_id: int | None
    appointment_id: int | None
    expected: str | None
    found: str | None

    @property
    def place(self) -> str:
        """Which balance, entry or appointment it is about."""
        about = {"balance": self.balance_id, "entry": self.entry_id, "appointment": self.appointment_id}
        return ", ".join(f"{name} {number}" for name, number in about.items() if number is not None)

    def __str__(self) -> str:
        """The finding as a sentence."""
        what = f"{WORDS[self.kind]}; expected {self.expected}, found {self.found}"
        return f"organization {self.organization_id}, {self.place}: {what}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What was looked at and what was found."""

    balances: int
    appointments: int
    discrepancies: tuple[Discrepancy, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self.discrepancies


def verify(
    organization: Organization | int | None = None, *, progress: Callable[[str, int, int], object] | None = None
) -> Verification:
    """Derive every balance, chain and lifetime figure anew and look at every link to an appointment; changes nothing.

    Args:
        organization: in privileged work, only this one; without it all of them. In a tenant's block its own is meant.
        progress: called as progress(table, done, total) after each stretch.

    Returns:
        A Verification; `is_clean` says whether nothing was found.
    """
    binding = current()
    tenant = binding.organization_id
    if organization is not None:
        check_home(organization)
        wanted = organization.id if isinstance(organization, Organization) else organization
        if tenant is not None and wanted != tenant:
            raise InvalidDataError("organization", wanted, "another tenant is bound; verify it in its own block")
        tenant = wanted
    found: list[Discrepancy] = []
    counts = {}
    tenants: list[int | None] = taken_apart() if tenant is None else [tenant]
    questions = {"credit_balances": OF_BALANCES, "credit_lots": OF_LOTS, "appointments": OF_APPOINTMENTS}
    for table, sql in questions.items():
        counts[table] = _go_through(table, sql, tenants, found, progress)
    return Verification(counts["credit_balances"], counts["appointments"], tuple(found))


def _go_through(
    table: str,
    sql: str,
    tenants: list[int | None],
    found: list[Discrepancy],
    progress: Callable[[str, int, int], object] | None,
) -> int:
    run, done, total = current().engine.run_prepared, 0, 0
    if progress is not None:
        counted = f"SELECT count(*) FROM {table} WHERE {_own(tenants[0] if len(tenants) == 1 else None)}true"
        total = run(counted, {"tenant": tenants[0]} if tenants else ()).fetchone()[0]
    for tenant in tenants:
        own = _own(tenant)
        # Each table's own, beside what joins it: a router sends by that.
        named = {name: own and f"{name}.{own}" for name in NAMED}
        for stretch, size in _stretches(table, own, tenant):
            asked = sql.format(range=own + WITHIN, paying=own + PAYING, **named)
            found += [Discrepancy(*row) for row in run(asked, stretch).fetchall()]
            done += size
            if progress is not None:
                progress(table, done, max(total, done))
    return done


def _own(tenant: int | None) -> str:
    return "" if tenant is None else "organization_id = %(tenant)s AND "


def _stretches(table: str, own: str, tenant: int | None) -> Iterator[tuple[dict[str, Any], int]]:
    """The keys of a table in stretches: where each begins and ends, and how many rows it has."""
    last = (0, 0)
    sql = f"""
        SELECT organization_id, id FROM {table} WHERE {own}(organization_id, id) > (%(from_org)s, %(from_id)s)
        ORDER BY organization_id, id LIMIT {STRETCH}"""
    while True:
        place = {"tenant": tenant, "from_org": last[0], "from_id": last[1]}
        keys = current().engine.run_prepared(sql, place).fetchall()
        if not keys:
            return
        last = keys[-1]
        yield {**place, "to_org": last[0], "to_id": last[1]}, len(keys)
        if len(keys) < STRETCH:
            return
