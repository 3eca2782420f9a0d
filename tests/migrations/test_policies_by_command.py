"""Migration 026: what the application sees of organizations before a tenant is bound, and a ledger that stands."""

from typing import Any

import pytest
from psycopg2 import errors

SEEN = "SELECT subdomain::text FROM organizations ORDER BY 1"


@pytest.fixture
def names(cursor: Any) -> list[str]:
    """Subdomains of the two organizations; the cursor goes on as the application's role with nothing bound."""
    found = [name for (name,) in _all(cursor, SEEN)]
    assert len(found) == 2
    cursor.execute("SET LOCAL ROLE rayces_app")
    return found


@pytest.mark.parametrize("unbound", ["SELECT 1", "SET LOCAL rayces.organization_id = ''"])
def test_a_subdomain_that_is_looked_up_shows_exactly_its_row(cursor: Any, names: list[str], unbound: str) -> None:
    cursor.execute(unbound)
    for name in names:
        cursor.execute(f"SET LOCAL rayces.lookup = '{name}'")
        assert _all(cursor, SEEN) == [(name,)]


@pytest.mark.parametrize("looked_up", ["", "nobody", "%", "NORTH", "' OR true --"])
def test_what_names_nobody_shows_nothing(cursor: Any, names: list[str], looked_up: str) -> None:
    cursor.execute("SELECT set_config('rayces.lookup', %s, true)", (looked_up,))
    assert _all(cursor, SEEN) == []


def test_without_a_look_up_nothing_is_seen(cursor: Any, names: list[str]) -> None:
    assert _all(cursor, SEEN) == []


def test_a_bound_tenant_sees_nothing_more_by_looking_up(cursor: Any, names: list[str]) -> None:
    cursor.execute("SET LOCAL ROLE rayces_admin")
    ids = dict(_all(cursor, "SELECT subdomain::text, id::text FROM organizations"))
    cursor.execute("SET LOCAL ROLE rayces_app")
    mine, other = names
    cursor.execute(f"SET LOCAL rayces.organization_id = '{ids[mine]}'; SET LOCAL rayces.lookup = '{other}'")
    assert _all(cursor, SEEN) == [(mine,)]
    cursor.execute("SET LOCAL rayces.organization_id = '0'")
    assert _all(cursor, SEEN) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE organizations SET name = 'mine'",
        "SELECT id FROM organizations FOR UPDATE",
        "SELECT id FROM organizations FOR KEY SHARE",
    ],
)
def test_what_is_looked_up_can_be_neither_changed_nor_locked(cursor: Any, names: list[str], statement: str) -> None:
    cursor.execute(f"SET LOCAL rayces.lookup = '{names[0]}'")
    cursor.execute(statement)
    assert cursor.rowcount == 0


def test_a_look_up_opens_no_other_table(cursor: Any, names: list[str]) -> None:
    cursor.execute(f"SET LOCAL rayces.lookup = '{names[0]}'")
    assert _all(cursor, "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM credit_transactions)") == [(0, 0)]


def test_privileged_work_looks_up_by_what_it_likes(cursor: Any, names: list[str]) -> None:
    cursor.execute("SET LOCAL ROLE rayces_admin")
    assert _all(cursor, SEEN) == [(name,) for name in names]


@pytest.mark.parametrize("role", ["rayces_app", "rayces_admin"])
def test_no_role_changes_a_settled_entry_of_any_organization(cursor: Any, role: str) -> None:
    cursor.execute("SELECT set_config('rayces.organization_id', min(id)::text, true) FROM organizations")
    cursor.execute(f"SET LOCAL ROLE {role}")
    assert _all(cursor, "SELECT count(*) > 0 FROM credit_transactions WHERE status = 'completed'") == [(True,)]
    cursor.execute("""UPDATE credit_transactions SET metadata = '{"forged": true}'""")
    assert cursor.rowcount == 0


def test_an_entry_cannot_be_written_into_another_organization(cursor: Any) -> None:
    cursor.execute("SELECT set_config('rayces.organization_id', min(id)::text, true) FROM organizations")
    cursor.execute("SET LOCAL ROLE rayces_app")
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        cursor.execute(
            "INSERT INTO credit_transactions (organization_id, user_id, credit_balance_id, amount, transaction_type) "
            "SELECT organization_id + 1, user_id, id, 5, 'purchase' FROM credit_balances"
        )


def test_no_policy_of_the_packaged_migrations_is_restrictive(cursor: Any) -> None:
    assert _all(cursor, "SELECT polname FROM pg_policy WHERE NOT polpermissive") == []


def _all(cursor: Any, sql: str) -> list[Any]:
    cursor.execute(sql)
    return cursor.fetchall()
