"""Connections on which the tenant is a message of its own, as Citus hands on nothing else.

Citus sends the text of a message that sets something for the transaction to each node that takes part, so that message
may hold nothing but the one SET LOCAL. Every statement is therefore within a transaction that the connection opens:
BEGIN, SET LOCAL, the statement, COMMIT. Privileged work has no tenant and is one message less.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import psycopg2

from rayces_core.database.binding import Binding
from rayces_core.database.connection import TIDY, TRANSACTION, Footing, TenantConnection
from rayces_core.database.options import CITUS, POSTGRESQL

_FOR_SESSIONS: Final = "SET citus.propagate_set_commands TO 'local'"
_FOR_ONCE: Final = ", pg_catalog.set_config('citus.propagate_set_commands', 'local', true)"
_SETS: Final = re.compile(r"\s*(SET\s+LOCAL\s+[^;]*)(?:;\s*|$)", re.IGNORECASE)


class CitusConnection(TenantConnection):
    """A connection to the coordinator of Citus."""

    binds_apart = True

    def stand_on(self, footing: Footing) -> None:
        """Take up the role and the rest of the session, and have settings of transactions handed on to other nodes."""
        super().stand_on(footing)
        if footing.is_direct:
            self.plain(_FOR_SESSIONS)

    def begin(self, binding: Binding, isolation: str | None = None, *, findable: bool = False) -> None:
        """Open a transaction that is `binding`'s, in two messages; in one where that is privileged work."""
        self._check_clean(binding)
        by_itself = self.footing.is_direct and self.stained_by is None
        tidy = "" if self.footing.is_direct else TIDY
        mode = f" ISOLATION LEVEL {isolation}" if isolation else ""
        if tidy and mode:  # after a query it is too late for a level
            self.plain(tidy)
            tidy = ""
        mode += " READ ONLY; SELECT" if binding.read_only else ""  # after a query nothing can turn writing on
        taking_up = "" if by_itself else self._taking_up(binding)
        cursor = self.plain(f"{tidy}BEGIN{mode}; {taking_up}{TRANSACTION if findable else ''}")
        self.transaction_id = cursor.fetchone()[0] if findable else None  # type: ignore[index]
        try:
            if binding.tenant or not by_itself:
                self.plain(f"SET LOCAL rayces.organization_id TO '{binding.tenant}'")
        except psycopg2.Error:
            self.give_up()
            raise
        self.holder = binding

    def _taking_up(self, binding: Binding) -> str:
        path = self.footing.search_path.replace("'", "''")
        return (
            f"SELECT pg_catalog.set_config('search_path', '{path}', true), "
            f"pg_catalog.set_config('role', '{binding.role}', true){_FOR_ONCE}"
            f"{'' if self.footing.is_direct else self.footing.settings_of_transactions}; "
        )

    def take_nodes_along(self) -> None:
        """Have the open transaction reach other nodes: COPY as its first statement would find no tenant there."""
        if self.holder is not None and self.holder.tenant:
            self.plain(f"SELECT FROM users WHERE organization_id = {self.holder.tenant} LIMIT 0")

    def give_up(self) -> None:
        """Undo the transaction that was opened for a lone statement; where that fails, close."""
        if not self.closed and not self.idle:
            try:
                self.plain("ROLLBACK")
            except psycopg2.Error:
                with suppress(psycopg2.Error):
                    self.close()
        self.holder, self.has_cursors, self.transaction_id = None, False, None


KINDS: Final[dict[str, type[TenantConnection]]] = {POSTGRESQL: TenantConnection, CITUS: CitusConnection}


def messages_of(query: str, values: Any) -> list[str]:
    """The messages that a query is sent as: what it sets for the transaction at its head goes ahead, one by one."""
    heads = []
    while found := _SETS.match(query):
        if found[0] == query or ("%s" in found[1] and values and not isinstance(values, Mapping)):
            break
        heads.append(found[1])
        query = query[found.end() :]
    return [*heads, query]
