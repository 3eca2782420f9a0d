"""The packaged migrations: each is undone to the very catalogue it found, loses no row, and adopts MyHub's rows."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from typing import Any

import pglast
import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from rayces_core import CreditLot, CreditTransaction, Database, clock, credits
from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.files import read_directory
from rayces_core.migrations.session import connected
from rayces_core.migrations.steps import Migrator
from tests.migrating.filler import MYHUB, Filler, fill, lost, rows, tables, without_history
from tests.sizes import quick_or_whole

FILES = read_directory(None)
# `make test` undoes every eighth by itself, and all of them at once.
UNDONE = quick_or_whole(range(1, len(FILES) + 1, 8), range(1, len(FILES) + 1))
# The migration by which holds reserve credits, and the one that lets a debit have several refunds.
HOLDS = next(file.number for file in FILES if file.name.endswith("held_credits"))
REFUNDS = next(file.number for file in FILES if file.name.endswith("refunds_and_retries"))
# The one by which a revoked address gives its hash up.
FEEDS = next(file.number for file in FILES if file.name.endswith("feeds_and_lots"))
# The one by which a sale keeps what was agreed.
AGREED = next(file.number for file in FILES if file.name.endswith("agreed_terms"))


@pytest.mark.slow
def test_each_migration_undone_leaves_catalogue_and_rows_as_they_were(
    make_database: Any, connect: Any, migrated: str
) -> None:
    url = make_database()
    runner, connection = Runner(url), connect(url)
    with connected(runner.database):
        for file in FILES:
            if file.number not in UNDONE:
                runner.up(file.number)
                continue
            fill(connection, file.number - 1)
            catalogue, data = without_history(connection), rows(connection)
            runner.up(file.number)
            applied = without_history(connection)
            assert list(lost(data, rows(connection))) == []
            runner.down(file.number - 1, yes=True)
            assert without_history(connection) == catalogue, file.name
            if file.number != 6:  # which keeps what it assigned
                assert rows(connection) == data, file.name
            assert list(lost(data, rows(connection))) == []
            runner.up(file.number)
            assert without_history(connection) == applied, file.name
            assert list(lost(data, rows(connection))) == []
    assert fingerprint(connection) == fingerprint(connect(migrated))  # upgraded step by step it equals a fresh one


@pytest.mark.exhaustive  # `make test` has one with rows, before this
def test_each_of_an_empty_database_goes_back_to_the_catalogue_before_it(
    make_database: Any, connect: Any, migrated: str
) -> None:
    url = make_database()
    runner, connection, before = Runner(url), connect(url), []
    with connected(runner.database):
        for file in FILES:
            before.append(without_history(connection))
            runner.up(file.number)
        whole = fingerprint(connection)
        assert whole == fingerprint(connect(migrated))
        for file, catalogue in zip(reversed(FILES), reversed(before), strict=True):
            runner.down(file.number - 1)
            assert without_history(connection) == catalogue, file.name
        runner.up()
    assert fingerprint(connection) == whole


# `make test` keeps the next one, which ends as far back.
@pytest.mark.exhaustive
def test_everything_undone_at_once_leaves_an_empty_catalogue_without_a_history(
    make_database: Any, connect: Any
) -> None:
    url = make_database()
    connection = connect(url)
    before = fingerprint(connection)
    runner = Runner(url)
    assert runner.up() == [file.name for file in FILES]
    fill(connection, len(FILES))
    assert runner.down(0, yes=True) == [file.name for file in reversed(FILES)]
    assert fingerprint(connection) == before


@pytest.mark.slow
def test_myhub_rows_survive_the_whole_way_there_and_back_in_tables_that_are_never_rewritten(
    make_database: Any, connect: Any
) -> None:
    url = make_database()
    runner, connection = Runner(url), connect(url)
    empty = fingerprint(connection)
    runner.up(1)
    for mark in ("x", "y", "z"):
        fill(connection, 1, mark)
    catalogue, data, heaps = without_history(connection), rows(connection), _heaps(connection)
    assert runner.up() == [file.name for file in FILES[1:]]
    assert _heaps(connection) == heaps
    assert list(lost(data, rows(connection))) == []
    fill(connection, len(FILES), tenants=[1])
    assert runner.down(1, yes=True) == [file.name for file in FILES[:0:-1]]
    assert _heaps(connection) == heaps
    assert without_history(connection) == catalogue
    assert list(lost(data, rows(connection))) == []
    assert len([key for key in rows(connection) if key[0] == "likes"]) == 3 + 1
    assert runner.down(0, yes=True) == [FILES[0].name]
    assert fingerprint(connection) == empty


@pytest.mark.slow
def test_an_older_ledger_gets_its_chain_and_goes_on(at: Any, connect: Any) -> None:
    url = at(21)
    runner, connection = Runner(url), connect(url)
    fill(connection, 21)
    cursor = connection.cursor()
    cursor.execute(OLDER_LEDGER)
    runner.up()
    places = _all(
        connection,
        "SELECT amount, balance_before, balance_after, sequence, previous_sequence FROM credit_transactions "
        "WHERE user_id = (SELECT max(user_id) FROM credit_balances) ORDER BY sequence NULLS LAST",
    )
    assert places == [(9, 0, 9, 1, None), (3, 9, 12, 2, 1), (-5, 12, 7, 3, 2), (7, None, None, None, None)]
    stood = "SELECT balance, last_sequence FROM credit_balances ORDER BY user_id"
    assert _all(connection, stood) == [(4, 4), (4, 4), (0, None), (7, 3)]
    with Database.connect(url) as database, database.privileged(reason="test"):
        assert credits.verify().discrepancies == ()
    with Database.connect(url) as database, database.tenant("clinic-south21"):
        (pending,) = CreditTransaction.select().where(CreditTransaction.status == "pending")
        assert credits.complete(pending).balance_after == 14
        assert credits.debit(pending.user_id, 14).balance_after == 0
        assert credits.purchase(_none_yet(connection), 1).balance_after == 1
        assert credits.verify().is_clean


@pytest.mark.slow
def test_an_older_ledger_gets_its_refunds_and_its_moments_in_order_and_goes_on(at: Any, connect: Any) -> None:
    url = at(REFUNDS - 1)
    runner, connection = Runner(url), connect(url)
    fill(connection, REFUNDS - 1)
    cursor = connection.cursor()
    cursor.execute("UPDATE credit_transactions SET processed_at = '2025-12-31 00:00+00' WHERE sequence = 3")
    cursor.execute("UPDATE credit_transactions SET processed_at = '2126-01-01 00:00+00' WHERE sequence = 4")
    runner.up()
    entries = _all(
        connection,
        "SELECT amount, refundable_before, refundable_after, payment_attempt, processed_at <= now(), "
        "(metadata ->> 'processed_at')::timestamptz < now(), count(*) "
        "FROM credit_transactions GROUP BY 1, 2, 3, 4, 5, 6, sequence ORDER BY sequence",
    )
    assert entries == [
        (5, None, None, 1, True, None, 2),
        (-1, None, 1, 1, True, None, 2),
        (1, 1, 0, 1, True, True, 2),  # bore an earlier moment than the one before
        (-1, None, None, 1, True, False, 2),  # bore one that is still to come
    ]
    assert _all(connection, "SELECT polname FROM pg_policy WHERE polname = 'rayces_backfill'") == []
    with Database.connect(url) as database, database.privileged(reason="test"):
        assert credits.verify().discrepancies == ()
    ((user, subdomain),) = _all(
        connection,
        "SELECT user_id, subdomain FROM credit_balances b JOIN organizations o ON o.id = b.organization_id "
        "ORDER BY o.id LIMIT 1",
    )
    with Database.connect(url) as database, database.tenant(subdomain):
        assert credits.purchase(user, 1).balance_after == 5
        assert credits.verify().is_clean
    runner.down(REFUNDS - 1, yes=True)
    runner.up()
    with Database.connect(url) as database, database.privileged(reason="test"):
        assert credits.verify().discrepancies == ()


@pytest.mark.slow
def test_holds_that_are_there_reserve_what_their_balances_cover_the_earliest_first(at: Any, connect: Any) -> None:
    url = at(HOLDS - 1)
    runner, connection = Runner(url), connect(url)
    fill(connection, HOLDS - 1)  # a balance of 4 in each of two organizations
    connection.cursor().execute(OLDER_HOLDS)
    runner.up()
    held = _all(
        connection,
        "SELECT credits_used, array_agg(reserved_credits) FROM appointments "
        "WHERE uses_credit GROUP BY credits_used, scheduled_at ORDER BY scheduled_at",
    )
    assert held == [(2, [2, 2]), (1, [1, 1]), (3, [0, 0]), (5, [0, 0])]
    assert _all(connection, "SELECT balance, reserved FROM credit_balances") == [(4, 3)] * 2
    with Database.connect(url) as database, database.privileged(reason="test"):
        assert credits.verify().discrepancies == ()
    runner.down(HOLDS - 1, yes=True)
    runner.up()
    assert _all(connection, "SELECT balance, reserved FROM credit_balances") == [(4, 3)] * 2


@pytest.mark.slow
def test_addresses_that_were_revoked_give_their_hash_up(at: Any, connect: Any) -> None:
    url = at(FEEDS - 1)
    runner, connection = Runner(url), connect(url)
    fill(connection, FEEDS - 1)  # an address in each of two organizations
    connection.cursor().execute(REVOKED_FEEDS)
    runner.up()
    hashes = "SELECT secret_hash, revoked_at IS NULL FROM calendar_feeds ORDER BY 1"
    assert _all(connection, hashes) == [*[("0" * 64, False)] * 2, *[("1" * 64, True)] * 2]


@pytest.mark.slow
def test_sales_that_wait_or_failed_keep_what_their_packages_say_and_those_that_count_stay(
    at: Any, connect: Any
) -> None:
    url = at(AGREED - 1)
    runner, connection = Runner(url), connect(url)
    fill(connection, AGREED - 1)  # a package that holds for 30 days in each of two organizations
    connection.cursor().execute(OLDER_SALES)
    runner.up()
    said = (
        "SELECT status, left(package_name, 3), valid_days, valid_until, count(*) FROM credit_transactions "
        "WHERE credit_package_id IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 4"
    )
    agreed = [("Ten", 30, None, 2), ("All", None, date(2040, 1, 1), 2)]
    until = [(status, *terms) for status in ("failed", "pending") for terms in reversed(agreed)]
    assert _all(connection, said)[-4:] == until
    assert {row[1] for row in _all(connection, said)[:-4]} <= {None}
    may = "SELECT has_column_privilege(%s, 'credit_transactions', %s, 'UPDATE')"
    cursor = connection.cursor()
    for role in ("rayces_app", "rayces_admin"):
        for column in ("package_name", "valid_days", "valid_until"):
            cursor.execute(may, (role, column))
            assert cursor.fetchone() == (False,)
    cursor.execute("UPDATE credit_packages SET valid_days = 1, valid_until = NULL")
    with Database.connect(url) as database, database.privileged(reason="test"):
        for entry in CreditTransaction.select().where(CreditTransaction.status == "pending"):
            credits.complete(entry)
        days = CreditLot.select(CreditLot.expires_at).where(CreditLot.expires_at > clock.now() + timedelta(days=20))
        assert len(days) == 4
        assert credits.verify().is_clean
    runner.down(AGREED - 1, yes=True)
    runner.up()


# Of each client's, of a package for days and of one until a day: one that waits, and one whose payment failed.
OLDER_SALES = """
INSERT INTO credit_packages (organization_id, name, credits, valid_until)
SELECT organization_id, 'All the year', 5, '2040-01-01' FROM credit_packages;
INSERT INTO credit_transactions (organization_id, user_id, credit_balance_id, credit_kind_id, amount, transaction_type,
       status, processed_at, credit_package_id)
SELECT held.organization_id, held.user_id, held.id, held.credit_kind_id, 5, 'purchase', sold.status,
       CASE WHEN sold.status = 'failed' THEN now() END, package.id
  FROM credit_balances AS held
  JOIN credit_packages AS package ON package.organization_id = held.organization_id
  CROSS JOIN (VALUES ('pending'), ('failed')) AS sold (status)
 WHERE held.balance = 4
"""
# Beside each address one that was revoked, and has its hash still.
REVOKED_FEEDS = """
INSERT INTO calendar_feeds (organization_id, user_id, secret_hash, revoked_at)
SELECT organization_id, user_id, repeat('2', 64), now() FROM calendar_feeds"""

# Four holds of each client, of which the balance covers two.
OLDER_HOLDS = """
INSERT INTO appointments (organization_id, professional_id, student_id, client_id, scheduled_at, state,
    pre_confirmed_at, expires_at, uses_credit, credits_used)
SELECT organization_id, professional_id, student_id, client_id, scheduled_at + make_interval(days => day),
       'pre_confirmed', '2026-01-01 00:00+00'::timestamptz + make_interval(days => day),
       '2026-02-01 00:00+00', true, cost
  FROM appointments, (VALUES (5, 2), (6, 1), (7, 3), (8, 5)) AS held (day, cost)
 WHERE state = 'draft'"""

# A balance whose entries were not written in the order in which they counted, a pending entry, an empty balance.
OLDER_LEDGER = """
CREATE TEMP TABLE one AS SELECT max(organization_id) AS organization_id FROM users;
INSERT INTO users (organization_id, email) SELECT organization_id, 'empty@example.org' FROM one;
INSERT INTO users (organization_id, email) SELECT organization_id, 'older@example.org' FROM one;
INSERT INTO credit_balances (organization_id, user_id, balance, lifetime_purchased, lifetime_used)
SELECT organization_id, id, 0, 0, 0 FROM users WHERE email = 'empty@example.org';
INSERT INTO credit_balances (organization_id, user_id, balance, lifetime_purchased, lifetime_used)
SELECT organization_id, id, 7, 12, 5 FROM users WHERE email = 'older@example.org';
INSERT INTO appointments (organization_id, professional_id, student_id, client_id, scheduled_at)
SELECT organization_id, professional_id, student_id, client_id, '2026-05-01 12:00+00' FROM appointments
 WHERE organization_id = (SELECT organization_id FROM one) LIMIT 1;
INSERT INTO credit_transactions (organization_id, user_id, credit_balance_id, appointment_id, amount,
       transaction_type, status, balance_after, processed_at)
SELECT organization_id, user_id, id, CASE WHEN amount < 0 THEN (SELECT max(id) FROM appointments) END, amount, kind,
       status, after, processed_at::timestamptz
  FROM credit_balances, (VALUES (7, 'purchase', 'pending', NULL, NULL),
                                (-5, 'appointment_debit', 'completed', 7, '2026-03-01'),
                                (9, 'purchase', 'completed', 9, '2026-01-01'),
                                (3, 'purchase', 'completed', 12, '2026-02-01'))
       AS entry (amount, kind, status, after, processed_at)
 WHERE user_id = (SELECT id FROM users WHERE email = 'older@example.org');
"""


def _none_yet(connection: Any) -> int:
    ((user,),) = _all(connection, "SELECT max(id) FROM users WHERE email = 'empty@example.org'")
    return int(user)


STAYS = {
    "left": ("discharged", "2025-03-01", "2025-12-01"),
    "back": ("enrolled", "2026-03-01", "2025-12-01"),
    "applies again": ("applied", "2025-03-01", "2025-12-01"),
    "leaves in June": ("enrolled", "2026-03-01", "2026-06-30"),
    "before the first day": ("discharged", "2026-03-01", "2020-01-01"),
    "never came": ("prospect", None, None),
}
KEPT = {
    "left": ("2025-03-01", "2025-12-01", {}),
    "back": ("2026-03-01", None, {"discharge_date": "2025-12-01"}),
    "applies again": (None, None, {"admission_date": "2025-03-01", "discharge_date": "2025-12-01"}),
    "leaves in June": ("2026-03-01", "2026-06-30", {}),
    "before the first day": ("2026-03-01", None, {"discharge_date": "2020-01-01"}),
    "never came": (None, None, {}),
}


@pytest.mark.slow
def test_the_dates_of_a_stay_before_go_into_the_journal(at: Any, connect: Any) -> None:
    (rules,) = [file.number for file in FILES if file.name.endswith("ending_and_price_rules")]
    url = at(rules - 1)
    runner, connection = Runner(url), connect(url)
    filler = Filler(connection)
    here = {"organization_id": filler.insert("organizations", name="North", subdomain="north")}
    for name, (state, admission, discharge) in STAYS.items():
        dates = {"admission_date": admission, "discharge_date": discharge}
        of = filler.insert("students", **here, first_name=name, last_name="Paz", admission_state=state, **dates)
        if name == "applies again":
            told = {"event": "reapply", "from_state": "discharged", "to_state": "applied"}
            filler.insert("state_transitions", **here, subject_type="Student", subject_id=of, **told)
    runner.up(rules)

    cursor = connection.cursor()
    cursor.execute("""
        SELECT first_name, admission_date::text, discharge_date::text, coalesce((
                   SELECT details FROM state_transitions
                    WHERE subject_id = students.id AND event = 'dates_cleared' AND from_state = admission_state
                      AND to_state = admission_state
               ), '{}')
          FROM students
    """)
    assert {name: tuple(kept) for name, *kept in cursor.fetchall()} == KEPT
    cursor.execute("SELECT count(*) FROM state_transitions")
    assert cursor.fetchone() == (4,)


OWNED_BY = """
CREATE ROLE "{owner}" LOGIN NOINHERIT;
GRANT rayces_app, rayces_admin TO "{owner}";
GRANT CREATE ON SCHEMA public TO "{owner}";
DO $$ DECLARE each regclass; BEGIN
    FOR each IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO "{owner}"', each);
    END LOOP;
END $$
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_owned", [False, True], ids=["superuser", "owner"])
def test_what_imports_made_up_before_is_marked_and_nothing_else(
    fresh_roles: Any, at: Any, connect: Any, is_owned: bool
) -> None:
    (mark,) = [file.number for file in FILES if file.name.endswith("made_up_facts")]
    owner = fresh_roles()
    url = at(mark - 1)
    runner, connection = Runner(url), connect(url)
    filler = Filler(connection)
    here = {"organization_id": filler.insert("organizations", name="North", subdomain="north")}
    ana = filler.insert("users", **here, email="ana@example.org")
    filler.insert("professionals", **here, user_id=ana)
    luz = filler.insert("students", **here, first_name="Luz", last_name="Paz")
    run, began = "2026-03-01 10:00:00.000001+00", {"from_state": "draft", "to_state": "pre_confirmed"}
    filler.insert(
        "import_runs",
        **here,
        record_type="appointments",
        source="a.csv",
        fingerprint="x",
        created_at=run,
        updated_at=run,
    )
    filler.insert(
        "import_runs", **here, record_type="students", source="s.csv", fingerprint="y", created_at="2026-03-02"
    )
    cases = {  # when it begins: when it was made, reason and actor of its journal, whether each was made up
        "2026-03-09": (run, "imported", None, True, True),
        "2025-03-09": ("2025-03-01", "imported", None, True, False),
        "2025-04-09": ("2026-01-01", "imported", None, True, True),
        "2025-05-09": ("2026-01-01", "booked by phone", None, False, False),
        "2025-06-09": ("2025-06-01", "imported", ana, False, False),
        "2025-07-09": ("2025-06-01", "adopted", None, True, False),
        "2026-04-09": ("2026-03-02", None, None, False, False),
    }
    made = {}
    for start, (created, reason, actor, _, __) in cases.items():
        whose = {"professional_id": ana, "student_id": luz, "client_id": ana}
        made[start] = filler.insert("appointments", **here, **whose, scheduled_at=start, created_at=created)
        told = {"subject_type": "Appointment", "subject_id": made[start], "event": "pre_confirm"}
        filler.insert("state_transitions", **here, **told, **began, reason=reason, actor_id=actor)
    moves = {
        "from 2026-03-09T10:00:00+00:00: rain": {"scheduled_at": "2026-03-09T10:00:00Z"},
        "from 2026-03-08T23:30:00+00:00 with professional 3": {"scheduled_at": "2026-03-08T23:30:00Z"},
        "from 2026-03-09T25:61:00+00:00": {},
        "by hand": {},
    }
    stays = {"from_state": "confirmed", "to_state": "confirmed", "event": "reschedule"}
    for reason in moves:
        filler.insert("state_transitions", **here, subject_type="Appointment", subject_id=-1, **stays, reason=reason)
    if is_owned:
        connection.cursor().execute(OWNED_BY.format(owner=owner))
        runner = Runner(make_dsn(url, user=owner))
    runner.up(mark)

    assert dict(_all(connection, "SELECT reason, details FROM state_transitions WHERE event = 'reschedule'")) == moves
    for start, (_, _, _, step, booked) in cases.items():
        found = _all(
            connection,
            "SELECT t.made_up, a.created_at_made_up FROM appointments AS a "
            f"JOIN state_transitions AS t ON t.subject_id = a.id WHERE a.id = {made[start]}",
        )
        assert found == [(step, booked)], start
    assert _all(connection, "SELECT count(*) FROM pg_policies WHERE policyname = 'rayces_backfill'") == [(0,)]


@pytest.fixture(scope="module")
def assigned(create_database: Any) -> Iterator[Any]:
    """A connection to a MyHub that was migrated up to its checks, by a session in another time zone."""
    url = create_database()
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        Runner(url).up(1)
        fill(connection, 1)
        Runner(make_dsn(url, options="-c timezone=America/Argentina/Buenos_Aires")).up(7)
        yield connection


def test_rows_of_myhub_go_into_a_new_organization_called_myhub(assigned: Any) -> None:
    assert _all(assigned, "SELECT name, subdomain FROM organizations") == [("MyHub", "myhub")]
    for table in MYHUB:
        assert _all(assigned, f"SELECT DISTINCT organization_id FROM {table}") == _all(
            assigned, "SELECT id FROM organizations"
        )


@pytest.mark.slow
def test_rows_of_myhub_go_into_the_only_organization_there_is(at: Any, connect: Any) -> None:
    url = at(5)
    connection = connect(url)
    fill(connection, 5)
    only = Filler(connection).insert("organizations", name="North Clinic", subdomain="north")
    Runner(url).up(6)
    assert _all(connection, "SELECT id FROM organizations") == [(only,)]
    assert _all(connection, "SELECT DISTINCT organization_id FROM likes") == [(only,)]


def test_a_database_without_rows_gets_no_organization(migrated: str, connect: Any) -> None:
    assert _all(connect(migrated), "SELECT count(*) FROM organizations") == [(0,)]


def test_emails_are_trimmed_and_in_lower_case_afterwards(assigned: Any) -> None:
    assert _all(assigned, "SELECT email FROM users ORDER BY id") == [
        ("ana.1-old@example.com",),
        ("luis.1-old@example.com",),
    ]


def test_timestamps_of_rails_are_read_as_utc(assigned: Any) -> None:
    found = _all(assigned, "SELECT DISTINCT created_at AT TIME ZONE 'UTC' FROM posts")
    assert [str(when) for (when,) in found] == ["2026-01-01 12:00:00.123456"]


@pytest.mark.slow
def test_ids_go_on_where_the_serial_column_stood(at: Any, connect: Any) -> None:
    url = at(4)
    connection = connect(url)
    connection.cursor().execute("SELECT setval('users_id_seq', 41)")
    Runner(url).up(5)
    fill(connection, 5)
    assert _all(connection, "SELECT id FROM users ORDER BY id") == [(42,), (43,)]
    assert _all(connection, "SELECT min(id) FROM posts") == [(1,)]
    Runner(url).down(4)
    fill(connection, 4, "again")
    assert _all(connection, "SELECT max(id) FROM users") == [(45,)]


@pytest.mark.slow
def test_rows_written_while_the_migrations_run_are_assigned_as_well(at: Any, connect: Any) -> None:
    url = at(5)
    connection = connect(url)
    fill(connection, 5)
    Runner(url).up(6)
    fill(connection, 5, "late")
    Runner(url).up(7)
    assert _all(connection, "SELECT count(*), count(DISTINCT organization_id) FROM users") == [(4, 1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            "INSERT INTO organizations (name, subdomain) VALUES ('A', 'a'), ('B', 'b')",
            "2 users have no organization and there are 2 organizations",
        ),
        ("DELETE FROM users WHERE id = (SELECT min(user_id) FROM posts)", "1 posts name a user_id that does not exist"),
        ("DELETE FROM posts", "1 likes name a post_id that does not exist in posts"),
        ("UPDATE users SET email = '  ' WHERE id = (SELECT min(id) FROM users)", "1 users have no e-mail address"),
        ("UPDATE users SET email = NULL", "2 users have no e-mail address"),
        ("UPDATE users SET email = CASE WHEN id % 2 = 0 THEN ' Ana@X.org' ELSE 'ana@x.org' END", "users 1 and 2"),
    ],
    ids=["ambiguous", "orphan post", "orphan like", "blank email", "no email", "shared email"],
)
def test_rows_that_do_not_fit_are_reported_before_anything_changes(at_five: Any, damage: str, message: str) -> None:
    runner, connection = at_five
    connection.cursor().execute("TRUNCATE users, posts, likes, organizations RESTART IDENTITY CASCADE")
    fill(connection, 5)
    connection.cursor().execute("SET session_replication_role = replica")
    connection.cursor().execute(damage)
    catalogue, data = without_history(connection), rows(connection)
    with pytest.raises(MigrationError, match=message):
        runner.up(6)
    assert (without_history(connection), rows(connection)) == (catalogue, data)
    assert _state_of(runner, "006_assign_organization") == "dirty"
    assert runner.down() == ["006_assign_organization"]


@pytest.fixture(scope="module")
def at_five(create_database: Any, stages: Any) -> Iterator[Any]:
    """A runner and a connection of a database before MyHub's rows get their organization."""
    url = create_database(stages(5))
    runner = Runner(url)
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        yield runner, connection


@pytest.mark.slow
def test_repeated_likes_are_reported_before_a_unique_key_is_built(at: Any, connect: Any) -> None:
    url = at(1)
    connection = connect(url)
    fill(connection, 1)
    connection.cursor().execute("INSERT INTO likes SELECT 9, user_id, post_id, created_at, updated_at FROM likes")
    with pytest.raises(MigrationError, match=r"1 posts are liked more than once by the same user \(likes 1 and 9,"):
        Runner(url).up()
    connection.cursor().execute("DELETE FROM likes WHERE id = 9")
    assert Runner(url).up(8) == ["008_myhub_unique_keys"]


@pytest.mark.slow
def test_an_extension_that_was_there_before_or_that_somebody_came_to_need_stays(at: Any, connect: Any) -> None:
    url = at(13)
    runner, connection = Runner(url), connect(url)
    connection.cursor().execute("CREATE EXTENSION btree_gist")
    before = without_history(connection)
    runner.up(14)
    runner.down(13)
    assert without_history(connection) == before
    connection.cursor().execute("DROP EXTENSION btree_gist")
    runner.up(14)
    connection.cursor().execute("CREATE TABLE rooms (id int, EXCLUDE USING gist (id WITH =))")
    runner.down(13)
    assert "extension btree_gist" in fingerprint(connection)


@pytest.mark.slow
def test_another_schema_of_the_search_path_takes_the_tables(make_database: Any, connect: Any) -> None:
    url = make_database()
    connection = connect(url)
    connection.cursor().execute("CREATE SCHEMA clinic")
    runner = Runner(make_dsn(url, options="-c search_path=clinic"))
    runner.up(quick_or_whole(3, len(FILES)))
    assert tables(connection) == []
    connection.cursor().execute("SET search_path = clinic")
    assert "organizations" in tables(connection)
    runner.down(0)
    assert [line for line in fingerprint(connection) if not line.startswith("extension")] == []


@pytest.mark.exhaustive  # as test_versions.py does, which has no rows of MyHub
def test_the_schema_is_the_same_on_postgresql_15_made_by_a_login_that_is_no_superuser(
    oldest_server_url: str, migrated: str, connect: Any
) -> None:
    owner = connect(oldest_server_url).cursor()
    owner.execute("CREATE ROLE deploy LOGIN CREATEROLE")
    owner.execute("CREATE DATABASE clinic OWNER deploy")
    url = make_dsn(oldest_server_url, user="deploy", dbname="clinic")
    connection = connect(make_dsn(oldest_server_url, dbname="clinic"))
    before = fingerprint(connection)
    runner = Runner(url)
    runner.up(1)
    fill(connection, 1)
    runner.up()
    assert fingerprint(connection) == fingerprint(connect(migrated))
    fill(connection, len(FILES), tenants=[1])
    runner.down(1, yes=True)
    assert len([key for key in rows(connection) if key[0] == "users"]) == 4
    runner.down(0, yes=True)
    assert fingerprint(connection) == before


def _heaps(connection: Any) -> list[Any]:
    return _all(
        connection, f"SELECT relname, pg_relation_filenode(oid) FROM pg_class WHERE relname IN {MYHUB} ORDER BY 1"
    )


def _all(connection: Any, sql: str) -> list[Any]:
    cursor = connection.cursor()
    cursor.execute(sql)
    return cursor.fetchall()


def _state_of(runner: Runner, name: str) -> str:
    return next(status.state for status in runner.status() if status.name == name)


@pytest.mark.parametrize("file", FILES[HOLDS - 1 :], ids=lambda file: file.name)
def test_a_constraint_is_added_by_a_statement_of_its_own(file: Any, migrated: str) -> None:
    """Citus takes nothing else beside it."""
    database, module = Runner(migrated).database, file.load()
    for body in (module.migrate, module.rollback):
        migrator = Migrator(database)
        body(migrator, database)
        sent = [step.text for step in migrator.steps if not step.is_call]
        for statement in (raw.stmt for text in sent for raw in pglast.parse_sql(text)):
            if isinstance(statement, pglast.ast.AlterTableStmt):
                made = [each.subtype for each in statement.cmds]
                assert len(made) == 1 or pglast.enums.AlterTableType.AT_AddConstraint not in made
