"""Who acts: the one check of `by=`, for lifecycles, bookings and the ledger alike.

Rule it guards: what is assigned and not saved convinces nobody; an actor is a user as the database has given it.
"""

from __future__ import annotations

from typing import Any

from rayces_core.database.binding import current
from rayces_core.errors import CrossTenantError, InvalidDataError
from rayces_core.tenancy.scoping import check_reach, tenant_of


def check_actor(actor: Any, kind: type[Any], row: Any = None, *, acts: bool = True) -> None:
    """Raise unless `actor` is a saved `kind`, with nothing assigned that decides what it may do, and may act on `row`.

    Args:
        acts: whether it does something, which nobody does who is not there any more, as its `absence` says.

    Raises:
        InvalidDataError: it is none, was never read or saved, or its id or what `kind.decides` names is not saved; or
            it is not there any more.
        CrossTenantError: it belongs to another organization than the bound one, or than the row.
    """
    if not isinstance(actor, kind) or actor._pk is None:
        raise InvalidDataError("by", actor, "needs the acting User, saved")
    unsaved = set(actor.dirty_field_names)
    # An id that was assigned, and not read or given by the database, makes nobody a user.
    if actor._meta.primary_key.name in unsaved:
        raise InvalidDataError(
            "by", actor, "needs the acting User, saved: read it, as an id that was assigned is no user"
        )
    if decisive := sorted(unsaved & {*getattr(kind, "decides", ()), actor._meta.tenant_field}):
        raise InvalidDataError(
            "by", actor, f"has an unsaved {decisive[0]}, which convinces nobody; save or read the user"
        )
    if acts and (absence := getattr(actor, "absence", None)) is not None:
        raise InvalidDataError("by", actor, absence)
    check_reach(actor)
    own, theirs = None if row is None else tenant_of(row), tenant_of(actor)
    if own is not None and theirs is not None and own != theirs:
        raise CrossTenantError(
            f"a user of organization {theirs} cannot act on a row of organization {own}",
            bound=current().organization_id,
            found=theirs,
        )
