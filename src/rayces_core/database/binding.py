"""What is bound here: which database, which organization, or privileged work.

The binding is a ContextVar, so a new thread starts without one and fails closed, and an asyncio task
inherits a snapshot. A Binding holds the SQL that carries the tenant inside each message.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import peewee

from rayces_core.errors import TenantNotSetError

bound: ContextVar[Binding | None] = ContextVar("rayces_binding", default=None)
# One object for each time a tenant's block is entered: what was read in one is not served in another.
block: ContextVar[object] = ContextVar("rayces_block", default=None)


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One tenant of one database; `organization_id` is None in privileged work.

    `engine` is the Peewee database that it is a binding of; here it is only handed on.
    """

    engine: Any
    role: str
    organization_id: int | None
    preamble: str = field(init=False)

    def __post_init__(self) -> None:
        tenant = "" if self.organization_id is None else str(int(self.organization_id))
        # One SELECT of set_config, not SET LOCAL: pg_stat_statements keeps one line for all tenants.
        carried = (
            f"SELECT set_config('role', '{self.role}', true), set_config('rayces.organization_id', '{tenant}', true); "
        )
        object.__setattr__(self, "preamble", carried)

    @property
    def privileged(self) -> bool:
        """Whether this is work over all organizations."""
        return self.organization_id is None


def current() -> Binding:
    """The binding of this context; raises TenantNotSetError without one."""
    binding = bound.get()
    if binding is None:
        raise TenantNotSetError
    return binding


class BoundDatabase(peewee.DatabaseProxy):
    """Stands in every model for the database of the current binding, found anew at each use."""

    __slots__ = ()

    def __init__(self) -> None:
        object.__setattr__(self, "_callbacks", [])

    @property
    def obj(self) -> Any:
        """The database of the current binding, or None."""
        binding = bound.get()
        return None if binding is None else binding.engine

    def __getattr__(self, name: str) -> Any:
        return getattr(current().engine, name)

    def atomic(self, *args: Any, **options: Any) -> Any:
        """A unit of work of the bound tenant."""
        return current().engine.atomic(*args, **options)

    def transaction(self, *args: Any, **options: Any) -> Any:
        """The same as atomic()."""
        return current().engine.transaction(*args, **options)

    def savepoint(self) -> Any:
        """A savepoint of the open transaction."""
        return current().engine.savepoint()

    def manual_commit(self) -> Any:
        """A block whose transactions the caller begins and ends."""
        return current().engine.manual_commit()

    def connection_context(self) -> Any:
        """A block that holds a connection."""
        return current().engine.connection_context()


database = BoundDatabase()
