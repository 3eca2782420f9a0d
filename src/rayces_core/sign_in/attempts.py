"""Failed attempts, counted so that guessing is slow and nobody is locked out for long.

Three counts, each under a hash of what it counts: the e-mail address from one network address, the network address, the
e-mail address from anywhere. Who guesses at somebody's password from elsewhere can slow the owner down by a minute at
most; from the owner's own network address, a quarter of an hour.

Rule it guards: an attempt is counted before the password is looked at, so that many at once are as many.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from math import ceil
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.database.messages import Message
from rayces_core.errors import TooManyAttemptsError

# What is counted → attempts that are free, the first wait in seconds, which doubles, and the longest one.
LIMITS: Final[dict[str, tuple[int, int, int]]] = {
    "pair": (5, 15, 900),
    "address": (50, 30, 900),
    "email": (50, 15, 60),
}
FORGOTTEN_AFTER: Final = 24 * 3600
TYPES: Final = {
    "tenant": "bigint",
    "keys": "varchar[]",
    "free": "integer[]",
    "first": "integer[]",
    "longest": "integer[]",
    "now": "timestamptz",
}
FAILURES: Final = f"""CASE WHEN known.last_at < %(now)s - interval '{FORGOTTEN_AFTER} seconds' THEN 1
    ELSE known.failures + 1 END"""
# Rows in one order for everybody. A key that is blocked is left as it is: being tried makes no wait longer.
COUNT: Final = Message(
    f"""
WITH asked AS (
    SELECT * FROM unnest(%(keys)s, %(free)s, %(first)s, %(longest)s) AS asked (key, free, first, longest) ORDER BY key
), counted AS (
    INSERT INTO sign_in_attempts AS known (organization_id, key, failures, last_at)
    SELECT %(tenant)s, key, 1, %(now)s FROM asked
    ON CONFLICT (organization_id, key) DO UPDATE SET failures = {FAILURES}, last_at = %(now)s,
        blocked_until = (
            SELECT CASE WHEN {FAILURES} >= free THEN %(now)s + make_interval(
                secs => least(longest, first * 2 ^ least({FAILURES} - free, 20))) END
              FROM asked WHERE asked.key = known.key)
    WHERE known.blocked_until IS NULL OR known.blocked_until <= %(now)s
    RETURNING key
)
SELECT key, blocked_until FROM sign_in_attempts
 WHERE organization_id = %(tenant)s AND key = ANY (%(keys)s) AND key NOT IN (SELECT key FROM counted)""",
    types=TYPES,
)
FORGET: Final = Message(
    """
DELETE FROM sign_in_attempts WHERE organization_id = %(tenant)s AND key = ANY (%(keys)s)""",
    types=TYPES,
)


def count(email: str, address: str | None) -> None:
    """Count an attempt, as if it had failed already.

    Raises:
        TooManyAttemptsError: it comes too soon after too many others; then it is not counted.
    """
    keys, now = _keys(email, address), clock.now()
    limits = [LIMITS[kind] for kind in keys]
    values: dict[str, Any] = {"tenant": current().organization_id, "keys": list(keys.values()), "now": now}
    values |= dict(zip(("free", "first", "longest"), map(list, zip(*limits, strict=True)), strict=True))
    with current().engine.atomic():
        blocked = current().engine.run_message(COUNT, values).fetchall()
        if blocked:
            raise TooManyAttemptsError(max(_seconds(until, now) for _, until in blocked))


def forget(email: str, address: str | None) -> None:
    """Who has signed in was no guesser: what was counted for the e-mail address starts again."""
    keys = _keys(email, address)
    keys.pop("address", None)  # others may still be guessing from there
    values = {"tenant": current().organization_id, "keys": sorted(keys.values())}
    current().engine.run_message(FORGET, values)


def _keys(email: str, address: str | None) -> dict[str, str]:
    named = {"email": f"email {email}"}
    if address is not None:
        named |= {"pair": f"pair {address} {email}", "address": f"address {address}"}
    return {kind: hashlib.sha256(text.encode()).hexdigest() for kind, text in named.items()}


def _seconds(until: datetime | None, now: datetime) -> int:
    return 1 if until is None else max(1, ceil((until - now).total_seconds()))
