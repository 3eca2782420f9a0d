"""The replicas of a Database: whether each is one of this primary, follows it, and holds tenants as the primary does.

No read fails for a replica's sake, as it goes on to the primary. So what only has reads go elsewhere is a warning, and
an error is what makes of a server no replica at all, or holds tenants there by fewer walls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case
from psycopg2.extras import RealDictCursor

from rayces_core.database.database import Database
from rayces_core.doctor.finding import Finding, Severity
from rayces_core.errors import DatabaseUnreachableError, RaycesError

CODES: Final = (
    *("replica-unreachable", "replica-blind", "replica-foreign", "replica-promoted", "replica-differs"),
    *("replica-not-receiving", "replica-paused", "replica-lags", "replica-delayed", "replica-feedback"),
)
RELOADED: Final = "SELECT pg_reload_conf();"

_PRIMARY: Final = """
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system,
       (SELECT oid::text FROM pg_database WHERE datname = current_database()) AS database,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END::text AS position
"""
_REPLICA: Final = """
SELECT *, is_standby AND coalesce(has_all_received, false) AND is_receiving AS is_up_to_date FROM (
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system,
       (SELECT oid::text FROM pg_database WHERE datname = current_database()) AS database,
       pg_is_in_recovery() AS is_standby,
       EXISTS (SELECT FROM pg_stat_wal_receiver) AS is_receiving,
       CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END AS is_paused,
       pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() AS has_all_received,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::double precision AS seconds,
       greatest(%(position)s::pg_lsn - pg_last_wal_replay_lsn(), 0)::bigint AS bytes,
       current_setting('hot_standby_feedback')::boolean AS feedback,
       current_setting('max_standby_streaming_delay') AS waits,
       CASE current_setting('max_standby_streaming_delay') WHEN '-1' THEN 'infinity'::double precision
            ELSE extract(epoch FROM current_setting('max_standby_streaming_delay')::interval) END AS waits_seconds,
       current_setting('recovery_min_apply_delay') AS delay,
       extract(epoch FROM current_setting('recovery_min_apply_delay')::interval)::double precision AS delay_seconds
) AS facts
"""


def audit_replicas(
    database: Database[Any],
    found: list[Finding],
    connect: Callable[[str], Connection],
    audit: Callable[[Connection], list[Finding]],
) -> list[Finding]:
    """What is wrong with the replicas of a Database; [] of one that has none.

    Args:
        found: what is wrong with the primary, which is not said again. connect, audit: as the primary was looked at.
    """
    if database._routing is None:
        return []
    with closing(connect(database.url)) as primary:
        here = _asked(primary, _PRIMARY)
    made = []
    for replica in database._routing.standings:
        made += list(
            _Looking(replica.replica, database._routing.lag_seconds, here).at(replica.dsn, found, connect, audit)
        )
    return made


class _Looking:
    """At one replica, which is called `name`, and may lag so many seconds; `primary` is what there is to compare."""

    def __init__(self, name: str, lag_seconds: float | None, primary: dict[str, Any]) -> None:
        self._name, self._limit, self._primary = name, lag_seconds, primary

    def at(
        self,
        url: str,
        found: list[Finding],
        connect: Callable[[str], Connection],
        audit: Callable[[Connection], list[Finding]],
    ) -> Iterator[Finding]:
        try:
            connection = connect(url)
        except DatabaseUnreachableError as error:
            yield self._found(
                "warning", "unreachable", f"it is read elsewhere: {error}", "start it, or name no such URL"
            )
            return
        with closing(connection):
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            try:
                facts = _asked(connection, _REPLICA, self._primary)
            except psycopg2.errors.InsufficientPrivilege as error:
                connection.rollback()
                yield self._blind(connection, error)
                return
            if (strange := self._strange(facts)) is not None:
                yield strange
                return
            yield from self._behind(facts)
            yield from self._differing(found, connection, audit)

    def _blind(self, connection: Connection, error: Exception) -> Finding:
        (login,) = _asked(connection, "SELECT quote_ident(session_user)::text AS login").values()
        functions = "pg_control_system(), pg_last_wal_replay_lsn(), pg_last_wal_receive_lsn(), "
        functions += "pg_last_xact_replay_timestamp()"
        return self._found(
            "error",
            "blind",
            f"its login may not see how far it is, and whose replica ({str(error).splitlines()[0]})",
            f"GRANT EXECUTE ON FUNCTION {functions} TO {login}; -- on the primary",
        )

    def _strange(self, facts: dict[str, Any]) -> Finding | None:
        """What makes it no replica of this primary."""
        if [facts[name] for name in ("system", "database")] != [self._primary[name] for name in ("system", "database")]:
            what = "it is of another server (system_identifier), or another database: the primary's are "
            what += f"{self._primary['system']} and {self._primary['database']}, its own {facts['system']} and "
            return self._found(
                "error",
                "foreign",
                f"{what}{facts['database']}",
                "name the URL of a replica, or make one: pg_basebackup -R",
            )
        if not facts["is_standby"]:
            what = "it is not in recovery: it was promoted, or is the primary itself, and has what no replica may have"
            return self._found(
                "error", "promoted", what, "take its URL out, or make it a replica anew: pg_basebackup -R"
            )
        return None

    def _behind(self, facts: dict[str, Any]) -> Iterator[Finding]:
        """What makes it lag, or has its statements cancelled."""
        limit = float("inf") if self._limit is None else self._limit
        allowed = f"replica_lag_seconds is {limit:g}"
        if not facts["is_receiving"]:
            what = "it receives nothing from its primary"
            yield self._found("warning", "not-receiving", what, "look at primary_conninfo, and at its log")
        if facts["is_paused"]:
            yield self._found("warning", "paused", "its replay is paused", "SELECT pg_wal_replay_resume();")
        if not facts["is_up_to_date"] and (facts["seconds"] or 0) > limit:
            behind = f"{facts['seconds']:.0f} s behind, by {facts['bytes']} bytes of the log"
            what = f"it is {behind}; {allowed}, so it is not read"
            yield self._found("warning", "lags", what, "see what keeps its replay: pg_stat_replication on the primary")
        if facts["delay_seconds"] > limit:
            what = f"it replays {facts['delay']} late (recovery_min_apply_delay), and {allowed}, so it is hardly read"
            yield self._found("warning", "delayed", what, f"ALTER SYSTEM RESET recovery_min_apply_delay; {RELOADED}")
        elif facts["waits_seconds"] > limit:
            what = "for ever" if facts["waits"] == "-1" else facts["waits"]
            what = f"replay waits {what} for a statement in its way (max_standby_streaming_delay), and {allowed}"
            mend = f"ALTER SYSTEM SET max_standby_streaming_delay = '{int(limit * 500)}ms'; {RELOADED}"
            yield self._found("warning", "delayed", what, mend)
        if not facts["feedback"]:
            what = f"it cancels statements of {facts['waits']} or more that read what the primary has vacuumed"
            yield self._found("warning", "feedback", what, f"ALTER SYSTEM SET hot_standby_feedback = on; {RELOADED}")

    def _differing(
        self, found: list[Finding], connection: Connection, audit: Callable[[Connection], list[Finding]]
    ) -> Iterator[Finding]:
        """What is wrong there and not on the primary: of another login, or of what has not come yet."""
        try:
            there = audit(connection)
        except RaycesError as error:
            yield self._found("error", "differs", str(error), "wait until it has replayed the migrations")
            return
        known = {(each.check, each.object, each.message) for each in found}
        for each in there:
            if (each.check, each.object, each.message) not in known:
                what = f"{each.check} of {each.object}, and not on the primary: {each.message}"
                yield self._found(each.severity, "differs", what, f"{each.remedy} -- on the primary, if not on its way")

    def _found(self, severity: Severity, code: str, message: str, remedy: str) -> Finding:
        return Finding(severity, f"replica-{code}", self._name, message, remedy)


def _asked(connection: Connection, sql: str, values: Any = None) -> dict[str, Any]:
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(sql, values)
        return dict(cursor.fetchone() or {})
