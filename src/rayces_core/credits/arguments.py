"""What callers pass to the ledger, checked before any SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, NotPermittedError, TenantNotSetError
from rayces_core.fields.text import checked_name, is_blank
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit import CreditTransaction
from rayces_core.models.credit_kind import CreditKind
from rayces_core.models.permissions import STAFF
from rayces_core.models.user import User
from rayces_core.state_machine import Permission, check_actor
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.scoping import check_reach

MOST_CENTS: Final = 1_000_000_000_000_000
MOST_AT_ONCE: Final = 1_000_000_000
UNIQUE: Final = ("idempotency_key", "payment_method", "payment_reference")
FURTHEST: Final = timedelta(minutes=1)
# A guardian may note that a payment is on its way; staff or the payment's webhook complete it.
OWN_PENDING: Final = Permission(
    "guardians for themselves, if it is pending", lambda of, user: user.is_guardian and user.id == of
)


def whole_credits(given: object, field: str = "credits") -> int:
    """A number of credits above zero; booleans, floats, text and numbers that no balance can hold are refused."""
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidDataError(field, given, f"credits are whole numbers, got {type(given).__name__}")
    if not 1 <= given <= MOST_AT_ONCE:
        raise InvalidDataError(field, given, f"must be a whole number from 1 to {MOST_AT_ONCE:,}")
    return given


def check_tenant() -> None:
    """Raise in privileged work: ids alone tell no user from another organization's."""
    if current().privileged:
        raise TenantNotSetError("the ledger needs a tenant; wrap the code in `with db.tenant(...):`")


def user_id(given: object, field: str = "user") -> int:
    """The id of a User of the bound tenant, or the id itself."""
    if isinstance(given, User):
        check_reach(given)
        given = given.id
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidDataError(field, given, "needs a saved User or an id")
    return given


def credit_kind_id(given: object) -> int | None:
    """The id of a CreditKind of the bound tenant, or the id itself; None is the default kind."""
    if given is None:
        return None
    if isinstance(given, CreditKind):
        check_reach(given)
        given = given.id
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise InvalidDataError("kind", given, "needs a saved CreditKind or an id")
    return given


def acting_user(by: object, action: str, of: int | None = None, *permitted: Permission) -> User | None:
    """The acting user, who may do that to what is of the user `of`; None where nobody acts.

    Raises:
        NotPermittedError: `by` is none of those. InvalidDataError, CrossTenantError: as `check_actor` does.
    """
    if by is None:
        return None
    check_actor(by, User)
    actor = cast(User, by)
    allowed = (STAFF, *permitted)
    if not any(permission(of, actor) for permission in allowed):
        raise NotPermittedError(action, actor.id, tuple(permission.who for permission in allowed))
    return actor


def acting_staff(by: object, action: str) -> User:
    """The acting member of staff, who has to be given."""
    actor = acting_user(by, action)
    if actor is None:
        raise InvalidDataError("by", by, f"somebody has to {action}; give the acting User")
    return actor


def moment(now: datetime | None) -> datetime:
    """The moment of an entry. It is the server's own, so one that is given may differ from it by a minute at most.

    Where `clock.frozen` holds the clock, in tests and imports of what was, the moment is as given.

    Raises:
        InvalidDataError: `now` is further away. NaiveDatetimeError: it has no zone.
    """
    given = clock.moment(now)
    if now is not None and not clock.is_frozen():
        (there,) = current().engine.run_prepared("SELECT clock_timestamp()", {}).fetchone()
        if abs(given - there) > FURTHEST:
            raise InvalidDataError(
                "now",
                now,
                f"is not the present, which is {there.isoformat()} on the server; leave it out, as an entry bears the "
                "server's moment, or bring in what was within clock.frozen()",
            )
    return given


def text(given: Any, field: str) -> str | None:
    """A text of the ledger, without blanks around it; None for nothing."""
    value: str | None = (
        checked_name(given, field) if field in UNIQUE else getattr(CreditTransaction, field).db_value(given)
    )
    return value.strip() or None if value is not None else None


def needed_text(given: Any, field: str) -> str:
    """A text that has to be there."""
    value = text(given, field)
    if value is None or is_blank(value):
        raise InvalidDataError(field, given, "must not be empty")
    return value


def noted(metadata: object) -> dict[str, Any]:
    """What an entry says besides, as a dictionary of its own."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidDataError("metadata", metadata, f"needs a mapping, got {type(metadata).__name__}")
    return dict(metadata)


def payment(method: Any, reference: Any) -> tuple[str | None, str | None]:
    """How a purchase was paid; a reference means something only together with its method, and may be a number."""
    if isinstance(reference, int) and not isinstance(reference, bool):
        reference = str(reference)
    method, reference = text(method, "payment_method"), text(reference, "payment_reference")
    if reference is not None and method is None:
        raise InvalidDataError("payment_method", method, "is needed where there is a payment_reference")
    return method, reference


def paid_amount(amount_cents: Any, currency: Any) -> tuple[int | None, str | None]:
    """What was paid for a purchase: whole cents and their currency, the organization's where none is given."""
    cents, code = CreditTransaction.amount_cents.db_value(amount_cents), CreditTransaction.currency.db_value(currency)
    if cents is None:
        if code is not None:
            raise InvalidDataError("amount_cents", amount_cents, "is needed where there is a currency")
        return None, None
    if not 0 <= cents <= MOST_CENTS:
        raise InvalidDataError("amount_cents", amount_cents, f"must be a whole number from 0 to {MOST_CENTS:,}")
    return cents, code or Organization.get_by_id(current().organization_id).currency


def appointment_id(given: object) -> int:
    """The id of an Appointment of the bound tenant, or the id itself."""
    if isinstance(given, Appointment):
        check_reach(given)
        given = given.id
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidDataError("appointment", given, "needs a saved Appointment or an id")
    return given
