"""Units of work that are run again where that is safe: nothing of them was committed, and another time may succeed.

Rule it guards: no effect twice. What may have been committed is run again only by a caller who says that the unit's own
idempotency keys make that safe. There is no `for attempt in …: with attempt:` form: a `return` in such a block would
leave it before the COMMIT is known, and be taken for success where that fails.
"""

from __future__ import annotations

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import Final, ParamSpec, TypedDict, TypeVar

from rayces_core.database.callbacks import refuse_deferred
from rayces_core.database.engine import Engine
from rayces_core.database.runners import loop_runs_here
from rayces_core.errors import ConfigurationError, RaycesError, TransactionFailedError
from rayces_core.errors.base import NOT_COMMITTED, UNKNOWN

logger = logging.getLogger("rayces_core")

P = ParamSpec("P")
Result = TypeVar("Result")
LONGEST_PAUSE_SECONDS: Final = 5.0


class RetryingOptions(TypedDict, total=False):
    """How a unit of work is run again.

    `idempotent`: its own idempotency keys make that safe, also where it may have been kept (default: no).
    `isolation_level`: of each attempt. `pause_seconds`: the longest pause after the first attempt (default 0.1); the
    next ones are twice as long each, up to 5 seconds, and each is cut at random to no less than half.
    """

    idempotent: bool
    isolation_level: str | None
    pause_seconds: float


class Retrying:
    """Runs a function as a unit of work, again where that is safe. A decorator; `run` does it at once."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        attempts: int,
        *,
        idempotent: bool = False,
        isolation_level: str | None = None,
        pause_seconds: float = 0.1,
    ) -> None:
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise ConfigurationError(f"attempts must be a whole number from 1, not {attempts!r}")
        if not pause_seconds >= 0:
            raise ConfigurationError(f"pause_seconds must be a number of seconds from 0, not {pause_seconds!r}")
        self._engine, self._attempts, self._idempotent = engine, attempts, idempotent
        self._isolation_level, self._pause_seconds = isolation_level, pause_seconds

    def __call__(self, unit: Callable[P, Result]) -> Callable[P, Result]:
        """The same function, each call a unit of work that is run again where that is safe."""
        refuse_deferred(unit, "unit of work")

        @functools.wraps(unit)
        def retried(*args: P.args, **options: P.kwargs) -> Result:
            return self.run(unit, *args, **options)

        return retried

    def run(self, unit: Callable[P, Result], /, *args: P.args, **options: P.kwargs) -> Result:
        """Call `unit` as a unit of work, again where that is safe; returns what it returns.

        Raises:
            TransactionFailedError: a unit of work is open here: the outermost one is what can be run again.
        """
        refuse_deferred(unit, "unit of work")
        engine = self._engine()
        if engine.session.in_transaction:
            raise TransactionFailedError(
                "a unit of work is open here, and only the whole of it can be run again: put db.retrying() around it"
            )
        for attempt in range(1, self._attempts + 1):
            commits = engine.session.commits
            try:
                with engine.atomic(self._isolation_level, findable=True):
                    return unit(*args, **options)
            except RaycesError as error:
                in_part = engine.session.commits != commits
                if not self._may_run_again(error, in_part):
                    raise
                if attempt == self._attempts:
                    if attempt > 1:
                        error.add_note(f"given up after {attempt} attempts")
                    raise
                logger.info("attempt %d of a unit of work ended with %s; it is run again", attempt, error.code)
            self._pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def _may_run_again(self, error: RaycesError, in_part: bool) -> bool:
        """Whether another time may help and does nothing twice; `in_part` says that commit() was called within it."""
        known = (NOT_COMMITTED, UNKNOWN) if self._idempotent else (NOT_COMMITTED,)
        for each in (error, error.__cause__):  # a posting or booking that was in the way of another says so as its own
            if isinstance(each, RaycesError) and (each.retryable or type(each).retryable):
                return each.outcome in known and (self._idempotent or not in_part)
        return False

    def _pause(self, attempt: int) -> None:
        """Wait a random part of a time that doubles; in an event loop's thread, which would stand still, not at all."""
        longest = min(self._pause_seconds * 2.0 ** min(attempt - 1, 30), LONGEST_PAUSE_SECONDS)
        if not loop_runs_here():
            time.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - jitter, no secret
