"""A second opinion: squawk reads the script of all packaged migrations, and each exception to its rules has a reason.

The rehearsal measures what statements do; squawk reads what they say. Where the two disagree the reason is given here.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rayces_core.migrating import Runner

SQUAWK = Path(sys.executable).with_name("squawk")
OLDEST_SERVER = "15"
BEFORE_THE_FIRST = "roles and history"

# Rule → where it is broken, and why that is right.
EXCEPTIONS: dict[str, tuple[set[str], str]] = {
    "require-lock-timeout": ({BEFORE_THE_FIRST}, "CREATE ROLE locks no table; every migration sets its own limits"),
    "prefer-identity": ({"001_myhub"}, "MyHub's tables as Rails made them; 005 turns the keys into identities"),
    "prefer-timestamp-tz": ({"001_myhub"}, "MyHub's tables as Rails made them; 004 gives the columns a time zone"),
    "changing-column-type": (
        {"004_timestamps_with_time_zone"},
        "in a session in UTC nothing is written anew, which the rehearsal measures",
    ),
    "prefer-bigint-over-smallint": (
        {"003_tenant_and_profile_columns", "033_outbox_messages"},
        "the role is one of four numbers, and a payload's version a small one; neither is a key",
    ),
    "prefer-bigint-over-int": (
        {
            BEFORE_THE_FIRST,
            "003_tenant_and_profile_columns",
            "012_professionals",
            "015_appointments",
            "016_credits",
            "020_booking_requests",
            "022_ledger_chain",
            "025_import_runs",
            "029_refunds_and_retries",
            "031_endings_and_prices",
            "033_outbox_messages",
            "035_sign_in",
            "042_group_sessions",
            "044_services",
            "045_buffers_before",
            "052_credit_packages",
            "053_availability",
            "055_slot_requests",
            "056_held_credits",
            "057_notices",
            "059_invoices",
            "061_tax_rates",
            "062_taken_back",
            "067_agreed_terms",
        },
        "counts, minutes, cents and credits with a CHECK or an error at their end; every key is a bigint",
    ),
    "ban-drop-not-null": ({"068_expiring_credits"}, "a notice of credits is of no session"),
    "ban-drop-column": ({"057_notices"}, "what notices tell instead; nobody had data yet"),
    "ban-drop-constraint": (
        {
            "007_myhub_checks",
            "010_myhub_tenant_keys",
            "024_debits_without_appointment",
            "028_booking_rules",
            "030_refund_and_payment_rules",
            "032_ending_and_price_rules",
            "043_group_session_rules",
            "045_buffers_before",
            "049_holdings",
            "051_balances_by_kind",
            "052_credit_packages",
            "060_people",
            "063_offers_and_languages",
            "064_rooms_and_devices",
            "065_one_seat_each",
            "066_feeds_and_lots",
            "067_agreed_terms",
            "068_expiring_credits",
        },
        "the scaffolding of a NOT NULL, or exchanged for another that holds already",
    ),
    "require-concurrent-index-creation": (
        {
            "044_services",
            "050_credit_kinds",
            "051_balances_by_kind",
            "052_credit_packages",
            "055_slot_requests",
            "057_notices",
        },
        "on tables that the same migration has just made, or writes anew and holds locked",
    ),
    "adding-field-with-default": (
        {"045_buffers_before", "051_balances_by_kind", "064_rooms_and_devices"},
        "a generated column comes no other way; nobody had data yet",
    ),
    "constraint-missing-not-valid": (
        {"045_buffers_before", "049_holdings", "051_balances_by_kind"},
        "what writes a table anew reads it once more for a rule; docs/migrations.md says how long is waited for it",
    ),
    "disallowed-unique-constraint": ({"051_balances_by_kind"}, "the table is written anew and locked meanwhile"),
    "adding-foreign-key-constraint": ({"051_balances_by_kind"}, "the table is written anew and locked meanwhile"),
}


@pytest.fixture
def opinion(tmp_path: Path) -> Callable[[str], list[tuple[str, str]]]:
    """What squawk finds in a script: rule and migration, each as often as it is broken."""

    def found(script: str) -> list[tuple[str, str]]:
        (tmp_path / "up.sql").write_text(script, "utf-8")
        command = [str(SQUAWK), "--pg-version", OLDEST_SERVER, "--reporter", "json", "up.sql"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 1), done.stderr
        return [(finding["rule_name"], _migration(script, finding["line"])) for finding in json.loads(done.stdout)]

    return found


def _migration(script: str, line: int) -> str:
    before = "\n".join(script.splitlines()[: line + 1])
    return ([BEFORE_THE_FIRST, *re.findall(r"^-- (\d+_\w+): \d+ steps$", before, re.MULTILINE)])[-1]


@pytest.mark.slow
def test_every_finding_has_a_reason_and_every_reason_a_finding(
    make_database: Callable[[], str],
    fresh_roles: Callable[[], str],
    opinion: Callable[[str], list[tuple[str, str]]],
) -> None:
    # Roles are the server's: where other tests have made the usual ones, the script would not.
    runner = Runner(make_database(), app_role=fresh_roles(), admin_role=fresh_roles())
    found = set(opinion(runner.up_script()))
    assert found == {(rule, place) for rule, (places, _) in EXCEPTIONS.items() for place in places}


def test_squawk_sees_into_the_script(
    make_database: Callable[[], str], directory: Callable[..., Path], opinion: Callable[[str], list[tuple[str, str]]]
) -> None:
    folder = directory(
        m001_rooms="CREATE TABLE rooms (id bigint)",
        m002_index="CREATE INDEX rooms_id ON rooms (id)",
        m003_name="ALTER TABLE rooms RENAME COLUMN id TO number",
    )
    runner = Runner(make_database(), folder)
    runner.up(1)
    assert {("require-concurrent-index-creation", "002_index"), ("renaming-column", "003_name")} <= set(
        opinion(runner.up_script())
    )


def test_what_is_no_sql_is_no_good_opinion(opinion: Callable[[str], list[tuple[str, str]]]) -> None:
    assert ("syntax-error", BEFORE_THE_FIRST) in opinion("CREATE TABEL rooms (id bigint);\n")
