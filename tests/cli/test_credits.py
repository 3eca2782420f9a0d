"""`rayces credits verify`: exit codes, what it prints, for whom."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest

from rayces_core.database.database import Database
from tests.cli.process import SHOWN, Terminal, is_one_sentence, on_terminal
from tests.conftest import on_server
from tests.credits.corruption import corrupt, make_ledger
from tests.factory import make_organization

WRONG = "UPDATE credit_balances SET balance = 1000 WHERE id = {balance}"


@pytest.fixture
def ledger(bare_db: Database) -> SimpleNamespace:
    """A ledger in the organization `north`, beside one in `south`."""
    with bare_db.tenant(make_organization(bare_db, subdomain="south")):
        make_ledger()
    with bare_db.tenant(make_organization(bare_db, subdomain="north")):
        return make_ledger()


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


def test_one_organization_is_asked_for_by_subdomain_or_id(
    bare: Terminal, bare_db: Database, ledger: SimpleNamespace
) -> None:
    corrupt(bare_db.url, WRONG, ledger)
    for name, code in (("north", 1), (str(ledger.organization), 1), ("south", 0)):
        assert bare("credits", "verify", "--organization", name).code == code


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


def test_it_changes_nothing(migrated: Terminal, own_db: Database) -> None:
    with own_db.tenant(make_organization(own_db)):
        corrupt(own_db.url, WRONG, make_ledger())
    on_server(own_db.url, "REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM rayces_app, rayces_admin")
    assert migrated("credits", "verify").code == 1
    assert migrated("credits", "verify").code == 1


@pytest.mark.parametrize(("options", "shown"), SHOWN)
def test_progress_is_for_terminals_and_not_for_the_quiet(
    bare_db: Database, ledger: SimpleNamespace, options: list[str], shown: bool
) -> None:
    bar, out, code = on_terminal("credits", "verify", "--database-url", bare_db.url, *options)
    assert code == 0
    assert ("credit_balances" in bar) is shown
    assert ("appointments" in bar) is shown
    assert "credit_balances" not in out
