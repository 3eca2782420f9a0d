"""Positions in the server's log (LSN): what was written here, and how far a replica must be for it to be seen there.

Rule it guards: what was committed here is never missed. That something was written is noted once it is committed, and
the log's position is asked for later, so it lies behind whatever was noted before it was asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, Final

import psycopg2

from rayces_core.errors import InvalidDataError

# Behind every position: a replica is never there.
FAR: Final = 2**64 - 1

# Where the next record will be. Behind a page's header it is where the page begins, as a replica that has replayed all
# says: nothing is on that page yet. With synchronous_commit = off a COMMIT is here before it is anywhere on the disk.
POSITION: Final = """
SELECT (CASE WHEN mod(place, pg_catalog.current_setting('wal_block_size')::numeric) = 24 THEN place - 24
             WHEN mod(place, pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))) = 40
             THEN place - 40 ELSE place END)::text
  FROM (SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0') AS place) AS log
"""

_MARK: Final = "rayces replica"
# Goes ahead of what is read, in its message: where the server is none of which this may be read, nothing is. That it
# has all that was received, and receives, counts for a primary that writes nothing.
_CHECK: Final = f"""
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() AND coalesce(pg_catalog.pg_last_wal_replay_lsn() >= $1, false)
             AND ($2 < 0 OR coalesce(extract(epoch FROM pg_catalog.clock_timestamp()
                                                        - pg_catalog.pg_last_xact_replay_timestamp()) <= $2, false)
                  OR pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn()
                     AND EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver))
            THEN 1
            ELSE ('{_MARK} ' || pg_catalog.pg_is_in_recovery() || ' '
                  || coalesce(pg_catalog.pg_last_wal_replay_lsn() >= $1, false))::integer END
"""
_REFUSED: Final = re.compile(rf"{_MARK} (true|false) (true|false)")
_TOKEN: Final = re.compile(r"([0-9a-f]{8})\.([0-9A-F]{1,16})")


def preparing(name: str) -> str:
    """What prepares the check."""
    return f"PREPARE {name} (pg_catalog.pg_lsn, double precision) AS {_CHECK}"


def checking(name: str | None, position: int, lag_seconds: float | None) -> str:
    """What checks that the server is a replica that has replayed the log up to `position`, and lags no more than that.

    Args:
        name: of the check where it is prepared on the connection.
        lag_seconds: None for no limit.
    """
    place, lag = f"'{position >> 32:X}/{position & 0xFFFFFFFF:X}'", str(-1 if lag_seconds is None else lag_seconds)
    if name is not None:
        return f"EXECUTE {name}({place}, {lag}); "
    return f"{_CHECK.replace('$1', f'{place}::pg_catalog.pg_lsn').replace('$2', f'({lag})')}; "


class Refusal:
    """Why a check refuses. Attributes: `is_standby`; `is_there`, whether it has what was written here."""

    __slots__ = ("is_standby", "is_there")

    def __init__(self, is_standby: bool, is_there: bool) -> None:
        self.is_standby, self.is_there = is_standby, is_there

    def __str__(self) -> str:
        if not self.is_standby:
            return "it is no replica any more"
        return "it lags" if self.is_there else "it has not all that was written here"


def refusal_of(error: Exception | None) -> Refusal | None:
    """Why the check refuses, if that is what the driver's error says."""
    if not isinstance(error, psycopg2.Error) or error.pgcode != "22P02":
        return None
    found = _REFUSED.search(error.diag.message_primary or "")
    return None if found is None else Refusal(found[1] == "true", found[2] == "true")


class Trail:
    """What was written somewhere (a thread, a task, a block), as far as a replica must have it for reads there.

    Attributes: `position`, of the log, that it lies before, as far as that was asked.
    """

    __slots__ = ("_asked", "_noted", "position")

    def __init__(self, position: int = 0) -> None:
        self._noted = self._asked = 0
        self.position = position

    def note(self) -> None:
        """Something was written and is committed, or may be."""
        # Of two that count at once one may be lost; both are committed by then, and it has changed.
        self._noted += 1

    @property
    def is_open(self) -> bool:
        """Whether something was written since the position was asked for."""
        return self._noted != self._asked


# What was written last in this context, by Database: tasks and threads that are begun in it read it as their own. What
# they write themselves has a position behind all that was committed before.
_written: ContextVar[Mapping[int, Trail]] = ContextVar("rayces_written", default={})  # noqa: B039 - never changed


def note(trail: Trail, whose: object) -> None:
    """Something of that Database was written in this thread or task, whose trail it is."""
    trail.note()
    known = _written.get()
    if known.get(id(whose)) is not trail:
        _written.set({**known, id(whose): trail})


def written_before(whose: object) -> list[Trail]:
    """The trail of what was written in this context before what runs here was begun, or by it."""
    found = _written.get().get(id(whose))
    return [] if found is None else [found]


def position_of(trails: Iterable[Trail], ask: Callable[[], int]) -> int:
    """The position that a replica must have reached for all of these; `ask` tells the log's, and is called if need be.

    Threads may share a trail: each asks for itself until one of them has the answer.
    """
    known, position = [(trail, trail._noted) for trail in trails], 0
    if any(trail.is_open for trail, _ in known):
        position = ask()
        for trail, noted in known:
            if trail.is_open:
                trail.position = max(trail.position, position)
                trail._asked = noted
    return max(position, *(trail.position for trail, _ in known))


def token_of(mark: str, position: int) -> str:
    """The position in words that a cookie may carry; `mark` is the database's."""
    return f"{mark}.{position:X}"


def position_in(token: Any, mark: str) -> int:
    """The position that a token has; FAR for one of another database, so that its primary is read.

    Raises:
        InvalidDataError: it is no token.
    """
    found = _TOKEN.fullmatch(token) if isinstance(token, str) else None
    if found is None:
        raise InvalidDataError(
            "after", token, "this is no token of db.causal_token(); leave it out where there is none"
        )
    return int(found[2], 16) if found[1] == mark else FAR
