"""What staff may still change of an appointment: what was recorded of it by mistake, and its price.

Rule it guards: a mistake is put right by an event of its own, within the organization's `correction_days` and with its
row of the journal. The time was taken before and is taken after, so no overlap can arise.
"""

# ruff: noqa: ARG001 - the bodies of events take what the journal needs, and look at no row

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from peewee import SQL

from rayces_core.errors import TransitionRefusedError
from rayces_core.fields.schemas import OrganizationSettings
from rayces_core.models.permissions import STAFF
from rayces_core.models.user import User
from rayces_core.state_machine import DatabaseGuard, Writes

CORRECTION_DAYS: Final = OrganizationSettings.model_fields["correction_days"].default


def correcting(event: str) -> dict[str, Any]:
    """What the declarations of the corrections have in common."""
    guard = DatabaseGuard(
        "it was recorded within the organization's `correction_days`",
        locks=(),
        sql=f"""coalesce(executed_at, no_show_at) + make_interval(days => (
            SELECT coalesce((settings ->> 'correction_days')::int, {CORRECTION_DAYS})
              FROM organizations WHERE id = %(organization_id)s
        )) >= %(now)s""",
        refusal=lambda *_: TransitionRefusedError(
            event, "too_late", "it was recorded longer ago than the organization's correction_days; it stays as it is"
        ),
    )
    return {"permitted": (STAFF,), "database_guard": guard, "corrects": True}


def correct_to_executed(
    self: Any,
    *,
    by: User | None = None,
    reason: str | None = None,
    now: datetime | None = None,
) -> Writes:
    """The student did come: a no-show becomes executed, `executed_at` being when the no-show was recorded.

    Credits that were given back for it, by the policy or by hand, are taken again in the same unit of work.

    Raises:
        TransitionRefusedError: `too_late`. InvalidTransitionError, NotPermittedError.
        InsufficientCreditsError: the credits that were given back are spent; nothing is changed.
    """
    return {"executed_at": SQL("no_show_at"), "no_show_at": None}


def correct_to_no_show(
    self: Any,
    *,
    by: User | None = None,
    reason: str | None = None,
    now: datetime | None = None,
) -> Writes:
    """The student did not come: an executed session becomes a no-show, recorded when it was recorded as executed.

    What the policy gives back for a no-show, less what was given back before, goes back in the same unit of work.

    Raises:
        TransitionRefusedError: `too_late`. InvalidTransitionError, NotPermittedError, InsufficientCreditsError.
    """
    return {"no_show_at": SQL("executed_at"), "executed_at": None}


def reopen(
    self: Any,
    *,
    by: User | None = None,
    reason: str | None = None,
    now: datetime | None = None,
) -> Writes:
    """Nothing is recorded of the session: it is confirmed again, and paid as a confirmed one is.

    Raises:
        TransitionRefusedError: `too_late`. InvalidTransitionError, NotPermittedError, InsufficientCreditsError.
    """
    return {"executed_at": None, "no_show_at": None}


def change_price(
    self: Any,
    *,
    price_cents: int | None,
    currency: str | None = None,
    by: User | None = None,
    reason: str | None = None,
    now: datetime | None = None,
) -> Writes:
    """Give the session another price, until it took place; the journal's `details` keep the one before.

    Args:
        price_cents: whole cents, or None for no price.
        currency: as "ARS"; without it the one it has, else the professional's.

    Raises:
        InvalidDataError: an argument is malformed. InvalidTransitionError: it is executed, cancelled or a no-show.
        NotPermittedError: `by` is none of the staff.
    """
    if price_cents is None:
        return {"price_cents": None, "currency": None}
    return {"price_cents": price_cents, "currency": CURRENCY if currency is None else currency}


CURRENCY: Final = SQL("""(SELECT coalesce(currency, asked) FROM (
    SELECT professional.currency AS asked FROM professionals AS professional
     WHERE professional.organization_id = %(organization_id)s AND professional.user_id = professional_id
) AS professional)""")
