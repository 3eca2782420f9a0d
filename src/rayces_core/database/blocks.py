"""The `with` blocks of tenants and of privileged work: bind, lend a connection, and leave nothing behind.

Rule it guards: whatever ends a block, an exception out of a signal handler at any bytecode included, its tenant is not
bound any more and its connection is not lost. Python calls the end of a `with` statement by a bound method, whose frame
would keep everything alive; here it is a partial that nobody but the statement has, and that alone holds the lease.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextvars import Token
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

from rayces_core.database.binding import Binding, Block, bind, unbind
from rayces_core.database.callbacks import Around
from rayces_core.database.positions import Trail
from rayces_core.database.session import Lease, Session
from rayces_core.database.transaction import undo_all
from rayces_core.errors import TenantSwitchError, TransactionFailedError

logger = logging.getLogger("rayces_core")

Given = TypeVar("Given")
Leave = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], None]


class _Entered:
    """What the end of a block needs, without what it must not keep alive."""

    __slots__ = ("block", "is_outermost", "session", "token", "units")

    def __init__(
        self, session: Session, block: Block, token: Token[Block | None], is_outermost: bool, units: int
    ) -> None:
        self.session, self.block, self.token = session, block, token
        self.is_outermost, self.units = is_outermost, units


class _End:
    """Stands for `__exit__`: the partial that was made for this block."""

    @overload
    def __get__(self, block: None, kind: type[Any]) -> Callable[..., None]: ...
    @overload
    def __get__(self, block: TenantBlock[Any], kind: type[Any]) -> Leave: ...
    def __get__(self, block: TenantBlock[Any] | None, kind: type[Any]) -> Any:
        # ExitStack asks the class for a function of the block and what ended it.
        return _end_of if block is None else block.end


def _end_of(block: TenantBlock[Any], *ended_by: Any) -> None:
    block.end(*ended_by)


class _Partial(partial[None]):
    """A partial that can hold something."""

    lease: Lease


class TenantBlock(Around, Generic[Given]):
    """Binds for the block what `find()` gives: the binding, and what `as` names. Usable as a decorator as well.

    `way` says where the work of that binding goes: the binding to take for it, the trail of what it writes, its route.

    Raises:
        TenantSwitchError: a transaction of another tenant is open here, or the block is left out of order, or in
            another task or thread.
        TransactionFailedError: a transaction was left open at its end.
    """

    __exit__ = _End()

    def __init__(
        self,
        find: Callable[[], tuple[Binding, Given]],
        holder: Callable[[], Binding | None],
        reason: str | None = None,
        way: Callable[[Binding], tuple[Binding, Trail | None, Any]] | None = None,
    ) -> None:
        self._find, self._holder, self._reason, self._way = find, holder, reason, way
        self.end = _Partial(_leave, entered := _Slot())
        self._entered = entered

    def _recreate_cm(self) -> TenantBlock[Given]:
        return TenantBlock(self._find, self._holder, self._reason, self._way)

    def found(self) -> Self:
        """Find what to bind now, and not only when it is entered: whatever is wrong with the tenant is raised here."""
        answer = self._find()
        self._find = lambda: answer
        return self

    def __enter__(self) -> Given:
        if self._entered.entered is not None:
            raise TenantSwitchError("this block is entered already; call db.tenant(...) anew for each block")
        binding, given = self._find()
        try:
            self._bind(binding)
        except BaseException:
            self._forget()
            raise
        return given

    def _forget(self) -> None:
        """It was interrupted while being entered: as if it never had been."""
        entered = self._entered.entered
        try:
            if entered is not None:
                unbind(entered.block, entered.token)
        finally:
            del self.end  # with it the lease

    def _bind(self, binding: Binding) -> None:
        trail, route = None, None
        if self._way is not None:
            binding, trail, route = self._way(binding)
        holder = self._holder()
        if holder is not None and holder is not binding:
            raise _switched(holder, binding)
        session: Session = binding.engine.session
        lease, is_outermost = session.begin_block()
        self.end.lease = lease
        block, token = bind(binding, self.end, trail, route)
        self._entered.entered = _Entered(session, block, token, is_outermost, len(lease.transactions))
        if self._reason is not None:
            self._entered.log(self._reason)


def _switched(holder: Binding, binding: Binding) -> TenantSwitchError:
    if holder.organization_id != binding.organization_id or holder.read_only == binding.read_only:
        return TenantSwitchError("a transaction of another tenant is open; leave its `with db.atomic():` first")
    if binding.read_only:
        return TenantSwitchError(
            "a unit of work is open, whose rows a block that only reads would not see; read in the unit itself, or "
            "leave its `with db.atomic():` first"
        )
    return TenantSwitchError("a unit of work that only reads is open; leave its `with db.atomic():` first")


class _Slot:
    """Where a block keeps what its end needs, once it is entered."""

    __slots__ = ("_began", "_reason", "entered")

    def __init__(self) -> None:
        self.entered: _Entered | None = None
        self._reason: str | None = None
        self._began = 0.0

    def log(self, reason: str) -> None:
        """Privileged work says why, and how long it took."""
        self._reason, self._began = reason, time.monotonic()
        logger.info("privileged work begins: %s", reason)

    def log_end(self) -> None:
        if self._reason is not None:
            logger.info("privileged work ended after %.3f s: %s", time.monotonic() - self._began, self._reason)


def _leave(
    slot: _Slot, kind: type[BaseException] | None, _: BaseException | None = None, __: TracebackType | None = None
) -> None:
    entered, slot.entered = slot.entered, None
    if entered is None:
        return
    try:
        _unbind(entered)
    finally:
        left_open = _end_lease(entered)
        slot.log_end()
    if left_open and kind is None:
        raise TransactionFailedError("a transaction was still open at the end of the tenant's block; it was undone")


def _unbind(entered: _Entered) -> None:
    try:
        in_order = unbind(entered.block, entered.token)
    except ValueError as error:  # another context: what is bound there is somebody else's
        raise TenantSwitchError(
            "a tenant's block was left in another task or thread than it was entered. A dependency of FastAPI that is "
            "a plain `def` with `yield` is run like that: make it `async def`, or bind the tenant in a middleware; "
            "a generator that outlives its request needs its block around the loop that reads it"
        ) from error
    if not in_order:
        raise TenantSwitchError("tenant blocks were left in another order than entered; nothing is bound now")


def _end_lease(entered: _Entered) -> bool:
    """Undo what was left open, and give the connection back at the end of the outermost block."""
    session = entered.session
    lease = session.lease
    if lease is None:
        return False
    connection = lease.connection
    left_open = len(lease.transactions) > entered.units or (
        not entered.units and connection is not None and not connection.closed and connection.in_transaction
    )
    if left_open:
        undo_all(session)
    if entered.is_outermost:
        session.end_block()
    elif left_open:
        session.give_back()
    return left_open
