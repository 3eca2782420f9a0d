"""What is brought to temporary tables on Citus is, on one server, what an import finds there anyway."""

from __future__ import annotations

from typing import Any

import peewee
import pytest

from rayces_core import Database, TenantModel
from rayces_core.importing.bringing import brought, tenant_tables
from rayces_core.importing.staging import Staging
from tests.importing import test_external_ids as keys

KEPT = 'WITH users AS MATERIALIZED (SELECT * FROM "users" WHERE organization_id = %(tenant)s)'


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        keys.test_two_children_of_one_name_are_two_by_their_keys,
        keys.test_under_its_key_a_row_is_renamed_by_an_update,
        keys.test_who_is_there_without_a_key_gets_it_by_an_update,
    ],
    ids=lambda test: test.__name__,
)
def test_an_import_ends_the_same(imports: Any, db: Database, a: Any, b: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run, changed = Staging.run, []

    def bringing(staging: Staging, sql: str, **more: Any) -> Any:
        changed.append(brought(sql) != sql)
        return run(staging, brought(sql), **more)

    monkeypatch.setattr(Staging, "run", bringing)
    imports(db, a, *([b] if "b" in imports.__code__.co_varnames[: imports.__code__.co_argcount] else []))
    assert any(changed)


@pytest.mark.parametrize(
    ("sql", "becomes"),
    [
        ("SELECT 1 FROM users JOIN resolved USING (id)", f"{KEPT} SELECT 1 FROM users JOIN resolved USING (id)"),
        (
            "WITH x AS (SELECT 1) SELECT 1 FROM users, resolved",
            f"{KEPT}, x AS (SELECT 1) SELECT 1 FROM users, resolved",
        ),
        ("SET LOCAL a = 1; SELECT 1 FROM users, staged", f"SET LOCAL a = 1; {KEPT} SELECT 1 FROM users, staged"),
        ("SELECT 1 FROM users", None),
        ("WITH users AS (SELECT 1) SELECT 1 FROM users, resolved", None),
        ("WITH x AS (SELECT 1), users (id) AS MATERIALIZED (SELECT 1) SELECT 1 FROM users, resolved", None),
        ("SELECT 1 FROM users JOIN resolved USING (id) FOR UPDATE", None),
        ("SELECT 1 FROM resolved", None),
    ],
)
def test_only_what_is_read_beside_a_temporary_table_is_brought(sql: str, becomes: str | None) -> None:
    assert brought(sql) == (becomes or sql)


def test_tables_of_the_host_are_brought_too() -> None:
    class BroughtRoom(TenantModel):
        name = peewee.CharField()

        class Meta:
            table_name = "brought_rooms"

    assert {"users", "students", "appointments", BroughtRoom._meta.table_name} <= tenant_tables()
    assert brought("SELECT 1 FROM brought_rooms, resolved").startswith("WITH brought_rooms AS MATERIALIZED")
