"""Transactions and savepoints of one session, and what runs after the outermost commit."""

from __future__ import annotations

import logging
from contextlib import ContextDecorator
from types import TracebackType
from typing import TYPE_CHECKING

import psycopg2

from rayces_core.binding import current
from rayces_core.constraints import translate
from rayces_core.session import Session

if TYPE_CHECKING:
    from rayces_core.engine import Engine

logger = logging.getLogger("rayces_core")


class Atomic(ContextDecorator):
    """A unit of work: the outermost one is a transaction, an inner one a savepoint.

    Usable as `with db.atomic():` and as a decorator. An exception undoes the block and goes on.
    """

    def __init__(self, engine: Engine, isolation: str | None = None) -> None:
        self._engine, self._isolation = engine, isolation
        self._session: Session
        self._savepoint: str | None = None
        self._callbacks_before = 0

    def _recreate_cm(self) -> Atomic:
        return Atomic(self._engine, self._isolation)

    def __enter__(self) -> Atomic:
        self._session = session = self._engine._state
        self._begin()
        session.transactions.append(self)
        return self

    def _begin(self) -> None:
        session = self._session
        if not session.transactions:
            self._engine.begin(self._isolation)
        else:
            self._savepoint = f"s{len(session.transactions)}"
            self._engine.control(f'SAVEPOINT "{self._savepoint}"')
        self._callbacks_before = len(session.commit_callbacks)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._session
        session.transactions.pop()
        callbacks = []
        try:
            if kind is None:
                self._commit()
                if not session.transactions:
                    callbacks, session.commit_callbacks = session.commit_callbacks, []
            else:
                self._undo()
        finally:
            if not session.transactions:
                session.commit_callbacks = []
                self._engine.release(session)
        run_callbacks(callbacks)

    def _commit(self) -> None:
        try:
            self._engine.control("COMMIT" if self._savepoint is None else f'RELEASE SAVEPOINT "{self._savepoint}"')
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        del self._session.commit_callbacks[self._callbacks_before :]
        connection = self._session.conn
        if connection is None or connection.closed or connection.idle:
            return
        self._engine.control("ROLLBACK" if self._savepoint is None else f'ROLLBACK TO SAVEPOINT "{self._savepoint}"')

    def rollback(self) -> None:
        """Undo what the block has done so far and go on within a new one."""
        self._undo()
        self._restart()

    def commit(self) -> None:
        """Keep what the block has done so far and go on within a new one."""
        self._commit()
        self._restart()

    def _restart(self) -> None:
        self._session.transactions.pop()
        self._begin()
        self._session.transactions.append(self)


def run_callbacks(callbacks: list) -> None:  # type: ignore[type-arg]
    """Run what waited for the commit; one that fails is logged, since the commit stands."""
    for callback in callbacks:
        try:
            callback()
        except Exception:
            logger.exception("a callback after the commit failed: %r", callback)


def begin_on(engine: Engine, session: Session, isolation: str | None) -> None:
    """Open the transaction of the bound tenant on the session's connection."""
    binding = current()
    connection = engine.check_out(session)
    try:
        connection.begin(binding, isolation)
    except psycopg2.Error as error:
        engine.release(session)
        raise translate(error) from error
