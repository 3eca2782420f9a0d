"""Jobs of Celery, RQ and procrastinate: the tenant and the acting user travel with the job, as two short texts.

Rule it guards: a job without them fails closed. They are believed as the broker is: who can write to the broker can
name any tenant and user, so keep it as closed as the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, TenantNotSetError
from rayces_core.integrations.logs import acting
from rayces_core.integrations.tenants import Served
from rayces_core.models.user import User
from rayces_core.state_machine.actors import check_actor

TENANT, USER = "rayces-tenant", "rayces-user"
LARGEST = 2**63 - 1
LONGEST = 20


def carry(by: User | None = None) -> dict[str, str]:
    """The headers of a job: the bound tenant's id, and that of the user for whom it is done.

    Raises:
        TenantNotSetError: no tenant is bound, or privileged work is: a job of it enters its own block.
        InvalidDataError, CrossTenantError: `by` is no saved user of the bound tenant.
    """
    organization_id = current().organization_id
    if organization_id is None:
        raise TenantNotSetError("privileged work has no tenant to carry; enter `with db.tenant(...)` to hand a job on")
    if by is None:
        return {TENANT: str(organization_id)}
    check_actor(by, User)
    return {TENANT: str(organization_id), USER: str(by.id)}


@contextmanager
def carried(db: Served, headers: Mapping[str, Any] | None) -> Iterator[User | None]:
    """Work as the tenant that the job carries; gives the user it is done for, as the database has it now, or None.

    Args:
        db: the Database, or Cells.
        headers: `self.request.headers` of Celery, `get_current_job().meta` of RQ, or a task's argument.

    Raises:
        TenantNotSetError: the job carries no tenant. InvalidDataError: what it carries is no id.
        UnknownTenantError, InactiveTenantError: the tenant is gone or switched off.
        User.DoesNotExist: the user is gone, or is none of that tenant.
    """
    given = headers or {}
    if given.get(TENANT) is None:
        raise TenantNotSetError("the job carries no tenant; enqueue it with the headers of integrations.jobs.carry()")
    with db.tenant(_id(given, TENANT)):
        user = None if given.get(USER) is None else User.get_by_id(_id(given, USER))
        with acting(user):
            yield user


def _id(headers: Mapping[str, Any], name: str) -> int:
    text = headers[name]
    is_short = isinstance(text, str) and len(text) < LONGEST and text.isascii() and text.isdigit()
    if not is_short or not 0 < int(text) <= LARGEST:
        raise InvalidDataError(name, text, "needs the id that carry() has given")
    return int(text)
