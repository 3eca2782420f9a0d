"""Failed attempts, counted so that guessing is slow and nobody is locked out by it.

Three counts, each under a hash of what it counts: the e-mail address from one network, the network, the e-mail address
from anywhere. The last one does not count where the user has signed in before: who guesses at somebody's password from
elsewhere keeps nobody out who comes from a known place. A network is an IPv4 address, or the /64 of an IPv6 one, of
which a household has all.

Rules it guards: an attempt is counted before the password is looked at, so that many at once are as many; what was
counted for one that succeeded is taken back.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.database.messages import Message
from rayces_core.database.snapshots import unit_of_the_present
from rayces_core.errors import TooManyAttemptsError
from rayces_core.fields.text import unstorable
from rayces_core.sign_in.addresses import network_of

# What is counted → attempts that are free, the first wait in seconds, which doubles, and the longest one.
LIMITS: Final[dict[str, tuple[int, int, int]]] = {
    "pair": (5, 15, 900),
    "address": (50, 30, 900),
    "email": (50, 15, 60),
}
FORGOTTEN_AFTER: Final = 24 * 3600
TYPES: Final = {
    "tenant": "bigint",
    "email": "varchar",
    "email_key": "varchar",
    "network": "inet",
    "network_key": "varchar",
    "keys": "varchar[]",
    "free": "integer[]",
    "first": "integer[]",
    "longest": "integer[]",
    "now": "timestamptz",
    "until": "timestamptz",
    "before": "timestamptz",
}
FAILURES: Final = f"""CASE WHEN known.last_at < %(now)s - interval '{FORGOTTEN_AFTER} seconds' THEN 1
    ELSE known.failures + 1 END"""
# Rows in one order for everybody. A key that is blocked is left as it is: being tried makes no wait longer. What was
# not counted is blocked, even if this statement began before the row that says so was there to be seen.
COUNT: Final = Message(
    f"""
WITH familiar AS (
    SELECT FROM users
     WHERE users.organization_id = %(tenant)s AND users.email = %(email)s
       AND (users.current_sign_in_ip <<= %(network)s OR users.last_sign_in_ip <<= %(network)s OR EXISTS (
            SELECT FROM devices
             WHERE devices.organization_id = %(tenant)s AND devices.user_id = users.id
               AND devices.address <<= %(network)s AND devices.expires_at > %(now)s))
), asked AS (
    SELECT * FROM unnest(%(keys)s, %(free)s, %(first)s, %(longest)s) AS asked (key, free, first, longest)
     WHERE key <> %(email_key)s OR NOT EXISTS (SELECT FROM familiar)
     ORDER BY key
), counted AS (
    INSERT INTO sign_in_attempts AS known (organization_id, key, failures, last_at)
    SELECT %(tenant)s, key, 1, %(now)s FROM asked
    ON CONFLICT (organization_id, key) DO UPDATE SET failures = {FAILURES}, last_at = %(now)s,
        blocked_until = (
            SELECT CASE WHEN {FAILURES} >= free THEN %(now)s + make_interval(
                secs => least(longest, first * 2 ^ least({FAILURES} - free, 20))) END
              FROM asked WHERE asked.key = known.key)
    WHERE known.blocked_until IS NULL OR known.blocked_until <= %(now)s
    RETURNING key, blocked_until
)
SELECT asked.key, counted.key IS NOT NULL, counted.blocked_until, before.blocked_until, before.last_at
  FROM asked
  LEFT JOIN counted ON counted.key = asked.key
  LEFT JOIN sign_in_attempts AS before ON before.organization_id = %(tenant)s AND before.key = asked.key""",
    types=TYPES,
)
# The rows are locked in the order in which they are counted. A wait that another attempt has brought about stays.
TAKE_BACK: Final = Message(
    """
SELECT FROM sign_in_attempts
 WHERE organization_id = %(tenant)s AND (key = ANY (%(keys)s) OR key = coalesce(%(network_key)s, ''))
 ORDER BY key FOR UPDATE""",
    """
DELETE FROM sign_in_attempts WHERE organization_id = %(tenant)s AND key = ANY (%(keys)s)""",
    """
UPDATE sign_in_attempts
   SET failures = greatest(failures - 1, 0),
       blocked_until = CASE WHEN blocked_until IS DISTINCT FROM %(until)s THEN blocked_until END,
       last_at = CASE WHEN last_at = %(now)s THEN coalesce(%(before)s, last_at) ELSE last_at END
 WHERE organization_id = %(tenant)s AND key = coalesce(%(network_key)s, '')""",
    """
DELETE FROM sign_in_attempts
 WHERE organization_id = %(tenant)s AND key = coalesce(%(network_key)s, '') AND failures = 0""",
    types=TYPES,
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that was counted: under which keys, and what its network's count was before."""

    counted_at: datetime
    forgotten: list[str]
    network_key: str | None
    blocked_until: datetime | None
    last_at: datetime | None


def count(email: str, address: str | None) -> Attempt:
    """Count an attempt, as if it had failed already.

    Raises:
        TooManyAttemptsError: it comes too soon after too many others; then it is not counted.
    """
    network = None if address is None else network_of(address)
    keys, now = _keys(email, network), clock.now()
    limits = [LIMITS[kind] for kind in keys]
    values: dict[str, Any] = {"tenant": current().organization_id, "keys": list(keys.values()), "now": now}
    values |= {"email": "" if unstorable(email) else email, "email_key": keys["email"], "network": network}
    values |= dict(zip(("free", "first", "longest"), map(list, zip(*limits, strict=True)), strict=True))
    with unit_of_the_present():
        rows = current().engine.run_message(COUNT, values).fetchall()
        blocked = [before for _, counted, _, before, _ in rows if not counted]
        if blocked:
            raise TooManyAttemptsError(max(_seconds(until, now) for until in blocked))
    known = {key: (until, last_at) for key, _, until, _, last_at in rows}
    address_key = keys.pop("address", None)
    until, last_at = known[address_key] if address_key else (None, None)
    return Attempt(now, sorted(set(keys.values()) & set(known)), address_key, until, last_at)


def take_back(attempt: Attempt) -> None:
    """Who has signed in was no guesser: what was counted for the e-mail address starts again.

    For the network this one attempt is taken back, no other: others may still be guessing from there.
    """
    values: dict[str, Any] = {"tenant": current().organization_id, "keys": attempt.forgotten}
    values |= {"network_key": attempt.network_key, "until": attempt.blocked_until}
    values |= {"now": attempt.counted_at, "before": attempt.last_at}
    current().engine.run_message(TAKE_BACK, values)


def _keys(email: str, network: str | None) -> dict[str, str]:
    named = {"email": f"email {email}"}
    if network is not None:
        named |= {"pair": f"pair {network} {email}", "address": f"address {network}"}
    return {kind: hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest() for kind, text in named.items()}


def _seconds(until: datetime | None, now: datetime) -> int:
    return 1 if until is None else max(1, ceil((until - now).total_seconds()))
