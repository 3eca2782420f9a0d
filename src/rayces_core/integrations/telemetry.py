"""OpenTelemetry: a span for each statement, and how long statements take and how the pool stands as metrics.

Rule it guards: operation, table and tenant are told, never SQL, parameters or a row's values.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from rayces_core.database.database import Database
from rayces_core.integrations.needed import missing

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, Observation
except ImportError:
    raise missing("opentelemetry-api", "telemetry") from None

from rayces_core.database.observing import Query

SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)


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
