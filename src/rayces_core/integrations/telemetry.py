"""OpenTelemetry: a span for each statement; how long they take, how the pool and how the queues stand as metrics.

Rule it guards: operation, table and tenant are told, never SQL, parameters or a row's values.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from rayces_core import credits, notices
from rayces_core.database.binding import current
from rayces_core.database.database import Database
from rayces_core.integrations.needed import missing
from rayces_core.models.credit import TransactionType
from rayces_core.state_machine import StateChange
from rayces_core.tenancy.organization import on_their_way

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, Observation
except ImportError:
    raise missing("opentelemetry-api", "telemetry") from None

from rayces_core.database.observing import Query

SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
OUTSIDE = """
SELECT CASE WHEN failing_since IS NOT NULL THEN 'failed' WHEN read_at IS NULL THEN 'unread' ELSE 'read' END, count(*)
  FROM outside_calendars WHERE organization_id <> ALL (%(moving)s::bigint[]) GROUP BY 1"""
LINE = "SELECT state, count(*) FROM slot_requests WHERE organization_id <> ALL (%(moving)s::bigint[]) GROUP BY state"
HOLDS = """
SELECT CASE WHEN expires_at < now() THEN 'overdue' ELSE 'open' END, count(*)
  FROM appointments WHERE state = 'pre_confirmed' AND organization_id <> ALL (%(moving)s::bigint[]) GROUP BY 1"""
ABSENCES = """
SELECT state, count(*) FROM time_off_requests WHERE organization_id <> ALL (%(moving)s::bigint[]) GROUP BY state"""
# Seats of groups to come; who lets a seat pass has it until it is swept.
SEATS = """
SELECT seats.state, sum(seats.many)::bigint FROM (
    SELECT planned.capacity, count(attends.id) AS taken
      FROM group_sessions AS planned
      LEFT JOIN appointments AS attends ON attends.organization_id = planned.organization_id
           AND attends.group_session_id = planned.id AND attends.seat IS NOT NULL
     WHERE planned.state = 'open' AND planned.scheduled_at > now()
       AND planned.organization_id <> ALL (%(moving)s::bigint[])
     GROUP BY planned.organization_id, planned.id, planned.capacity
) AS planned
CROSS JOIN LATERAL (VALUES ('taken', planned.taken), ('free', planned.capacity - planned.taken)) AS seats (state, many)
 GROUP BY seats.state"""
BILLED = """
SELECT CASE WHEN state = 'issued' THEN kind ELSE state END, count(*)
  FROM invoices WHERE organization_id <> ALL (%(moving)s::bigint[]) GROUP BY 1"""
FEEDS = """
SELECT CASE WHEN revoked_at IS NULL THEN 'open' ELSE 'revoked' END, count(*)
  FROM calendar_feeds WHERE organization_id <> ALL (%(moving)s::bigint[]) GROUP BY 1"""
# Name, what is counted, by which attribute, the query: rows as they stand.
STANDING = (
    ("rayces.outside_calendars", "{calendar}", "rayces.outside_calendar.outcome", OUTSIDE),
    ("rayces.calendar_feeds", "{feed}", "rayces.calendar_feed.state", FEEDS),
    ("rayces.slot_requests", "{request}", "rayces.slot_request.state", LINE),
    ("rayces.holds", "{appointment}", "rayces.hold.state", HOLDS),
    ("rayces.group_seats", "{seat}", "rayces.group_seat.state", SEATS),
    ("rayces.time_off_requests", "{request}", "rayces.time_off_request.state", ABSENCES),
    ("rayces.invoices", "{invoice}", "rayces.invoice.state", BILLED),
)
# What became of requests, by the index on the journal's subjects.
STEPS = """
SELECT step.event, count(*) FROM slot_requests AS asked
  JOIN state_transitions AS step ON step.organization_id = asked.organization_id
       AND step.subject_type = 'SlotRequest' AND step.subject_id = asked.id
 WHERE asked.organization_id <> ALL (%(moving)s::bigint[]) GROUP BY step.event"""


def instrument(db: Database[Any], *, tracer_provider: Any = None, meter_provider: Any = None) -> None:
    """Tell every statement of `db` from now on, of its tenants' and its privileged work; call it once for each.

    Spans are children of the span that is current. Metrics carry no tenant, which would make a series of each.

    Args:
        tracer_provider, meter_provider: of the OpenTelemetry SDK; the process's own unless given.
    """
    tracer = trace.get_tracer("rayces_core", tracer_provider=tracer_provider)
    meter = metrics.get_meter("rayces_core", meter_provider=meter_provider)
    duration = meter.create_histogram(
        "db.client.operation.duration", "s", "How long statements took", explicit_bucket_boundaries_advisory=SECONDS
    )

    def told(query: Query) -> None:
        duration.record(query.seconds, _attributes(query))
        _span(tracer, query)

    db.on_query(told)
    _watch_pool(db, meter)


def watch_credits(db: Database[Any], *, meter_provider: Any = None) -> Callable[[], None]:
    """Tell how many credits expire by this process's sweeps, and how many every organization's are overdue.

    For the process that sweeps, once: whenever metrics are collected it asks the database, in privileged work.

    Args:
        meter_provider: of the OpenTelemetry SDK; the process's own unless given.

    Returns:
        What ends the counting of those that expire.
    """
    meter = metrics.get_meter("rayces_core", meter_provider=meter_provider)
    expired = meter.create_counter("rayces.credits.expired", "{credit}", "Credits that nobody used in time")

    @credits.lifecycle.on("posted")
    def told(change: StateChange) -> None:
        if change.subject.transaction_type == TransactionType.EXPIRY:
            expired.add(-change.subject.amount)

    def overdue(_: CallbackOptions) -> Iterable[Observation]:
        with db.privileged(reason="telemetry: overdue credits"):
            yield Observation(sum(lot.credits for lot in credits.overdue_lots()))

    meter.create_observable_gauge("rayces.credits.overdue", [overdue], "{credit}", "Expired, and no sweep took them")
    return lambda: credits.lifecycle.off(told)


def watch_queues(db: Database[Any], *, meter_provider: Any = None) -> None:
    """Tell how notices, holds, groups, lines for a time, time off, invoices and calendars stand, of all organizations.

    Who is moved to another cell is counted there.

    Call it in one process alone, such as a worker: each collection counts rows, in privileged work.

    Args:
        meter_provider: of the OpenTelemetry SDK; the process's own unless given.
    """
    meter = metrics.get_meter("rayces_core", meter_provider=meter_provider)

    def standing(_: CallbackOptions) -> Iterable[Observation]:
        found = notices.standing(db)
        for state in ("queued", "due", "sent", "failed", "skipped"):
            yield Observation(getattr(found, state), {"rayces.notice.state": state})

    meter.create_observable_up_down_counter("rayces.notices", [standing], "{notice}", "Notices in the log")
    for name, unit, attribute, sql in STANDING:
        meter.create_observable_up_down_counter(name, [_counted(db, sql, attribute)], unit)
    meter.create_observable_counter(
        "rayces.slot_requests.events", [_counted(db, STEPS, "rayces.slot_request.event")], "{event}"
    )


def _counted(db: Database[Any], sql: str, attribute: str) -> Any:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        with db.privileged(reason="metrics of queues"):
            rows = current().engine.run_prepared(sql, {"moving": on_their_way()}).fetchall()
        return [Observation(count, {attribute: value}) for value, count in rows]

    return observe


def _attributes(query: Query) -> dict[str, str]:
    known = {"db.system.name": "postgresql", "db.operation.name": query.operation}
    if query.table is not None:
        known["db.collection.name"] = query.table
    if query.replica is not None:
        known["rayces.replica"] = query.replica
    if query.error is not None:
        known["error.type"] = type(query.error).__name__
    return known


def _span(tracer: Any, query: Query) -> None:
    ended = time.time_ns()
    attributes: dict[str, Any] = dict(_attributes(query))
    if query.organization_id is not None:
        attributes["rayces.organization_id"] = query.organization_id
    name = query.operation if query.table is None else f"{query.operation} {query.table}"
    started = ended - int(query.seconds * 1e9)
    span = tracer.start_span(name, kind=trace.SpanKind.CLIENT, start_time=started, attributes=attributes)
    if query.error is not None:
        # The error's own words may hold values of the statement.
        span.set_status(trace.StatusCode.ERROR)
    span.end(ended)


def _watch_pool(db: Database[Any], meter: Any) -> None:
    def connections(_: CallbackOptions) -> Iterable[Observation]:
        status = db.pool_status()
        yield Observation(status.in_use, {"db.client.connection.state": "used"})
        yield Observation(status.free, {"db.client.connection.state": "idle"})

    def one(name: str) -> Any:
        return lambda _: [Observation(getattr(db.pool_status(), name))]

    meter.create_observable_up_down_counter("db.client.connection.count", [connections], "{connection}")
    for metric, name in (("max", "max_connections"), ("pending_requests", "waiting")):
        meter.create_observable_up_down_counter(f"db.client.connection.{metric}", [one(name)])
    meter.create_observable_counter("db.client.connection.timeouts", [one("timeouts")], "{timeout}")
