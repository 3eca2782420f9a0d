"""Frames have what the rows have, value by value, under the same walls and in the same unit of work."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from rayces_core import Appointment, Database, Organization, Student, TenantNotSetError, User, analysis
from rayces_core.models import TENANT_MODELS
from tests.factory import make_appointment, make_student


def rows_of(query: Any) -> list[dict[str, Any]]:
    """What .dicts() has, under SQL's names."""
    names = {field.name: field.column_name for field in query.model._meta.sorted_fields}
    return [{names.get(key, key): value for key, value in row.items()} for row in query.dicts()]


@pytest.mark.parametrize("model", [Organization, *TENANT_MODELS])
def test_a_models_schema_is_that_of_its_table(db: Database, a: Organization, model: Any) -> None:
    with db.tenant(a):
        table = analysis.to_arrow(model)
    assert analysis.schema(model).equals(table.schema, check_metadata=True)


def test_a_query_a_model_and_a_text_are_read_alike(db: Database, a: Organization) -> None:
    with db.tenant(a):
        for name in ("Luz", "", 'O"H,x', "line\nbreak\r\n\\N", "ñandú"):
            make_student(first_name="Luz", last_name=name or "x", medical_notes=name)
        expected = [row["medical_notes"] for row in Student.select().order_by(Student.id).dicts()]
        for source in (Student, Student.select(), "SELECT * FROM students;  -- all of them"):
            table = analysis.to_arrow(source)
            assert sorted(zip(table["id"].to_pylist(), table["medical_notes"].to_pylist(), strict=True))
            assert [row["medical_notes"] for row in sorted(table.to_pylist(), key=lambda row: row["id"])] == expected


def test_frames_are_read_in_the_callers_unit_of_work(db: Database, a: Organization) -> None:
    with db.tenant(a):
        with pytest.raises(ZeroDivisionError):
            with db.atomic():
                make_student()
                assert Student.select().to_arrow().num_rows == 1
                raise ZeroDivisionError
        assert Student.select().to_arrow().num_rows == 0


def test_without_a_tenant_nothing_is_read(db: Database) -> None:
    for source in (Student, Student.select(), "SELECT 1 AS one"):
        with pytest.raises(TenantNotSetError):
            analysis.to_arrow(source)


def test_states_are_enums_with_every_member(db: Database, a: Organization) -> None:
    with db.tenant(a):
        empty = Appointment.select().to_polars()
        make_appointment()
        frame = Appointment.select().to_polars()
    members = ["draft", "pre_confirmed", "confirmed", "executed", "cancelled", "no_show"]
    assert empty.schema == frame.schema
    assert frame.schema["state"] == pl.Enum(members)
    assert frame["state"].to_list() == ["draft"]


def test_batches_are_of_the_rows_asked_for(db: Database, a: Organization) -> None:
    with db.tenant(a):
        reader = analysis.to_arrow("SELECT n, n::text AS t FROM generate_series(1, 20000) AS n", batch_rows=3000)
    batches = list(reader)
    assert [batch.num_rows for batch in batches] == [3000] * 6 + [2000]
    assert pa.Table.from_batches(batches)["n"].to_pylist() == list(range(1, 20001))


def test_a_tenant_reads_its_own_rows_and_privileged_work_all(db: Database, a: Organization, b: Organization) -> None:
    for organization in (a, b):
        with db.tenant(organization):
            make_student()
    with db.tenant(a):
        assert analysis.to_polars("SELECT organization_id FROM students")["organization_id"].to_list() == [a.id]
    with db.privileged(reason="test"):
        read = set(Student.select().to_polars()["organization_id"].to_list())
    assert {a.id, b.id} <= read


def test_users_frames_of_pandas_have_arrows_types(db: Database, a: Organization) -> None:
    with db.tenant(a):
        make_appointment(scheduled_at=None or make_appointment().scheduled_at + timedelta(days=3))
        frame = User.select().to_pandas()
    assert str(frame.dtypes["id"]) == "int64[pyarrow]"
    assert list(frame["email"]) == [row["email"] for row in frame.to_dict("records")]
