"""Spans and metrics of the real SDK tell operation, table and tenant, and never a value."""

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from rayces_core import Student
from rayces_core.errors import RaycesError
from rayces_core.integrations.telemetry import instrument
from tests.factory import make_organization, make_student


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
