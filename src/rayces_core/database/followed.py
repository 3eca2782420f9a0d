"""The part of an engine that replicas follow: what it writes is noted, its server's log asked for its position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg2

from rayces_core.database.binding import Binding, trails_here
from rayces_core.database.connection import TenantConnection
from rayces_core.database.constraints import translate
from rayces_core.database.pool import Pool
from rayces_core.database.positions import FAR, POSITION, note
from rayces_core.database.runners import loop_runs_here
from rayces_core.database.session import Loops, Session
from rayces_core.errors import EventLoopError


class Followed:
    """What an engine has to do with replicas.

    Attributes:
        replica: what it is called, if it is one. followers: for whom what it writes is noted; None without replicas.
        check: gives what goes ahead of each message, on a replica.
        refuse_moved: where this is one of several databases of an application: asked before each unit of work and each
            statement alone, and raises where the block here is of a tenant that lives in another one by now.
    """

    role: str
    session: Session
    pool: Pool[TenantConnection]
    loops: Loops
    replica: str | None = None
    followers: Any = None
    check: Callable[[str | None], str] | None = None
    refuse_moved: Callable[[Binding], None] | None = None
    _reading: dict[int, Binding]

    def reading(self, organization_id: int) -> Binding:
        """The binding of an organization whose work is read-only: always the same, as a transaction is known by it."""
        found = self._reading.get(organization_id)
        if found is None:
            found = self._reading.setdefault(organization_id, Binding(self, self.role, organization_id, read_only=True))
        return found

    def note_write(self) -> None:
        """Something was written here, and is committed or may be: replicas must have it before they are read here."""
        note(self.session.trail, self.followers)
        for trail in trails_here():
            trail.note()

    def position(self) -> int:
        """Where the server's log is, behind whatever was committed; FAR where that is not told.

        Raises:
            EventLoopError: an event loop runs here, and the Database was made to refuse that.
            DatabaseUnreachableError, ConnectionLostError: the server does not answer.
        """
        if self.loops.are_refused and loop_runs_here():
            raise EventLoopError
        held = self.session.conn
        if held is not None and held.holder is None and held.idle and not held.dropped():
            return _asked(held)
        taken = self.pool.take()
        try:
            return _asked(taken)
        finally:
            self.pool.give_back(taken)


def _asked(connection: TenantConnection) -> int:
    try:
        (position,) = connection.plain(POSITION).fetchone() or (FAR,)
        return int(position)
    except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ObjectNotInPrerequisiteState):
        return FAR  # a host may have taken the function from PUBLIC; a standby has no such position
    except psycopg2.Error as error:
        raise translate(error) from error
