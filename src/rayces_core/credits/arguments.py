"""What callers pass to the ledger, checked before any SQL."""

from __future__ import annotations

from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, NotPermittedError, TenantNotSetError
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit import CreditTransaction
from rayces_core.models.permissions import STAFF
from rayces_core.models.user import User
from rayces_core.tenancy.scoping import check_reach

MOST_AT_ONCE: Final = 1_000_000_000
# What has to be unique is indexed, and an index holds no longer texts than some 2,700 bytes.
UNIQUE: Final = ("idempotency_key", "payment_method", "payment_reference")
MOST_LETTERS: Final = 255


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


def actor_id(by: object) -> int | None:
    """The id of the acting user; None where nobody acts."""
    if by is None:
        return None
    if not isinstance(by, User) or by.id is None:
        raise InvalidDataError("by", by, "needs the acting User, saved")
    check_reach(by)
    return by.id


def staff_id(by: object, action: str) -> int:
    """The id of the acting member of staff, who has to be given."""
    if by is None:
        raise InvalidDataError("by", by, f"somebody has to {action}; give the acting User")
    actor = actor_id(by)
    if actor is None or not STAFF(None, by):
        raise NotPermittedError(action, actor, (STAFF.who,))
    return actor


def text(given: Any, field: str) -> str | None:
    """A text of the ledger, without blanks around it; None for nothing."""
    value: str | None = getattr(CreditTransaction, field).db_value(given)
    if value is not None and field in UNIQUE and len(value) > MOST_LETTERS:
        raise InvalidDataError(field, value, f"must have at most {MOST_LETTERS} letters")
    return value.strip() or None if value is not None else None


def needed_text(given: Any, field: str) -> str:
    """A text that has to be there."""
    value = text(given, field)
    if value is None:
        raise InvalidDataError(field, given, "must not be empty")
    return value


def payment(method: Any, reference: Any) -> tuple[str | None, str | None]:
    """How a purchase was paid; a reference means something only together with its method."""
    method, reference = text(method, "payment_method"), text(reference, "payment_reference")
    if reference is not None and method is None:
        raise InvalidDataError("payment_method", method, "is needed where there is a payment_reference")
    return method, reference


def appointment_id(given: object) -> int:
    """The id of an Appointment of the bound tenant, or the id itself."""
    if isinstance(given, Appointment):
        check_reach(given)
        given = given.id
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidDataError("appointment", given, "needs a saved Appointment or an id")
    return given
