"""psycopg2 connections on which every statement carries its tenant, and nothing of one tenant reaches the next.

Where the server itself answers, the role is the session's, the library's tables are found before anything temporary,
and a message carries the tenant alone. On a connection that ran anything but the library's own SQL the message carries
the role too, and it is cleansed (DISCARD ALL) before another tenant's first statement. Behind a proxy that pools
transactions nothing may be left to the session: there the message carries all three.
"""

from __future__ import annotations

import os
import random
import secrets
import select
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn, Protocol, Self

import psycopg2
from psycopg2.extensions import (
    TRANSACTION_STATUS_IDLE,
    TRANSACTION_STATUS_INERROR,
    TRANSACTION_STATUS_INTRANS,
)
from psycopg2.extensions import connection as PlainConnection  # noqa: N812 - psycopg2 names its classes in lower case
from psycopg2.extensions import cursor as PlainCursor  # noqa: N812

from rayces_core.database.binding import NORMALISES_SET, Binding
from rayces_core.database.casts import read_fast
from rayces_core.database.messages import Prepared
from rayces_core.database.positions import preparing
from rayces_core.errors import TransactionFailedError, UnsafeSQLError

_SYSTEM = random.SystemRandom()
# What a proxy's connection may have kept of whoever had it before; rows and locks, since settings are the proxy's.
TIDY = "CLOSE ALL; UNLISTEN *; DISCARD TEMP; SELECT pg_advisory_unlock_all(); "


# When the server began to count its statistics: anew after each crash, on each server, and nowhere at the same moment.
INCARNATION = "SELECT pg_catalog.pg_stat_get_bgwriter_stat_reset_time()::text"
# A standby gives its transactions no ids.
TRANSACTION = """
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_xact_id()::text END"""


@dataclass(frozen=True, slots=True)
class Footing:
    """How connections of an engine stand: found out with the first one.

    Attributes: `role` that they work as; `is_direct`, whether no proxy stands between; `search_path`, without
    temporary objects, as SQL; `idle_limit_ms`, how long a transaction may idle; `settings` of the session besides;
    `tables_of_constraints`, where errors do not tell: the table of each by its name.
    """

    role: str
    is_direct: bool
    search_path: str
    idle_limit_ms: int | None
    settings: dict[str, str]
    tables_of_constraints: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings_of_transactions(self) -> str:
        """What sets them for one transaction alone, as arguments of a SELECT."""
        names = {"default_transaction_read_only": "transaction_read_only"}
        return "".join(
            f", pg_catalog.set_config('{names.get(name, name)}', '{value}', true)"
            for name, value in self.settings.items()
        )


class Serves(Protocol):
    """What a connection knows of the engine that it works for."""

    # Raises where the block here, of this binding, is of a tenant that lives elsewhere by now.
    refuse_moved: Callable[[Binding], None] | None

    def note_write(self) -> None:
        """Something was written, and is committed or may be."""

    def is_within_unit_on(self, connection: TenantConnection) -> bool:
        """Whether what runs here is within the unit of work that is open on `connection`."""


# Once there was a query, no statement of the transaction can have it write again.
_READ_ONLY = "SET LOCAL transaction_read_only TO on; SELECT; "


class TenantConnection(PlainConnection):
    """A connection that knows whose bindings it serves and, while a transaction is open, which one's it is."""

    binds_apart: ClassVar[bool] = False  # the tenant is a message of its own
    serves: Serves  # the engine of the bindings that may use it
    process_id: int  # of the server's process, or what a proxy says it is
    footing: Footing
    tracer: Callable[[], Any] | None = None  # makes cursors that a monitoring agent looks at
    holder: Binding | None = None
    stained_by: Binding | None = None  # whose SQL, not the library's own, may have left something on it
    has_cursors = False  # named cursors, to be closed with the transaction
    notes_writes = False  # for replicas, which must have them before they are read here
    wrote = False  # in the open unit of work, as far as that is noted
    check: Callable[[str | None], str] | None = None  # gives what goes ahead of whatever is read on a replica
    check_name: str | None = None  # of what is prepared for it
    transaction_id: str | None = None  # of the open unit of work, where it is known; for asking what became of it
    incarnation: object = None  # of the server: one that has recovered from a crash may give an id anew

    def open_for(self, serves: Serves) -> None:
        """Prepare a fresh connection: each statement commits by itself."""
        self.serves, self._process, self.prepared = serves, os.getpid(), Prepared()
        self.process_id = self.get_backend_pid()
        PlainConnection.autocommit.__set__(self, True)  # type: ignore[attr-defined]
        self._poll = select.poll()
        self._poll.register(self.fileno(), select.POLLIN)
        read_fast(self)

    def stand_on(self, footing: Footing) -> None:
        """Take up the role and the rest of the session, where it may have any."""
        self.footing = footing
        settings = "SET TIME ZONE 'UTC'; " if self.get_parameter_status("TimeZone") not in ("UTC", "Etc/UTC") else ""
        if not (self.get_parameter_status("DateStyle") or "ISO").startswith("ISO"):  # psycopg2 saw to it only once
            settings += "SET DateStyle TO 'ISO'; "
        if footing.is_direct:
            settings += f'SET search_path TO {footing.search_path}; SET ROLE "{footing.role}"; '
            settings += "SET rayces.organization_id TO ''; SET rayces.lookup TO ''; "
            if footing.idle_limit_ms is not None:
                settings += f"SET idle_in_transaction_session_timeout TO {footing.idle_limit_ms}; "
            settings += "".join(f"SET {name} TO {value}; " for name, value in footing.settings.items())
        self._sets = footing.is_direct and self.server_version >= NORMALISES_SET
        if footing.is_direct and not self._sets:
            self._carrier = f"rayces_{secrets.token_hex(8)}"
            settings += (
                f"PREPARE {self._carrier} (text) AS SELECT pg_catalog.set_config('rayces.organization_id', $1, true); "
            )
        if footing.is_direct and self.check is not None:
            self.check_name = f"rayces_{secrets.token_hex(8)}"
            settings += f"{preparing(self.check_name)}; "
        try:
            (self.incarnation,) = self.plain(settings + INCARNATION).fetchone() or (None,)
        except psycopg2.errors.InsufficientPrivilege:  # a host may have taken the function from PUBLIC
            self.plain(f"DEALLOCATE ALL; {settings}")

    def bind_anew(self) -> None:
        """Prepare again what messages begin with, which somebody has deallocated; the connection is idle."""
        if self.footing.is_direct and self.idle and (not self._sets or self.check is not None):
            with suppress(psycopg2.Error):  # the next statement says what is wrong with it
                self.stand_on(self.footing)

    # -- what the pool asks -----------------------------------------------------------------------------------

    @property
    def is_foreign(self) -> bool:
        """Whether another process made it: after a fork the socket is the parent's."""
        return self._process != os.getpid()

    def suits(self, whom: object) -> bool:
        """Whether this binding may have it without its being cleansed."""
        return self.stained_by is None or self.stained_by.sees_as(whom)

    def dropped(self) -> bool:
        """Whether the server has left; asks the socket, and the server only if the socket has something to say."""
        if self.closed:
            return True
        if not self._poll.poll(0):
            return False
        try:
            self.plain("SELECT 1")
        except psycopg2.Error:
            return True
        return bool(self.closed)

    def may_be_lent_again(self) -> bool:
        """Whether the pool may hand it to somebody else: it is whole and idle."""
        if self.closed or not self.idle:
            return False
        self.holder = None
        return True

    # -- what would leave the tenant ----------------------------------------------------------------------------

    @property
    def autocommit(self) -> bool:
        """Always: transactions are opened by `db.atomic()`, with their tenant."""
        return True

    @autocommit.setter
    def autocommit(self, _: object) -> None:
        _refuse()

    def _set_nothing(self, *_: object, **__: object) -> NoReturn:
        """Refused: what it sets would stay on the pooled connection."""
        raise UnsafeSQLError(
            "this would stay on the pooled connection, which others use after this; "
            "name it in Database.connect(url, …), or use SET LOCAL inside `with db.atomic():`"
        )

    set_session = set_isolation_level = set_client_encoding = reset = tpc_begin = _set_nothing

    isolation_level = property(PlainConnection.isolation_level.__get__, _set_nothing)
    readonly = property(PlainConnection.readonly.__get__, _set_nothing)
    deferrable = property(PlainConnection.deferrable.__get__, _set_nothing)

    @property
    def cursor_factory(self) -> Any:
        """What makes its cursors; only what carries the tenant can be one."""
        return PlainConnection.cursor_factory.__get__(self)

    @cursor_factory.setter
    def cursor_factory(self, factory: Any) -> None:
        _check_carries_tenant(factory)
        PlainConnection.cursor_factory.__set__(self, factory)  # type: ignore[attr-defined]

    def lobject(self, *_: object, **__: object) -> NoReturn:
        """Refused: large objects know no tenant."""
        raise UnsafeSQLError("large objects are shared by all organizations; store bytes in a column instead")

    def __enter__(self) -> Self:
        _refuse()
        return self

    # -- state ------------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether no transaction is open."""
        return self.get_transaction_status() == TRANSACTION_STATUS_IDLE

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, failed or not."""
        return self.get_transaction_status() in (TRANSACTION_STATUS_INTRANS, TRANSACTION_STATUS_INERROR)

    def is_direct(self) -> bool:
        """Whether the server process is this connection's own; a proxy answers with a number of its own making."""
        return self.plain("SELECT pg_backend_pid()").fetchone() == (self.get_backend_pid(),)

    # -- messages ---------------------------------------------------------------------------------------------

    def preamble(self, binding: Binding) -> str:
        """What makes the rest of a message the work of `binding`; the connection is idle."""
        self._check_clean(binding)
        return self._check_first() + self._preamble(binding)

    def _check_clean(self, binding: Binding) -> None:
        if not self.is_clean_for(binding):  # a cursor that was kept from another tenant's block comes this way
            raise psycopg2.InterfaceError("connection already closed")
        if self.serves.refuse_moved is not None:
            self.serves.refuse_moved(binding)

    def _check_first(self) -> str:
        # A transaction of its own, as a snapshot may be taken for all of the message with the first query in it.
        return "" if self.check is None else f"BEGIN; {self.check(self.check_name)}COMMIT; "

    def _preamble(self, binding: Binding) -> str:
        return self._binding_of(binding) + (_READ_ONLY if binding.read_only else "")

    def _binding_of(self, binding: Binding) -> str:
        if not self.footing.is_direct or self.stained_by is not None:
            return self._whole_preamble(binding)
        if not binding.tenant:
            return ""  # the session has no tenant, and its role sees all of them
        if self._sets:
            return f"SET LOCAL rayces.organization_id TO '{binding.tenant}'; "
        return f"EXECUTE {self._carrier}('{binding.tenant}'); "

    def _whole_preamble(self, binding: Binding) -> str:
        if self._sets:  # without a function that `rayces migrate harden` takes away
            return (
                f'SET LOCAL search_path TO {self.footing.search_path}; SET LOCAL ROLE "{binding.role}"; '
                f"SET LOCAL rayces.organization_id TO '{binding.tenant}'; "
            )
        # One SELECT of set_config, not SET LOCAL: pg_stat_statements keeps one line for all tenants.
        path = self.footing.search_path.replace("'", "''")
        tidy = "" if self.footing.is_direct else TIDY
        return (
            f"{tidy}SELECT pg_catalog.set_config('search_path', '{path}', true), "
            f"pg_catalog.set_config('role', '{binding.role}', true), "
            f"pg_catalog.set_config('rayces.organization_id', '{binding.tenant}', true)"
            f"{'' if self.footing.is_direct else self.footing.settings_of_transactions}; "
        )

    def is_clean_for(self, binding: Binding | None) -> bool:
        """Whether nothing of another tenant is on it, now that it was cleansed if need be; closed where that failed."""
        if self.stained_by is not None and not self.stained_by.sees_as(binding):
            self._cleanse()
        return not self.closed

    def _cleanse(self) -> None:
        """Have the server forget all that a session can hold, and take up the role again."""
        try:
            if self.footing.is_direct:
                self.plain("DISCARD ALL")
                self.plain(f"SELECT pg_catalog.setseed({_SYSTEM.uniform(-1, 1)!r})")  # which that leaves alone
                self.prepared.forget()
                self.stand_on(self.footing)
            # The driver keeps what the server said beside its answers.
            self.notices, self.notifies = [], []
            self.stained_by = None
        except psycopg2.Error:  # a time-out of a millisecond may be what it was left with
            self.close()
        except BaseException:
            self.close()  # nobody knows how far it came
            raise

    def cursor(self, *args: Any, **options: Any) -> Any:
        """A cursor whose statements carry the tenant; another kind is refused, as it would not."""
        factory = options.setdefault("cursor_factory", self.cursor_factory)
        _check_carries_tenant(factory)
        if args or options.get("name") is not None:
            if options.get("withhold"):
                raise UnsafeSQLError("a cursor WITH HOLD would outlive its transaction and its tenant")
            # psycopg2 takes autocommit for "no transaction" and would refuse; end() closes what it declares.
            options["withhold"], self.has_cursors = True, True
        return super().cursor(*args, **options)

    def plain(self, statement: str, values: tuple[Any, ...] | None = None) -> PlainCursor:
        """Run the library's own statement, outside any tenant."""
        cursor = super().cursor(cursor_factory=PlainCursor)
        cursor.execute(statement, values)
        return cursor

    def begin(self, binding: Binding, isolation: str | None = None, *, findable: bool = False) -> None:
        """Open a transaction that is `binding`'s, in one message; `findable` asks for its id in the same one."""
        mode = f" ISOLATION LEVEL {isolation}" if isolation else ""
        self._check_clean(binding)
        preamble, check = self._preamble(binding), self._check_first()
        before = TIDY if preamble.startswith(TIDY) else ""
        if before and mode and not check:  # after a query it is too late for a level
            self.plain(before)
            before = ""
        asking = TRANSACTION if findable and not binding.read_only else ""
        with self._undone_where_it_fails():
            cursor = self.plain(f"{before}{check}BEGIN{mode}; {preamble.removeprefix(TIDY)}{asking}")
        self.transaction_id = cursor.fetchone()[0] if asking else None  # type: ignore[index]
        self.holder = binding

    @contextmanager
    def _undone_where_it_fails(self) -> Iterator[None]:
        try:
            yield
        except psycopg2.Error:
            self.undo_begun()
            raise

    def undo_begun(self) -> None:
        """End a transaction that a message has begun and not brought to where somebody holds it."""
        if not self.closed and self.holder is None and self.in_transaction:
            self.plain("ROLLBACK")

    def save(self, name: str, *, findable: bool = False) -> None:
        """Make a savepoint."""
        asking = findable and self.transaction_id is None
        cursor = self.plain(f'SAVEPOINT "{name}"; {TRANSACTION if asking else ""}')
        if asking:
            self.transaction_id = cursor.fetchone()[0]  # type: ignore[index]

    def look(self) -> None:
        """Raise if the server has left; asks the socket, and the server only if the socket has something to say."""
        if self._poll.poll(0):
            self.plain("SELECT 1")

    def end(self, verb: str) -> None:
        """COMMIT or ROLLBACK."""
        # PostgreSQL answers the COMMIT of a failed transaction with a ROLLBACK, and no error.
        failed = verb == "COMMIT" and self.get_transaction_status() == TRANSACTION_STATUS_INERROR
        verb = "ROLLBACK" if failed else verb
        try:
            self.plain(f"CLOSE ALL; {verb}" if self.has_cursors and verb == "COMMIT" else verb)
        finally:
            self.holder, self.has_cursors, self.transaction_id = None, False, None
            wrote, self.wrote = self.wrote, False
            if wrote and verb == "COMMIT":
                self.serves.note_write()
        if failed:
            raise TransactionFailedError(
                "a statement of this unit of work had failed, so nothing of it was kept; "
                "let its error leave the block, or run it in an inner `with db.atomic():`"
            )


def _check_carries_tenant(factory: Any) -> None:
    if not (isinstance(factory, type) and getattr(factory, "carries_tenant", False)):
        raise UnsafeSQLError("only a TenantCursor carries the tenant; leave cursor_factory out")


def _refuse() -> None:
    raise UnsafeSQLError("transactions are opened by `with db.atomic():`, which knows whose they are")
