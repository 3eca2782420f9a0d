"""The part of a Database that opens units of work and runs raw SQL, as whatever is bound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from typing_extensions import Unpack

from rayces_core.database.callbacks import refuse_deferred
from rayces_core.database.engine import Engine
from rayces_core.database.retrying import Retrying, RetryingOptions
from rayces_core.database.transaction import Atomic

Callback = TypeVar("Callback", bound=Callable[[], object])


class Units(ABC):
    """What a Database does for what is bound here."""

    @property
    @abstractmethod
    def engine(self) -> Engine:
        """The Peewee database of what is bound here; that of tenants' work where nothing of this Database is."""

    def atomic(self, isolation_level: str | None = None, *, findable: bool = False) -> Atomic:
        """A unit of work, as `with` block or decorator; outside one each statement commits by itself.

        Args:
            findable: have its outcome found out, should the answer of COMMIT be lost, whatever it writes. Units that
                post, book or make transitions are findable anyway.
        """
        return self.engine.atomic(isolation_level, findable=findable)

    def retrying(self, attempts: int = 3, **options: Unpack[RetryingOptions]) -> Retrying:
        """A decorator that makes a function a unit of work, run again where that is safe; `.run(function)` at once.

        Again after an error that is `retryable` and of which nothing was committed. Whether a COMMIT whose answer was
        lost was kept is found out first; where it was, the call succeeds.

        Args:
            attempts: how often it is run at most.
            options: idempotent, isolation_level, pause_seconds; see `RetryingOptions`.

        Raises:
            ConfigurationError: an argument is malformed, or the function is a coroutine or a generator.
            TransactionFailedError: when called within a unit of work.
        """
        return Retrying(lambda: self.engine, attempts, **options)

    def on_commit(self, callback: Callback) -> Callback:
        """Run `callback()` after the outermost commit, never after a rollback; at once outside a transaction.

        A callback that fails is logged, since what was committed stands. Usable as a decorator.

        Raises:
            ConfigurationError: it is a coroutine or generator function, which calling does not run.
        """
        refuse_deferred(callback, "callback after the commit")
        self.engine.after_commit(callback)
        return callback

    def execute_sql(self, sql: str, params: Sequence[Any] | dict[str, Any] | None = None) -> Any:
        """Run raw SQL as the bound tenant and return the psycopg2 cursor; row-level security holds it.

        Raises:
            UnsafeSQLError: the SQL would end the transaction or change the role or tenant.
        """
        return self.engine.execute_sql(sql, params)
