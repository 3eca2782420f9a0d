"""A rayces Rails database becomes this library's: each organization a tenant, every row in its place."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest

from rayces_core import Appointment, Database, Role, User, credits
from rayces_core.doctor import audit
from rayces_core.errors import ConfigurationError, MigrationError
from rayces_core.migrating.adopting import Adoption
from rayces_core.migrating.adopting.choosing import adoption_of
from rayces_core.migrating.adopting.rails.old import DERIVED, TABLES
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.checking import differences
from rayces_core.migrating.runner import Runner
from rayces_core.models import TENANT_MODELS
from tests.migrating.adopting.writes import refused_writes
from tests.sizes import quick_or_whole

from .conftest import Rails
from .database import CHOICES

pytestmark = pytest.mark.slow

TENANTS = ("rayces", "norte", "demo")
COUNTS = "SELECT {}".format(", ".join(f"(SELECT count(*) FROM {{0}}.{table})" for table in TABLES))


@pytest.mark.slow
def test_every_write_of_the_library_works_in_each_tenant(adopted: Rails) -> None:
    names = quick_or_whole(TENANTS[1:2], TENANTS)
    with Database.connect(adopted.url) as database:
        assert {name: refused_writes(database, name) for name in names} == {name: {} for name in names}


@pytest.mark.slow
def test_rows_keep_their_ids_and_organizations(adopted: Rails) -> None:
    assert adopted.sql(COUNTS.format("public")) == adopted.sql(COUNTS.format("rayces_before"))
    for table in TABLES[1:]:
        query = f"SELECT id, organization_id FROM {{}}.{table} ORDER BY 1"
        assert adopted.sql(query.format("public")) == adopted.sql(query.format("rayces_before")), table
    moments = "SELECT id, created_at, current_sign_in_at, host(current_sign_in_ip::inet) FROM {}.users ORDER BY 1"
    adopted.sql("SET timezone TO 'UTC'")
    assert [(key, made.replace(tzinfo=None), seen.replace(tzinfo=None), address)
            for key, made, seen, address in adopted.sql(moments.format("public"))
            ] == adopted.sql(moments.format("rayces_before"))  # fmt: skip


def test_a_tenant_sees_its_rows_and_no_others(adopted: Rails) -> None:
    with Database.connect(adopted.url) as database:
        for number, name in enumerate(TENANTS, start=1):
            with database.tenant(name) as organization:
                assert organization.id == number
                assert User.select().count() == 300
                assert {user.organization_id for user in User.select()} == {number}


def test_the_numbers_of_roles_are_translated(adopted: Rails) -> None:
    """Rails' 0 is an admin; taken for ours it would be a guardian, and its guardians admins."""
    with Database.connect(adopted.url) as database, database.privileged(reason="test"):
        found = [(user.id, user.role) for user in User.select().order_by(User.id)]
    roles = {1: Role.ADMIN, 30: Role.PROFESSIONAL, 36: Role.STAFF, 37: Role.GUARDIAN}
    assert [(key, role) for key, role in found if key in roles] == list(roles.items())


@pytest.mark.slow
@pytest.mark.usefixtures("scratch_is_migrated")
def test_doctor_check_and_ledger_find_nothing(adopted: Rails, server_url: str) -> None:
    with Database.connect(adopted.url) as database:
        assert [str(each) for each in audit(database) if each.severity == "error"] == []
        with database.privileged(reason="test"):
            assert credits.verify().discrepancies == ()
    found = differences(Runner(adopted.url), server_url)
    assert [each.line for each in found if each.is_drift] == []
    assert sorted(each.line for each in found if each.kind == "extra" and each.line.startswith("column")) == [
        *("column posts.filename character varying", "column posts.hash_id character varying"),
        *("column posts.metadata text", "column posts.post_id integer", "column posts.source character varying"),
        *("column users.image character varying", "column users.name character varying"),
        "column users.username character varying",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("scratch_is_migrated")
def test_after_the_finish_too(adopted: Rails, server_url: str) -> None:
    outcome = adopted.adoption(choices={}).finish()
    assert (outcome.stage, outcome.organizations) == ("finished", (1, 2, 3))
    adopted.adoption(choices={}).finish()
    with Database.connect(adopted.url) as database:
        assert [str(each) for each in audit(database) if each.check not in ("login-unrestricted", "hardening")] == []
        assert refused_writes(database, "norte") == {}
    found = {each.kind for each in differences(Runner(adopted.url), server_url)}
    assert found == {"extra"}
    with pytest.raises(MigrationError, match="finished"):
        adopted.adoption(choices={}).undo()
    with pytest.raises(MigrationError, match="use `rayces migrate up`"):
        adopted.adoption().run()


def test_a_balance_stays_what_was_shown(adopted: Rails) -> None:
    """Not of every debit there was an entry, so one says what the balance says and the old ones do not."""
    query = "SELECT id, user_id, balance FROM {}.credit_balances ORDER BY 1"
    assert adopted.sql(query.format("public")) == adopted.sql(query.format("rayces_before"))


def test_debits_find_the_appointment_that_their_metadata_names(adopted: Rails) -> None:
    named = "SELECT id, (metadata ->> 'appointment_id')::bigint FROM rayces_before.credit_transactions WHERE amount < 0"
    assert dict(adopted.sql(named)) == dict(
        adopted.sql("SELECT id, appointment_id FROM credit_transactions WHERE transaction_type = 'appointment_debit'")
    )
    with Database.connect(adopted.url) as database, database.privileged(reason="test"):
        paid = Appointment.select().where(Appointment.uses_credit, Appointment.state == "executed").first()
        assert paid.credits_used == 1


def test_moments_that_the_old_application_never_wrote_are_marked_in_the_journal(adopted: Rails) -> None:
    journal = """
        SELECT step.event, step.made_up, o.{stamp} IS NULL FROM state_transitions AS step
          JOIN rayces_before.appointments AS o ON o.id = step.subject_id
         WHERE step.subject_type = 'Appointment' AND step.event = '{event}'"""
    stamps = {"confirm": "confirmed_at", "execute": "executed_at", "cancel": "cancelled_at"}
    told = [row for event, stamp in stamps.items() for row in adopted.sql(journal.format(event=event, stamp=stamp))]
    assert {(made_up, lacking) for _, made_up, lacking in told} <= {(True, True), (False, False)}
    assert {event for event, *_ in told} == {*stamps}
    assert adopted.sql("SELECT DISTINCT made_up FROM state_transitions WHERE subject_type = 'Student'") == [(True,)]
    assert adopted.sql("SELECT DISTINCT created_at_made_up FROM appointments") == [(False,)]


def test_sequences_go_on_where_the_old_ones_stood(adopted: Rails) -> None:
    with Database.connect(adopted.url) as database:
        assert database.create_organization("New", subdomain="new").id == 10
        with database.tenant("norte"):
            assert User.create(email="new@example.org").id == 901


def test_schedules_contacts_and_documents_have_this_librarys_shape(adopted: Rails) -> None:
    assert adopted.sql("SELECT DISTINCT weekly_schedule, blocked_dates FROM professionals") == [
        (
            {"monday": [{"start": "09:00", "end": "17:00"}], "tuesday": [{"start": "09:30", "end": "12:00"}]},
            [
                {"start": "2031-01-01", "end": "2031-01-01"},
                {"start": "2031-02-01", "end": "2031-02-07", "reason": "holidays"},
            ],
        )
    ]
    document = {"url": "https://files.example.org/r.pdf", "uploaded_at": "2025-01-06T00:00:00.000000Z"}
    contact = {"name": "Eva", "relationship": "mother", "phone": "+54 11 1", "email": "eva@example.org"}
    assert adopted.sql("SELECT DISTINCT emergency_contacts, documents FROM students") == [
        ([contact], {"report": document})
    ]
    zones = "SELECT time_zone, currency FROM organizations ORDER BY id"
    argentina = ("America/Argentina/Buenos_Aires", "ARS")
    assert adopted.sql(zones) == [argentina, argentina, ("Europe/Madrid", "EUR")]


@pytest.mark.slow
def test_going_back_gives_the_old_database_to_the_line_and_the_row(small: Rails) -> None:
    catalogue = fingerprint(small.connection)
    rows = {table: small.sql(f"SELECT * FROM {table} ORDER BY id") for table in TABLES}
    small.adoption(url=small.owner_url).run()
    assert small.adoption(url=small.owner_url, choices={}).undo().differences == ()
    assert fingerprint(small.connection) == catalogue
    assert {table: small.sql(f"SELECT * FROM {table} ORDER BY id") for table in TABLES} == rows
    assert small.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rayces%'") == []
    small.adoption(url=small.owner_url).run()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "table"),
    [
        ("UPDATE users SET phone = '1' WHERE id = 7", "users"),
        ("DELETE FROM likes WHERE id = (SELECT min(id) FROM likes)", "likes"),
        ("INSERT INTO import_runs (organization_id, record_type, source, fingerprint) VALUES (1, 'x', 'x', 'x')",
         "import_runs"),
    ],
)  # fmt: skip
def test_going_back_refuses_to_lose_what_was_written_since(adopted: Rails, written: str, table: str) -> None:
    adopted.sql(written)
    with pytest.raises(MigrationError, match=f"written since the adoption in {table}; --yes says so"):
        adopted.adoption(choices={}).undo()
    assert adopted.one("SELECT count(*) FROM users") == 900
    assert adopted.adoption(choices={}).undo(yes=True).differences == ()


@pytest.mark.slow
def test_a_finding_without_an_answer_changes_nothing(small: Rails) -> None:
    catalogue = fingerprint(small.connection)
    with pytest.raises(MigrationError, match="--fix roles=rails or --fix roles=same"):
        small.adoption(choices={}).run()
    assert fingerprint(small.connection) == catalogue
    assert small.adoption(choices={}).report().stage is None


@pytest.mark.slow
def test_a_plain_run_of_migrations_is_refused_before_and_after(small: Rails, small_adopted: Rails) -> None:
    with pytest.raises(MigrationError, match="migrate adopt"):
        Runner(small.url).up()
    assert Runner(small_adopted.url).up() == []
    with pytest.raises(MigrationError, match="adopt --undo"):
        Runner(small_adopted.url).down(20)


def test_it_is_told_from_a_myhub_and_from_a_database_of_this_library(small: Rails, make_database: Any) -> None:
    assert isinstance(adoption_of(make_database()), Adoption)
    with pytest.raises(ConfigurationError, match="organizations of its own"):
        small.adoption(name="North", subdomain="north")


def test_a_second_run_says_the_same_and_does_nothing(adopted: Rails) -> None:
    outcome = adopted.adoption().run()
    assert (outcome.stage, outcome.organizations, outcome.migrations) == ("adopted", (1, 2, 3), ())
    assert adopted.adoption().report().findings == ()


def test_what_is_derived_anew_is_what_no_column_of_the_old_application_gives() -> None:
    """A column of ours is either taken from the old application or in DERIVED; a new one has to be put somewhere."""
    from rayces_core.migrating.adopting.rails.copying import COPIED

    always = {"id", "organization_id"}
    entries = ("user_id", "credit_balance_id", "appointment_id", "amount", "transaction_type", "status", "metadata",
               "payment_method", "payment_reference", "processed_at", "created_at", "updated_at")  # fmt: skip
    taken = {**COPIED, "credit_transactions": entries}
    for model in TENANT_MODELS:
        meta = model._meta  # type: ignore[attr-defined]
        if meta.table_name in TABLES:
            ours = {field.column_name for field in meta.sorted_fields} - always
            assert ours <= {*taken[meta.table_name], *DERIVED.get(meta.table_name, ())}, meta.table_name


@pytest.mark.slow
def test_a_stopped_adoption_stands_half_way_and_is_begun_again(begun: Rails, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stops it before the exchange leaves the old tables as they were; kills are in test_killed.py."""
    from rayces_core.migrating.adopting.rails import moving

    class Stopped(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    rows = begun.one("SELECT count(*) FROM users")
    for name in quick_or_whole(("lock_for_exchange",), ("hold_writers", "lock_for_exchange", "exchange")):
        with monkeypatch.context() as patched, pytest.raises(Stopped):
            patched.setattr(moving, name, stop)
            begun.adoption().run()
        assert begun.one("SELECT count(*) FROM public.users") == rows
        assert begun.adoption().report().stage == "adopting"
        with pytest.raises(MigrationError, match="stands half way"):
            Runner(begun.url).up()
    assert begun.adoption().run().stage == "adopted"
    assert CHOICES["roles"] == "rails"


@pytest.mark.slow
def test_whoever_reads_goes_on_and_whoever_writes_waits(begun: Rails, monkeypatch: pytest.MonkeyPatch) -> None:
    from rayces_core.migrating.adopting.rails import moving

    reader, seen = begun.connect(begun.owner_url), []
    exchange = moving.exchange

    def look(*arguments: object) -> None:
        cursor = reader.cursor()
        for patience, statement in (("60s", "SELECT count(*) FROM users"), ("300ms", "UPDATE users SET phone = '1'")):
            try:
                cursor.execute(f"SET statement_timeout = '{patience}'")
                cursor.execute(statement)
                seen.append("went on")
            except psycopg2.errors.QueryCanceled:
                seen.append("waited")

    def locked(*arguments: object) -> None:
        look()
        lock(*arguments)

    lock = moving.lock_for_exchange
    monkeypatch.setattr(moving, "lock_for_exchange", locked)
    assert begun.adoption().run().seconds > 0.3
    assert seen == ["went on", "waited"]
    assert moving.exchange is exchange
