"""What is bound here: which database, which organization, or privileged work.

The binding is a ContextVar, so a new thread starts without one and fails closed, and an asyncio task inherits a
snapshot. It ends with the `with` statement that made it even where an exception out of a signal handler keeps every
line of that statement's end from running: the statement holds an object that nobody else does, and where that is gone
the block counts as left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final
from weakref import WeakValueDictionary, ref

import peewee

from rayces_core.database.positions import Trail
from rayces_core.database.runners import runner_here
from rayces_core.errors import TenantNotSetError


class Home:
    """Which database a row is of, within this process: one object for each, whatever engines and logins it has.

    A copy of a row keeps it; a row that was pickled knows no database any more.

    Attributes: `mark`, the same in every process that knows the database by the same number of the cluster's.
    """

    __slots__ = ("__weakref__", "mark")

    def __init__(self, mark: str = "") -> None:
        self.mark = mark

    def __copy__(self) -> Home:
        return self

    def __deepcopy__(self, _: object) -> Home:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _nowhere, ()


def _nowhere() -> None:
    """What a Home is in another process."""


_homes: WeakValueDictionary[tuple[Any, ...], Home] = WeakValueDictionary()


def home_known_as(*identity: Any) -> Home:
    """The Home of the database that the server knows so; several Database objects may lead to one, by any address."""
    return _homes.setdefault(identity, Home(blake2b(repr(identity).encode(), digest_size=4).hexdigest()))


# The route of blocks of the library's own, such as of looking up who a tenant is, which a move does not end.
WITHIN: Final = object()

# pg_stat_statements tells one SET from another by its value on older servers, and would fill up.
NORMALISES_SET = 180000


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One tenant of one database; `organization_id` is None in privileged work.

    `engine` is the Peewee database that it is a binding of; here it is only handed on.
    `tenant` is the organization's id as the database's setting has it, empty in privileged work.
    `read_only` has the server refuse what writes.
    """

    engine: Any
    role: str
    organization_id: int | None
    read_only: bool = False
    tenant: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tenant", "" if self.organization_id is None else str(int(self.organization_id)))

    @property
    def privileged(self) -> bool:
        """Whether this is work over all organizations."""
        return self.organization_id is None

    def sees_as(self, other: object) -> bool:
        """Whether it is of the same rows, by the same engine, whether one of them only reads or not."""
        same = self is other
        return same or (
            isinstance(other, Binding) and self.engine is other.engine and self.organization_id == other.organization_id
        )


class Block:
    """One time that a block is entered; what was read in one is not served in another.

    Attributes: `trail`, of what was written within it, and `route`, where it reads, or WITHIN.
    """

    __slots__ = ("_entered_by", "_hold", "_thread", "binding", "outer", "route", "trail", "was_unbound")

    def __init__(
        self, binding: Binding, outer: Block | None, hold: object, trail: Trail | None = None, route: Any = None
    ) -> None:
        self.binding, self.outer, self._hold = binding, outer, ref(hold)
        self.trail, self.route = trail, route
        self._thread, self._entered_by = threading.get_ident(), runner_here()
        self.was_unbound = False

    @property
    def is_left(self) -> bool:
        """Whether the statement that made it has ended here; to tasks and threads that inherited it, it goes on.

        What an exception has kept from being unbound is still there to be inherited, so it has ended for everybody.
        """
        if self._hold() is not None:
            return False
        return not self.was_unbound or (self._thread == threading.get_ident() and self._entered_by == runner_here())


_blocks: ContextVar[Block | None] = ContextVar("rayces_block", default=None)
# What else may bind where no block does; None but in a session of IPython (see rayces_core.database.interactive).
_otherwise: Callable[[], Block | None] | None = None


def bind_otherwise(find: Callable[[], Block | None] | None) -> None:
    """From now on ask `find` where no block binds anything; None for nothing."""
    global _otherwise
    _otherwise = find


def block_here() -> Block | None:
    """The innermost block of this context that goes on, if any; else what the cell of a session uses."""
    block = entered_here()
    return block if block is not None or _otherwise is None else _otherwise()


def entered_here() -> Block | None:
    """The innermost block of this context that goes on, if any."""
    block = _blocks.get()
    while block is not None and block._hold() is None and block.is_left:
        block = block.outer
    return block


def bound_here() -> Binding | None:
    """The binding of this context, if any."""
    block = block_here()
    return None if block is None else block.binding


def trails_here() -> list[Trail]:
    """Of the blocks that go on here: what was written in one by any thread or task is read in it by all of them."""
    found, block = [], _blocks.get()
    while block is not None:
        if block.trail is not None:
            found.append(block.trail)
        block = block.outer
    return found


def current() -> Binding:
    """The binding of this context; raises TenantNotSetError without one."""
    block = _blocks.get()
    if block is not None and block._hold() is not None:
        return block.binding
    binding = bound_here()
    if binding is None:
        raise TenantNotSetError
    return binding


def bind(
    binding: Binding, hold: object, trail: Trail | None = None, route: Any = None
) -> tuple[Block, Token[Block | None]]:
    """Bind until `unbind` is called with what this returns, or until nobody has the object `hold` any more."""
    block = Block(binding, entered_here(), hold, trail, route)
    return block, _blocks.set(block)


def unbind(block: Block, token: Token[Block | None]) -> bool:
    """Restore what was bound before; returns whether blocks are left in the order they were entered, else none is.

    Raises:
        ValueError: this is another context than the block's.
    """
    in_order = _blocks.get() is block
    _blocks.reset(token)
    block.was_unbound = True
    if not in_order:
        _blocks.set(None)
    return in_order


# What fields ask of their database when a class is made; there is one dialect and one driver. Connects to nothing.
DIALECT = peewee.PostgresqlDatabase(None)


class BoundDatabase(peewee.DatabaseProxy):
    """Stands in every model for the database of the current binding, found anew at each use."""

    __slots__ = ()

    def __init__(self) -> None:
        object.__setattr__(self, "_callbacks", [])

    @property
    def obj(self) -> Any:
        """The database of the current binding, or None."""
        binding = bound_here()
        return None if binding is None else binding.engine

    def __getattr__(self, name: str) -> Any:
        return getattr(current().engine, name)

    def attach_callback(self, callback: Any) -> Any:
        """Call back at once: what a database hook wants to know is the same whichever database is bound."""
        callback(DIALECT)
        return callback

    def execute(self, query: Any, named_cursor: bool = False, array_size: int | None = None, **options: Any) -> Any:
        """Run a query; `named_cursor` has it stay on the server and be fetched in pieces, as ServerSide() asks."""
        if named_cursor:
            return query.open_on_server(array_size)
        return current().engine.execute(query, **options)

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
