"""`rayces credits verify` and `expire`: exit codes, what they print, for whom."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest

from rayces_core import CreditBalance, credits
from rayces_core.database.database import Database
from tests.cli.process import SHOWN, Terminal, is_one_sentence, on_terminal
from tests.conftest import on_server
from tests.credits.corruption import corrupt, make_ledger
from tests.credits.ledger import held_appointment, without_reserving
from tests.factory import make_organization, make_package, make_user

WRONG = "UPDATE credit_balances SET balance = 1000 WHERE id = {balance}"


@pytest.fixture
def ledger(bare_db: Database) -> SimpleNamespace:
    """A ledger in the organization `north`, beside one in `south`."""
    with bare_db.tenant(make_organization(bare_db, subdomain="south")):
        make_ledger()
    with bare_db.tenant(make_organization(bare_db, subdomain="north")):
        return make_ledger()


@pytest.mark.slow
def test_a_clean_ledger_is_0(bare: Terminal, ledger: SimpleNamespace) -> None:
    ran = bare("credits", "verify")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "4 balances and 4 appointments: every balance is the sum of its ledger\n"
    assert bare("credits", "verify", "--organization", "north").out.startswith("2 balances and 2 appointments")
    assert bare("credits", "verify", "--json").out.strip() == "[]"


def test_a_finding_is_1_and_shown_with_its_place(bare: Terminal, bare_db: Database, ledger: SimpleNamespace) -> None:
    corrupt(bare_db.url, WRONG, ledger)
    ran = bare("credits", "verify")
    assert (ran.code, ran.err) == (1, "")
    row = rf"{ledger.organization} +balance +8 +1000 +balance {ledger.balance}\b"
    assert re.search(row, ran.out)
    assert ran.out.endswith("4 balances and 4 appointments: 1 discrepancies\n")


@pytest.mark.slow
@pytest.mark.parametrize("quiet", [[], ["--quiet"], ["-q"]])
def test_findings_are_json_for_programs(
    bare: Terminal, bare_db: Database, ledger: SimpleNamespace, quiet: list[str]
) -> None:
    corrupt(bare_db.url, WRONG + "; UPDATE appointments SET credits_used = 9 WHERE id = {kept}", ledger)
    ran = bare("credits", "verify", "--json", *quiet)
    assert (ran.code, ran.err) == (1, "")
    facts = {"organization_id": ledger.organization, "balance_id": None, "entry_id": None, "appointment_id": None}
    assert json.loads(ran.out) == [
        facts | {"kind": "balance", "balance_id": ledger.balance, "expected": "8", "found": "1000"},
        facts | {"kind": "debit_missing", "appointment_id": ledger.kept, "expected": "9", "found": "2"},
    ]


@pytest.mark.slow
def test_one_organization_is_asked_for_by_subdomain_or_id(
    bare: Terminal, bare_db: Database, ledger: SimpleNamespace
) -> None:
    corrupt(bare_db.url, WRONG, ledger)
    for name, code in (("north", 1), (str(ledger.organization), 1), ("south", 0)):
        assert bare("credits", "verify", "--organization", name).code == code


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nowhere", "999"])
def test_an_organization_that_is_not_there_is_3(bare: Terminal, ledger: SimpleNamespace, name: str) -> None:
    ran = bare("credits", "verify", "--organization", name)
    assert (ran.code, ran.out) == (3, "")
    assert is_one_sentence(ran.err)
    assert name in ran.err


def test_a_database_without_schema_is_3(empty: Terminal) -> None:
    ran = empty("credits", "verify")
    assert ran.code == 3
    assert "rayces migrate up" in ran.err


@pytest.mark.slow
def test_it_changes_nothing(migrated: Terminal, own_db: Database) -> None:
    with own_db.tenant(make_organization(own_db)):
        corrupt(own_db.url, WRONG, make_ledger())
    on_server(own_db.url, "REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM rayces_app, rayces_admin")
    assert migrated("credits", "verify").code == 1
    assert migrated("credits", "verify").code == 1


@pytest.mark.slow
@pytest.mark.parametrize(("options", "shown"), SHOWN)
def test_progress_is_for_terminals_and_not_for_the_quiet(
    bare_db: Database, ledger: SimpleNamespace, options: list[str], shown: bool
) -> None:
    bar, out, code = on_terminal("credits", "verify", "--database-url", bare_db.url, *options)
    assert code == 0
    assert ("credit_balances" in bar) is shown
    assert ("appointments" in bar) is shown
    assert "credit_balances" not in out


@pytest.mark.slow
def test_what_nobody_used_in_time_is_posted_everywhere_or_in_one_organization(
    bare: Terminal, bare_db: Database
) -> None:
    for subdomain in ("north", "south"):
        with bare_db.tenant(make_organization(bare_db, subdomain=subdomain)):
            credits.purchase_package(make_user(), make_package(credits=3, valid_days=1))
    assert bare("credits", "expire").out == "Entries posted: 0\n"
    with bare_db.privileged(reason="test"):
        bare_db.execute_sql("UPDATE credit_lots SET expires_at = now() - interval '1 hour'")
    for options, lots in (((), 2), (("--organization", "north"), 1)):
        shown = bare("credits", "expire", "--dry-run", *options).out
        assert shown.endswith(f"Entries that would be posted: {lots}, credits: {3 * lots}\n")
    assert bare("credits", "expire", "--organization", "north").out == "Entries posted: 1\n"
    assert bare("credits", "expire").out == "Entries posted: 1\n"
    assert bare("credits", "expire").out == "Entries posted: 0\n"
    with bare_db.privileged(reason="test"):
        assert [held.balance for held in CreditBalance.select()] == [0, 0]
        assert credits.verify().is_clean


def test_holds_that_reserve_nothing_are_named_and_reserve_once_the_credits_are_there(
    bare: Terminal, bare_db: Database
) -> None:
    organization = make_organization(bare_db, subdomain="north")
    with bare_db.tenant(organization):
        without_reserving(organization)
        ana = make_user()
        hold = held_appointment(ana, 2)
        organization.settings = {}
        organization.save()
    for options in (("--dry-run",), ("--organization", "north")):
        ran = bare("credits", "reserve", *options)
        assert (ran.code, ran.err) == (1, "")
        assert re.search(rf"\b{hold.id} +{ana.id} +2\b", ran.out)
        assert "Holds that reserve nothing: 1\n" in ran.out
    with bare_db.tenant(organization):
        credits.purchase(ana, 2)
    assert bare("credits", "reserve", "--dry-run").code == 1
    ran = bare("credits", "reserve")
    assert (ran.code, ran.out) == (
        0,
        "Holds that reserve nothing: 0\nHolds that reserve now: 1, balances put right: 0\n",
    )
    with bare_db.privileged(reason="test"):
        assert credits.verify().is_clean


@pytest.mark.slow
def test_an_organization_for_which_nothing_can_be_reserved_is_told_and_stops_no_other(
    bare: Terminal, bare_db: Database
) -> None:
    holds = {}
    for name in ("first", "second"):
        organization = make_organization(bare_db, subdomain=name)
        with bare_db.tenant(organization):
            without_reserving(organization)
            ana = make_user()
            holds[name] = held_appointment(ana, 2), organization
            organization.settings = {}
            organization.save()
            credits.purchase(ana, 2)
    blocked = holds["first"][1].id
    on_server(
        bare_db.url,
        f"ALTER TABLE appointments ADD CONSTRAINT none CHECK (organization_id <> {blocked}) NOT VALID",
    )
    try:
        ran = bare("credits", "reserve")
    finally:
        on_server(bare_db.url, "ALTER TABLE appointments DROP CONSTRAINT none")
    assert (ran.code, ran.out.splitlines()[-1]) == (1, "Holds that reserve now: 1, balances put right: 0")
    assert ran.err.startswith(f"organization {blocked}: ")
