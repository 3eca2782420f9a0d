"""Spans and metrics of the real SDK tell operation, table and tenant, and never a value."""

from datetime import timedelta

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from rayces_core import OutsideCalendar, Student, calendars, clock, credits
from rayces_core.errors import RaycesError
from rayces_core.integrations.telemetry import instrument, watch_credits, watch_queues
from rayces_core.scheduling import (
    accept_offer,
    book,
    book_group,
    create_group_session,
    decline_offer,
    expire_overdue,
    offer_slots,
    request_slot,
)
from tests.factory import (
    make_feed,
    make_group,
    make_invoice,
    make_issued,
    make_notice,
    make_organization,
    make_outside_calendar,
    make_package,
    make_student,
    make_time_off,
    make_user,
)
from tests.scheduling.worlds import ALWAYS, MINUTE, NOW, another_family, at, make_working, open_centre


@pytest.fixture
def told(own_db):
    """A database that is watched, its spans and its metrics."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider(metric_readers=[reader])
    organization = make_organization(own_db)
    instrument(own_db, tracer_provider=tracers, meter_provider=meters)
    yield own_db, organization, exporter, reader, tracers
    meters.shutdown()
    tracers.shutdown()


def test_a_statement_is_a_span_with_operation_table_and_tenant_and_no_value(told):
    db, organization, exporter, _, tracers = told
    with tracers.get_tracer("host").start_as_current_span("request") as request, db.tenant(organization):
        make_student(last_name="Secretson")
        assert Student.select().where(Student.last_name == "Secretson").count() == 1
    spans = [span for span in exporter.get_finished_spans() if span.name != "request"]
    names = [span.name for span in spans]
    assert "insert students" in names
    assert "select students" in names
    for span in spans:
        assert span.parent.span_id == request.get_span_context().span_id
        assert span.attributes["rayces.organization_id"] == organization.id
        assert span.start_time <= span.end_time
        assert "Secretson" not in span.to_json()


def test_a_statement_that_fails_says_which_error_and_not_its_words(told):
    db, organization, exporter, *_ = told
    with db.tenant(organization), pytest.raises(RaycesError):
        db.execute_sql("SELECT 'Secretson'::int FROM students")
    span = exporter.get_finished_spans()[-1]
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"]
    assert "Secretson" not in span.to_json()


def test_privileged_work_is_told_without_a_tenant(told):
    db, _, exporter, *_ = told
    with db.privileged(reason="test"):
        Student.select().count()
    assert "rayces.organization_id" not in exporter.get_finished_spans()[-1].attributes


def test_metrics_tell_durations_by_table_and_the_pool(told):
    db, organization, _, reader, _ = told
    with db.tenant(organization), db.atomic():
        Student.select().count()
        data = reader.get_metrics_data()
    found = {m.name: m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
    points = found["db.client.operation.duration"].data.data_points
    assert any(point.attributes.get("db.collection.name") == "students" for point in points)
    assert all("rayces.organization_id" not in point.attributes for point in points)
    states = {
        p.attributes["db.client.connection.state"]: p.value
        for p in found["db.client.connection.count"].data.data_points
    }
    assert states["used"] == 1
    assert found["db.client.connection.max"].data.data_points[0].value == db.pool_status().max_connections
    assert {"db.client.connection.pending_requests", "db.client.connection.timeouts"} <= set(found)


def test_credits_that_expired_and_those_that_no_sweep_took_are_told(own_db):
    db, organization, reader = own_db, make_organization(own_db), InMemoryMetricReader()
    ended = watch_credits(db, meter_provider=MeterProvider(metric_readers=[reader]))

    def values():
        data = reader.get_metrics_data()
        found = {m.name: m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
        return {name: metric.data.data_points[0].value for name, metric in found.items()}

    with db.tenant(organization):
        credits.purchase_package(make_user(), make_package(credits=3, valid_days=1))
    assert values() == {"rayces.credits.overdue": 0}
    with db.privileged(reason="test"):
        db.execute_sql("UPDATE credit_lots SET expires_at = now() - interval '1 hour'")
    assert values() == {"rayces.credits.overdue": 3}
    with db.privileged(reason="test"):
        assert credits.expire_lots() == 1
    ended()
    assert values() == {"rayces.credits.overdue": 0, "rayces.credits.expired": 3}


@pytest.fixture
def queues(own_db):
    """How the queues stand, as metrics: name → attribute → value."""
    reader = InMemoryMetricReader()
    meters = MeterProvider(metric_readers=[reader])
    watch_queues(own_db, meter_provider=meters)

    def stand():
        data = reader.get_metrics_data()
        found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        return {m.name: {next(iter(p.attributes.values())): p.value for p in m.data.data_points} for m in found}

    yield stand
    meters.shutdown()


def test_metrics_tell_how_notices_of_all_organizations_stand(own_db, queues):
    now = clock.now()
    for _ in range(2):
        with own_db.tenant(make_organization(own_db)):
            make_notice(due_at=now - MINUTE)
            make_notice(retry_at=now + MINUTE)
            make_notice(state="sent", sent_at=now, attempts=1)
            make_notice(state="failed", reason="away", attempts=12)
    assert queues()["rayces.notices"] == {"queued": 4, "due": 2, "sent": 2, "failed": 2, "skipped": 0}


def test_metrics_tell_which_calendars_elsewhere_are_read_and_fail(own_db, queues):
    with own_db.tenant(make_organization(own_db)):
        read, failing, _ = make_outside_calendar(), make_outside_calendar(), make_outside_calendar()
        OutsideCalendar.update(read_at=NOW).where(OutsideCalendar.id << [read.id, failing.id]).execute()
        broken = OutsideCalendar.update(failing_since=NOW, failure="broken")
        broken.where(OutsideCalendar.id == failing.id).execute()
    assert queues()["rayces.outside_calendars"] == {"read": 1, "failed": 1, "unread": 1}


def test_metrics_tell_who_waits_for_a_time_and_what_became_of_offers(own_db, queues):
    with open_centre(own_db) as centre:
        day = {"from_day": at(0).date(), "until_day": at(0).date(), "professional": centre.professional}
        first, second, _ = [request_slot(**another_family(), **day, now=NOW) for _ in range(3)]
        offers = offer_slots(NOW, limit=2)
        accept_offer(first, now=NOW)
        decline_offer(second, now=NOW)
        offers = offer_slots(NOW, limit=1)
        expire_overdue(offers[0].expires_at + MINUTE)
    found = queues()
    assert found["rayces.slot_requests"] == {"taken": 1, "waiting": 2}
    assert found["rayces.slot_requests.events"] == {"offer": 3, "take": 1, "decline": 1, "miss": 1}


def test_metrics_tell_how_holds_groups_time_off_invoices_and_feeds_stand(own_db, queues):
    now = clock.now()
    later = {"scheduled_at": now.replace(minute=0, second=0, microsecond=0) + timedelta(days=3)}
    with own_db.tenant(make_organization(own_db)):
        make_working(weekly_schedule=ALWAYS)
        for decided in ({}, {}, {"state": "approved", "decided_at": now}):
            make_time_off(**decided)
        for make in (make_invoice, make_issued, make_issued, make_feed):
            make()
        calendars.revoke_feed(make_feed())
    with own_db.tenant(make_organization(own_db)):
        professional = make_working(weekly_schedule=ALWAYS)
        group = create_group_session(professional=professional, capacity=3, **later)
        make_group(professional=professional, scheduled_at=later["scheduled_at"] - timedelta(days=6))
        book_group(group, **another_family())
        past = now - timedelta(days=5)
        book(
            **another_family(),
            professional=professional,
            scheduled_at=later["scheduled_at"] + timedelta(days=1),
            now=past,
        )
    found = queues()
    assert found["rayces.holds"] == {"open": 1, "overdue": 1}
    assert found["rayces.group_seats"] == {"taken": 1, "free": 2}
    assert found["rayces.time_off_requests"] == {"requested": 2, "approved": 1}
    assert found["rayces.invoices"] == {"draft": 1, "invoice": 2}
    assert found["rayces.calendar_feeds"] == {"open": 1, "revoked": 1}
