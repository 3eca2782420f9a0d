"""What the reader finds in a statement, and what it lets pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.router import reading
from tests.router.reading import faults

TABLES = {"users", "students", "appointments", "credit_balances", "credit_transactions", "state_transitions"}
TENANT = 7

ROUTED = {
    "a place at the source": (
        'SELECT "t1"."id" FROM (SELECT * FROM "users" WHERE "organization_id" = %s) AS "t1"',
        (7,),
    ),
    "a number": ("SELECT id FROM users WHERE organization_id = 7 AND id = 3", None),
    "a cast": ("SELECT id FROM users WHERE (7)::bigint = users.organization_id", None),
    "each side of a join": (
        (
            "SELECT 1 FROM users u JOIN students s ON s.organization_id = %(o)s AND s.primary_contact_id = u.id "
            "WHERE u.organization_id = %(o)s"
        ),
        {"o": 7},
    ),
    "the nullable side in ON": (
        "SELECT 1 FROM users u LEFT JOIN students s ON s.organization_id = 7 WHERE u.organization_id = 7",
        None,
    ),
    "a value that was not given, and need not be": (
        (
            "SELECT 1 FROM users WHERE organization_id = %(o)s AND (%(u)s IS NULL OR id = %(u)s) "
            "AND id = coalesce(%(u)s, 0)"
        ),
        {"o": 7, "u": None},
    ),
    "a table of all": ("SELECT 1 FROM organizations WHERE subdomain = 'north'", None),
    "a lock of what every node has, where the tenant is": (
        (
            "SELECT o.id FROM organizations AS o LEFT JOIN users AS u ON u.organization_id = 7 AND u.id = 0 "
            "WHERE o.id = 7 FOR UPDATE OF o"
        ),
        None,
    ),
    "a name that is no table": (
        "WITH users AS (SELECT 1 AS id) SELECT id FROM users",
        None,
    ),
    "a change": ("UPDATE users SET first_name = 'Ana' WHERE organization_id = 7 AND id = 1", None),
    "rows": ("INSERT INTO users (organization_id, email) VALUES (7, 'a'), (7, 'b')", None),
    "rows out of a statement": (
        (
            "WITH made AS (INSERT INTO users (organization_id, email) VALUES (7, 'a') RETURNING id) "
            "INSERT INTO students (organization_id, primary_contact_id) SELECT 7, id FROM made RETURNING 1"
        ),
        None,
    ),
    "rows of two tables of one organization": (
        (
            "INSERT INTO students (organization_id, primary_contact_id) SELECT 7, u.id FROM users AS u "
            "JOIN appointments AS a ON a.organization_id = 7 AND a.organization_id = u.organization_id "
            "AND a.client_id = u.id WHERE u.organization_id = 7 RETURNING id"
        ),
        None,
    ),
    "a searched CASE": (
        "UPDATE users SET role = CASE WHEN id = 1 THEN 2 END WHERE organization_id = 7",
        None,
    ),
    "a lock of what an array names": (
        (
            "WITH named AS (SELECT id FROM students WHERE organization_id = 7), locked AS (SELECT id FROM users "
            "WHERE organization_id = 7 AND id = ANY(ARRAY(SELECT id FROM named)) FOR UPDATE) "
            "INSERT INTO users (organization_id, id) SELECT 7, id FROM locked RETURNING 1"
        ),
        None,
    ),
    "a lock that is joined, of a statement that is sent whole": (
        (
            "WITH named AS (SELECT id FROM students WHERE organization_id = 7), locked AS (SELECT users.id FROM users "
            "JOIN named ON named.id = users.id WHERE users.organization_id = 7 FOR UPDATE OF users) "
            "SELECT id FROM locked"
        ),
        None,
    ),
    "a moment and an interval": (
        "UPDATE users SET updated_at = %(n)s + %(t)s WHERE organization_id = %(o)s",
        {"o": 7, "n": datetime(2026, 1, 1, tzinfo=UTC), "t": timedelta(minutes=5)},
    ),
    "the balance after its entry": (
        (
            "WITH entry AS (INSERT INTO credit_transactions (organization_id, amount) VALUES (7, 1) RETURNING *), "
            "moved AS (UPDATE credit_balances SET balance = 1 FROM entry WHERE credit_balances.organization_id = 7) "
            "SELECT id FROM entry"
        ),
        None,
    ),
}
OTHERS = {
    "a sub-select that is planned away": (
        (
            "SELECT 1 FROM users WHERE organization_id = 7 AND (%(s)s::bigint IS NULL OR EXISTS "
            "(SELECT 1 FROM students WHERE organization_id = 7 AND id = coalesce(%(s)s, 0)))"
        ),
        {"s": None},
        reading.PLANNED_AWAY,
    ),
    "another that is": (
        (
            "SELECT 1 FROM users WHERE organization_id = 7 AND (%(s)s IS NOT NULL AND EXISTS "
            "(SELECT 1 FROM students WHERE organization_id = 7 AND id = coalesce(%(s)s, 0)) OR id = 1)"
        ),
        {"s": None},
        reading.PLANNED_AWAY,
    ),
    "no tenant": ("SELECT id FROM users", None, "unbound: users"),
    "another's": ("SELECT id FROM users WHERE organization_id = 8", None, "unbound: users"),
    "another's place": ("SELECT id FROM users WHERE organization_id = %s", (8,), "unbound: users"),
    "one side of a join": (
        "SELECT 1 FROM users u JOIN students s ON s.organization_id = u.organization_id WHERE u.organization_id = 7",
        None,
        "unbound: students",
    ),
    "the wrong side in ON": (
        "SELECT 1 FROM users u LEFT JOIN students s ON s.organization_id = 7 AND u.organization_id = 7",
        None,
        "unbound: users",
    ),
    "an OR": ("SELECT 1 FROM users WHERE organization_id = 7 OR id = 1", None, "unbound: users"),
    "a sub-select": (
        (
            "SELECT 1 FROM users u WHERE organization_id = 7 AND EXISTS "
            "(SELECT 1 FROM students s WHERE s.organization_id = u.organization_id)"
        ),
        None,
        "unbound: students",
    ),
    "a CTE": (
        "WITH x AS (SELECT * FROM users) SELECT 1 FROM x WHERE organization_id = 7",
        None,
        "unbound: users",
    ),
    "one arm of a union": (
        "SELECT 1 FROM users WHERE organization_id = 7 UNION SELECT 1 FROM students",
        None,
        "unbound: students",
    ),
    "the setting": (
        "SELECT 1 FROM users WHERE organization_id = current_setting('rayces.organization_id')::bigint",
        None,
        "unbound: users",
    ),
    "rows of another": ("INSERT INTO users (organization_id, email) VALUES (7, 'a'), (8, 'b')", None, reading.INSERTED),
    "rows of whom they are": (
        (
            "INSERT INTO students (organization_id) "
            "SELECT organization_id FROM users WHERE organization_id = 7 RETURNING id"
        ),
        None,
        reading.INSERTED,
    ),
    "rows of two tables that a number alone holds together": (
        (
            "INSERT INTO students (organization_id, primary_contact_id) SELECT 7, u.id FROM users AS u "
            "JOIN appointments AS a ON a.organization_id = 7 AND a.client_id = u.id WHERE u.organization_id = 7 "
            "RETURNING id"
        ),
        None,
        reading.UNPAIRED,
    ),
    "rows of a table that may have none": (
        (
            "INSERT INTO students (organization_id, primary_contact_id) SELECT 7, u.id FROM users AS u "
            "LEFT JOIN appointments AS a ON a.organization_id = 7 AND a.organization_id = u.organization_id "
            "AND a.client_id = u.id WHERE u.organization_id = 7 RETURNING id"
        ),
        None,
        reading.UNPAIRED,
    ),
    "nothing returned": (
        "INSERT INTO students (organization_id) SELECT 7 FROM users WHERE organization_id = 7",
        None,
        reading.UNRETURNED,
    ),
    "a simple CASE": (
        "UPDATE users SET role = CASE id WHEN 1 THEN 2 END WHERE organization_id = 7",
        None,
        reading.SIMPLE_CASE,
    ),
    "a simple CASE in what a change reads": (
        (
            "WITH given AS (SELECT id, CASE role WHEN 1 THEN 2 END AS role FROM users WHERE organization_id = 7) "
            "UPDATE users SET role = given.role FROM given WHERE organization_id = 7 AND users.id = given.id"
        ),
        None,
        reading.SIMPLE_CASE,
    ),
    "a simple CASE within a sub-select of a change": (
        (
            "DELETE FROM users WHERE organization_id = 7 AND EXISTS (SELECT 1 FROM students "
            "WHERE organization_id = 7 AND 1 = CASE name WHEN 'x' THEN 1 END)"
        ),
        None,
        reading.SIMPLE_CASE,
    ),
    "a simple CASE in what is inserted": (
        "INSERT INTO users (organization_id, role) VALUES (7, CASE %(n)s WHEN 1 THEN 2 END)",
        {"n": 1},
        reading.SIMPLE_CASE,
    ),
    "a sub-select in COALESCE": (
        (
            "UPDATE users SET role = coalesce((SELECT 1 FROM students WHERE organization_id = 7), 2) "
            "WHERE organization_id = 7"
        ),
        None,
        reading.SELECT_IN_CASE,
    ),
    "the clock": (
        "UPDATE users SET updated_at = clock_timestamp() WHERE organization_id = 7",
        None,
        reading.VOLATILE,
    ),
    "a moment and an interval in a CASE": (
        "UPDATE users SET updated_at = CASE WHEN id = 1 THEN %(n)s + %(t)s END WHERE organization_id = %(o)s",
        {"o": 7, "n": datetime(2026, 1, 1, tzinfo=UTC), "t": timedelta(minutes=5)},
        reading.RECKONED,
    ),
    "a column and an interval": (
        "UPDATE users SET updated_at = updated_at + interval '1 hour' WHERE organization_id = 7",
        None,
        reading.RECKONED,
    ),
    "a sub-select in an upsert": (
        (
            "INSERT INTO users (organization_id) VALUES (7) ON CONFLICT (organization_id, id) "
            "DO UPDATE SET role = (SELECT 1 FROM students WHERE organization_id = 7)"
        ),
        None,
        reading.CONFLICT,
    ),
    "nothing as a value": ("SELECT 1 FROM users WHERE organization_id = 7 AND id = NULL", None, reading.NULL_COMPARED),
    "nothing with a type": (
        "SELECT 1 FROM users WHERE organization_id = 7 AND id = NULL::bigint",
        None,
        reading.NULL_COMPARED,
    ),
    "a value that was not given": (
        (
            "SELECT 1 FROM users LEFT JOIN students AS s ON s.organization_id = %(o)s AND s.id = %(s)s::bigint "
            "WHERE users.organization_id = %(o)s"
        ),
        {"o": 7, "s": None},
        reading.NULL_COMPARED,
    ),
    "a table of the session": (
        "UPDATE staged SET id = users.id FROM users WHERE users.organization_id = 7",
        None,
        reading.LOCAL_CHANGED,
    ),
    "the balance before its entry": (
        (
            "WITH held AS (UPDATE credit_balances SET balance = 1 WHERE organization_id = 7 RETURNING id) "
            "INSERT INTO credit_transactions (organization_id, credit_balance_id) SELECT 7, id FROM held RETURNING id"
        ),
        None,
        reading.BALANCE_FIRST,
    ),
    "a table that was written to before": (
        (
            "WITH made AS (INSERT INTO users (organization_id, email) VALUES (7, 'a') RETURNING id) "
            "SELECT count(*) FROM users, made WHERE users.organization_id = 7"
        ),
        None,
        reading.READ_BACK,
    ),
    "a lock of what another part names": (
        (
            "WITH named AS (SELECT id FROM students WHERE organization_id = 7), locked AS (SELECT id FROM users "
            "WHERE organization_id = 7 AND id IN (SELECT id FROM named) FOR UPDATE) "
            "INSERT INTO users (organization_id, id) SELECT 7, id FROM locked RETURNING 1"
        ),
        None,
        reading.LOCKED_BESIDE,
    ),
    "a lock of what every node has, on any of them": (
        "SELECT id FROM organizations WHERE id = 7 FOR UPDATE",
        None,
        reading.LOCKED_ON_ONE,
    ),
    "a sub-select that says which groups of rows there are": (
        (
            "SELECT role FROM users WHERE organization_id = 7 GROUP BY role "
            "HAVING count(*) > (SELECT count(*) FROM students WHERE organization_id = 7)"
        ),
        None,
        reading.HAVING,
    ),
    "no SQL": ("SELEC 1", None, reading.UNREADABLE),
}


@pytest.mark.parametrize("what", ROUTED)
def test_what_is_of_one_tenant_is_let_pass(what: str) -> None:
    sql, values = ROUTED[what]
    assert faults(sql, values, TENANT, TABLES) == set()


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_not_is_named(what: str) -> None:
    sql, values, fault = OTHERS[what]
    assert faults(sql, values, TENANT, TABLES) == {fault}


def test_each_statement_of_a_message_is_read() -> None:
    message = "SELECT 1 FROM users WHERE organization_id = 7; SELECT 1 FROM students"
    assert faults(message, None, TENANT, TABLES) == {"unbound: students"}


def test_privileged_work_is_of_every_tenant_and_held_to_the_other_rules() -> None:
    assert faults("SELECT 1 FROM users", None, None, TABLES) == set()
    sql = "UPDATE users SET role = CASE id WHEN 1 THEN 2 END"
    assert faults(sql, None, None, TABLES) == {reading.SIMPLE_CASE}


def test_privileged_work_locks_the_rows_of_one_organization() -> None:
    lock = "SELECT id FROM users WHERE {} id = 1 FOR NO KEY UPDATE"
    assert faults(lock.format(""), None, None, TABLES) == {reading.LOCKED_UNBOUND}
    assert faults(lock.format("organization_id = %s AND"), (None,), None, TABLES) == {reading.LOCKED_UNBOUND}
    assert faults(lock.format("organization_id = %s AND"), (8,), None, TABLES) == set()
