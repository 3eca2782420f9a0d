"""The short run of the jack-hammer, and that its audit would notice."""

import pytest
from psycopg2.extensions import parse_dsn

from rayces_core import CreditTransaction, Database, credits
from tests.conftest import on_server
from tests.credits.jack_hammer import Report, audit, build_site, hammer, read_diaries
from tests.credits.jack_worker import work
from tests.nodes import past_rules
from tests.sizes import quick_or_whole

# Few appointments where there are few operations, so that some of them are paid and given back all the same.
PROCESSES, OPERATIONS, APPOINTMENTS = quick_or_whole((5, 50, 60), (20, 200, 300))


@pytest.mark.slow
def test_whatever_is_killed_or_cut_everything_adds_up(own_db):
    size = {"processes": PROCESSES, "operations": OPERATIONS, "appointments": APPOINTMENTS}
    report = hammer(own_db.url, **size, seed=20310303)
    assert report.failures == []
    assert report.operations == PROCESSES * OPERATIONS
    assert report.entries > report.operations / 2
    assert report.killed > 0
    assert report.cut > 0
    expected = {"purchase", "debit", "webhook", "transfer", "InsufficientCreditsError"}
    # Where there are few operations, a kill may come before what would have been given back.
    assert set(report.outcomes) >= expected | quick_or_whole(set(), {"refund"})


@pytest.fixture(scope="module")
def worked(create_database, template, tmp_path_factory):
    """Name of a database in which one worker did its work, to be cloned, and what it was told."""
    url, report = create_database(template), Report()
    with Database.connect(url) as database:
        site = build_site(database, str(tmp_path_factory.mktemp("site")))
        work(site, 0, 1, 150, None)
        told = read_diaries(site.folder, report)
        assert report.operations == 150
        assert report.failures == []
        audit(database, site, told, report)
    assert report.failures == []
    return parse_dsn(url)["dbname"], site, told


@pytest.fixture
def run(make_database, worked):
    """A clone of it, and what the worker did and was told."""
    name, site, told = worked
    with Database.connect(make_database(name)) as database:
        yield database, site, told


def found(run, told):
    database, site, _ = run
    report = Report()
    audit(database, site, told, report)
    return report.failures


def test_an_entry_that_nobody_was_told_of_is_noticed(run):
    _, _, told = run
    failures = found(run, told - {max(told)})
    assert failures[0] == "nobody was told of 1 entries"
    assert len(failures) == 2
    assert "was told of" in failures[1]


def test_an_entry_that_is_not_there_is_noticed(run):
    _, _, told = run
    assert found(run, told | {10**12}) == ["1 entries that callers were told of are not there"]


@pytest.mark.exhaustive
def test_an_entry_that_was_posted_twice_is_noticed(run):
    """`make test` keeps the entry that nobody was told of, as the second one is."""
    database, site, told = run
    with database.tenant(site.organization):
        credits.purchase(site.users[0], 1)
    assert found(run, told)[0] == "nobody was told of 1 entries"


def test_a_balance_that_was_negative_or_is_wrong_is_noticed(run):
    database, site, told = run
    with database.tenant(site.organization):
        entry = CreditTransaction.select().where(CreditTransaction.status == "completed").first()
    wrong = f"balance_before = -50, balance_after = amount - 50 WHERE id = {entry.id}"
    for side in ("before", "after"):
        on_server(
            database.url, f"ALTER TABLE credit_transactions DROP CONSTRAINT credit_transactions_balance_{side}_check"
        )
    with past_rules(database.url) as cursor:
        cursor.execute(f"UPDATE credit_transactions SET {wrong}; UPDATE credit_balances SET balance = balance + 1")
    failures = found(run, told)
    assert f"a balance was negative at entries [{entry.id}]" in failures
    assert any("was told of" in failure for failure in failures)
    assert any("the balance is not the sum of its completed entries" in failure for failure in failures)


@pytest.mark.slow
def test_a_worker_that_takes_over_asks_again_for_what_was_not_answered(own_db, tmp_path):
    site = build_site(own_db, str(tmp_path))
    work(site, 0, 1, 40, None)
    diary = tmp_path / "0.jsonl"
    lines = diary.read_text("utf-8").splitlines()
    *kept, last = [number for number, line in enumerate(lines) if '"told": [' in line]
    while '"told": []' in lines[last]:
        last = kept.pop()
    diary.write_text(
        "\n".join(lines[:last]) + '\n{"told": [1', "utf-8"
    )  # killed before, and while, it noted the answer
    work(site, 0, 1, 60, None)
    report = Report()
    audit(own_db, site, read_diaries(site.folder, report), report)
    assert report.failures == []
    assert report.operations == 60
