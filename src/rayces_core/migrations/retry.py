"""Trying again when another session was in the way: a lock not granted in time, a deadlock, a serialization failure."""

from __future__ import annotations

import itertools
import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

import peewee
import psycopg2

logger = logging.getLogger("rayces_core.migrations")

Result = TypeVar("Result")

RETRYABLE = ("55P03", "40P01", "40001")
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 8.0


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of a driver's error, also when Peewee has wrapped it."""
    driver = getattr(error, "orig", error)
    return driver.pgcode if isinstance(driver, psycopg2.Error) else None


def retrying(action: Callable[[int], Result], label: str, budget_seconds: float) -> Result:
    """Return `action(attempt)`, attempts counted from 1, retried while another session is in the way.

    The pause doubles from 0.1 s to 8 s, with jitter; the error of the last attempt is raised once `budget_seconds`
    would be passed.
    """
    deadline = time.monotonic() + budget_seconds
    for attempt in itertools.count(1):
        try:
            return action(attempt)
        except (peewee.DatabaseError, psycopg2.Error) as error:
            pause = _pause_seconds(attempt)
            if sqlstate(error) not in RETRYABLE or time.monotonic() + pause > deadline:
                raise
            reason = str(error).strip().splitlines()[0]
            logger.warning("%s: %s; attempt %d failed, next in %.1f s", label, reason, attempt, pause)
        time.sleep(pause)
    raise AssertionError("itertools.count never ends")


def _pause_seconds(attempt: int) -> float:
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
