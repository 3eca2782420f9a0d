"""Frames have what the rows have, value by value, under the same walls and in the same unit of work."""

from __future__ import annotations

import json
import subprocess
import sys
from enum import Enum
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from peewee import SQL, fn

from rayces_core import (
    Appointment,
    Database,
    InvalidDataError,
    MissingExtraError,
    Organization,
    RaycesError,
    StatementError,
    Student,
    TenantNotSetError,
    UnsafeSQLError,
    User,
    analysis,
)
from rayces_core.analysis import finishing, kinds
from rayces_core.fields import JSONField
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


def test_frames_of_pandas_have_arrows_types(db: Database, a: Organization) -> None:
    with db.tenant(a):
        make_appointment()
        frame, users = Appointment.select().to_pandas(), User.select().to_pandas()
    assert str(frame.dtypes["cancelled_by_id"]) == "int64[pyarrow]"  # which has NULL only
    assert next(iter(frame["state"].cat.categories)) == "draft"
    assert sorted(users["email"]) == sorted(row["email"] for row in users.to_dict("records"))


def test_every_row_of_a_model_is_what_dicts_has(db: Database, a: Organization) -> None:
    with db.tenant(a):
        for number in range(3):
            make_appointment(notes=None if number else "", metadata={"room": number})
        for model in (Appointment, Student, User):
            expected = {row["id"]: row for row in rows_of(model.select())}
            for row in model.select().to_polars().to_dicts():
                assert {name: plain(value) for name, value in expected[row["id"]].items()} == {
                    name: read(model, name, value) for name, value in row.items()
                }


def plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def read(model: Any, name: str, value: Any) -> Any:
    return json.loads(value) if isinstance(model._meta.columns[name], JSONField) and value is not None else value


def test_joins_aliases_and_aggregates_are_read_as_well(db: Database, a: Organization) -> None:
    with db.tenant(a):
        made = make_appointment()
        pupil = Student.alias()
        joined = Appointment.select(Appointment.id, pupil.id, pupil.last_name, Appointment.state).join(pupil)
        table = joined.to_arrow()
        counted = Appointment.select(Appointment.state, fn.COUNT(Appointment.id).alias("n")).group_by(Appointment.state)
        both = (Student.select(Student.id) | Student.select(Student.id)).to_arrow()
        frame = counted.to_polars()
    assert table.to_pylist() == [
        {"id": made.id, "id_2": made.student_id, "last_name": made.student.last_name, "state": "draft"}
    ]
    assert frame.to_dicts() == [{"state": "draft", "n": 1}]
    assert both.to_pylist() == [{"id": made.student_id}]


def test_a_query_takes_the_tenant_that_is_bound_when_it_is_read(db: Database, a: Any, b: Any) -> None:
    with db.tenant(a):
        make_student()
        query = Student.select()
    with db.tenant(b):
        assert query.to_arrow().num_rows == 0
    with db.tenant(a):
        assert query.to_arrow().num_rows == 1


def test_a_text_takes_values(db: Database, a: Organization) -> None:
    with db.tenant(a):
        by_place = analysis.to_arrow("SELECT %s AS text, %s::int AS n", params=("it's 5 %", 7))
        by_name = analysis.to_arrow("SELECT %(n)s::int AS n", params={"n": 7})
        assert analysis.to_arrow("SELECT '5 %' AS text")["text"].to_pylist() == ["5 %"]
    assert by_place.to_pylist() == [{"text": "it's 5 %", "n": 7}]
    assert by_name.to_pylist() == [{"n": 7}]


def test_documents_are_structs_where_that_is_asked(db: Database, a: Organization) -> None:
    room = pa.struct([("room", pa.int64())])
    with db.tenant(a):
        for number in range(2):
            make_appointment(metadata={"room": number})
        query = Appointment.select(Appointment.metadata).order_by(Appointment.id)
        frame = query.to_polars(json={"metadata": room})
        assert analysis.to_polars("SELECT metadata FROM appointments")["metadata"].dtype == pl.String
        for json_types in ({"meta": room}, {"metadata": "struct"}):
            with pytest.raises(InvalidDataError):
                query.to_arrow(json=json_types)
        with pytest.raises(InvalidDataError, match="no column of JSON"):
            Appointment.select(Appointment.id).to_arrow(json={"id": room})
        with pytest.raises(InvalidDataError, match="document"):
            query.to_arrow(json={"metadata": pa.struct([("room", pa.list_(pa.int64()))])})
    assert frame.schema["metadata"] == pl.Struct({"room": pl.Int64})
    assert frame["metadata"].to_list() == [{"room": 0}, {"room": 1}]


@pytest.mark.parametrize(
    "source",
    [
        "DELETE FROM students",
        "SELECT 1; SELECT 2",
        "",
        "WITH gone AS (DELETE FROM students RETURNING id) SELECT * FROM gone",
        "SELECT 1) TO STDOUT; DELETE FROM students; --",
        "SELECT 1) TO PROGRAM 'true' --",
        "COPY students TO STDOUT",
        "SELECT set_config('rayces.organization_id', '1', true)",
        "SELECT FROM students",
        "EXPLAIN SELECT 1",
    ],
)
def test_what_does_not_only_read_is_refused(db: Database, a: Organization, source: str) -> None:
    with db.tenant(a):
        make_student()
        with pytest.raises(RaycesError):
            analysis.to_arrow(source)
        assert Student.select().count() == 1


@pytest.mark.parametrize(
    "source", [None, 3, [1], Student.update(grade_level="1"), Student.insert(first_name="x"), b"SELECT 1"]
)
def test_what_is_no_source_is_refused(db: Database, a: Organization, source: Any) -> None:
    with db.tenant(a), pytest.raises(InvalidDataError, match="must be a query, a model or the text"):
        analysis.to_arrow(source)


@pytest.mark.parametrize("rows", [0, -1, 2.5, True, "many"])
def test_batches_have_at_least_a_row(db: Database, a: Organization, rows: Any) -> None:
    with db.tenant(a), pytest.raises(InvalidDataError, match="batch_rows"):
        analysis.to_arrow(Student, batch_rows=rows)


def test_a_value_that_is_no_state_is_refused_as_it_is_in_rows(db: Database, a: Organization) -> None:
    with db.tenant(a):
        for word in ("draft", "lost"):
            sql = f"SELECT id, '{word}' AS state FROM appointments"
            assert analysis.to_arrow(sql).schema.field("state").type == pa.string()  # it comes from no column
    words = kinds.of_words(("draft", "confirmed"))
    with pytest.raises(finishing.Failed, match="none of"):
        finishing.FINISHED["words"](pa.array(["draft", None, "lost"]), words)


def test_a_failing_query_leaves_the_connection_usable(db: Database, a: Organization) -> None:
    with db.tenant(a):
        with pytest.raises(RaycesError):
            analysis.to_arrow("SELECT 1 / (20000 - n) AS n FROM generate_series(1, 30000) AS n")
        with pytest.raises(InvalidDataError, match="cast it in SQL"):
            analysis.to_arrow(
                "SELECT n + CASE n WHEN 9000 THEN 9007199254740993 ELSE 0 END AS n FROM numbers".replace(
                    "numbers", "(SELECT generate_series(1, 30000)::numeric) AS t(n)"
                )
            )
        assert analysis.to_arrow("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_one_statement_reads_all_rows(own_pool: Database, a: Organization) -> None:
    with own_pool.tenant(a):
        make_student()
        sent: list[str] = []
        own_pool.engine.query_hooks.append(lambda event: sent.append(event.sql))
        Student.select().to_arrow()
    # One says what the columns are and runs nothing, one which columns of tables they are.
    assert [sql.split(" (")[0] for sql in sent if "LIMIT 0" not in sql and "pg_attribute" not in sql] == ["COPY"]


def test_a_frame_that_cannot_be_made_names_what_to_install(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtraError, match=r"rayces-core\[analysis\]"):
        analysis.to_polars(Student)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pip install pandas"):
        analysis.to_pandas(Student)


@pytest.mark.slow
def test_loading_the_models_loads_no_library_of_frames() -> None:
    code = "import sys, rayces_core.analysis; print([m for m in ('pyarrow', 'polars', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("hostile", ["1 FROM students; COMMIT; SELECT 1", "1) AS q; RESET ROLE; SELECT (1"])
def test_sql_of_ones_own_within_a_query_is_looked_at_too(db: Database, a: Organization, hostile: str) -> None:
    with db.tenant(a), pytest.raises(UnsafeSQLError):
        analysis.to_arrow(Student.select(SQL(hostile)))


@pytest.mark.parametrize(
    "sql, place",
    [
        ("SELECT nosuch FROM students", (1, 8, "SELECT nosuch FROM students")),
        ("SELECT id,\n       nosuch\n  FROM students -- all", (2, 8, "nosuch")),
        (
            "WITH s AS (SELECT * FROM studnts) SELECT * FROM s",
            (1, 26, "WITH s AS (SELECT * FROM studnts) SELECT * FROM s"),
        ),
    ],
)
def test_an_error_names_the_place_in_the_text_that_was_given(db, a, sql, place):
    with db.tenant(a), pytest.raises(StatementError) as refused:
        analysis.to_arrow(sql)
    assert (refused.value.line, refused.value.column, refused.value.excerpt) == place
