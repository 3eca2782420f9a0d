"""The present moment, aware and in UTC: the one seam through which the library reads time.

Rule: nothing else in the package asks the operating system what time it is, so a test that freezes the clock
freezes all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from rayces_core.errors import InvalidDataError, NaiveDatetimeError

_frozen: ContextVar[datetime | None] = ContextVar("rayces_frozen_clock", default=None)


def now() -> datetime:
    """Give the present moment.

    Returns:
        An aware datetime in UTC with microseconds, or the moment set by the innermost `frozen` block.
    """
    return _frozen.get() or datetime.now(UTC)


def is_frozen() -> bool:
    """Whether a `frozen` block holds the clock, so that the moment is the program's and no longer the machine's."""
    return _frozen.get() is not None


@contextmanager
def frozen(at: datetime) -> Iterator[datetime]:
    """Hold the clock at one moment for the block; blocks nest, and leaving one restores what was before.

    The setting belongs to the context: a thread started inside the block has a running clock, an asyncio task
    inherits the frozen one.

    Args:
        at: the aware moment `now` gives inside the block, in any zone.

    Yields:
        The same moment in UTC.

    Raises:
        NaiveDatetimeError: `at` has no time zone.
        InvalidDataError: `at` is not a datetime.
    """
    held = utc(at, "clock.frozen")
    token = _frozen.set(held)
    try:
        yield held
    finally:
        _frozen.reset(token)


def moment(given: object, field: str = "now") -> datetime:
    """Give the moment that a caller passed, in UTC, or the present one for None; raises as `utc` does."""
    return now() if given is None else utc(given, field)


def utc(value: object, field: str) -> datetime:
    """Turn an aware datetime of any zone into the same moment in UTC.

    Args:
        value: the datetime; anything else is refused.
        field: what the value is for, named in the error.

    Raises:
        NaiveDatetimeError: the datetime has no time zone.
        InvalidDataError: the value is no datetime, or lies outside the years 1 to 9999 in UTC.
    """
    if not isinstance(value, datetime):
        raise InvalidDataError(field, value, f"needs an aware datetime, got {type(value).__name__}")
    if value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        raise NaiveDatetimeError(field, value)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidDataError(field, value, f"{value.isoformat()} is outside the years 1 to 9999 in UTC") from None
