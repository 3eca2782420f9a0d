"""`rayces migrate adopt`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rayces_core.migrating.adopting.finding import CHOICES
from tests.cli.process import Terminal, is_one_sentence
from tests.conftest import on_server
from tests.migrating.adopting.myhub import DIRT, ROWS, SCHEMA

ROOT = Path(__file__).parents[2]
NAMED = ("--organization-name", "North Hub", "--subdomain", "north")
SPELLING = ("--fix", "email-spelling=lower-case")


def fill(url: str) -> str:
    """Make it a MyHub with two kinds of dirt."""
    on_server(url, f"{SCHEMA} {ROWS} {DIRT['emails']}; {DIRT['repeated-likes']}")
    return url


@pytest.fixture
def myhub(capsys: pytest.CaptureFixture[str], make_database: Callable[..., str]) -> Terminal:
    """A command line on a MyHub with two kinds of dirt."""
    return Terminal(capsys, fill(make_database()))


@pytest.fixture(scope="module")
def unchanged_url(create_database: Callable[..., str]) -> str:
    return fill(create_database())


@pytest.fixture
def unchanged(capsys: pytest.CaptureFixture[str], unchanged_url: str) -> Terminal:
    """The same for tests in which nothing of it is changed."""
    return Terminal(capsys, unchanged_url)


@pytest.mark.slow
def test_a_report_lists_findings_choices_and_statements_and_changes_nothing(
    unchanged: Terminal, server_url: str
) -> None:
    report = ("migrate", "adopt", "--report", "--scratch-url", server_url)
    ran = unchanged(*report)
    assert ran.code == 1
    assert "2 users have the e-mail address of an older user" in ran.out.replace("\n", " ") or "emails" in ran.out
    assert "3 findings stand in the way" in ran.out
    assert re.search(r"006, \d+ +normalise\(\): UPDATE users SET email_as_given", ran.out)
    assert re.search(r"\n\d{3} statements, about \d+\.\d s .*; the longest: ", ran.out)


@pytest.mark.exhaustive  # `make test` has that of a Rails application as JSON, and the outcome of a run
def test_a_report_is_json_for_programs(unchanged: Terminal, server_url: str) -> None:
    report = ("migrate", "adopt", "--report", "--scratch-url", server_url)
    found = json.loads(unchanged(*report, "--json").out)
    by_kind = {each["kind"]: each for each in found["findings"]}
    assert found["stage"] is None
    assert {each["migration"] for each in found["statements"]} > {"preparation", "006_assign_organization"}
    assert (by_kind["emails"]["examples"], by_kind["emails"]["choices"]) == ([3, 5], ["rename", "merge"])
    assert [kind for kind, each in by_kind.items() if each["open"]] == ["emails", "repeated-likes", "email-spelling"]


@pytest.mark.slow
def test_an_address_is_a_choice_where_one_is_asked_for(unchanged: Terminal) -> None:
    ran = unchanged("migrate", "adopt", *NAMED, "--fix", "missing-author=archive@example.org")
    assert (ran.code, "3 findings stand in the way" in ran.out) == (1, True)
    ran = unchanged("migrate", "adopt", "--report", "--fix", "emails=archive@example.org")
    assert (ran.code, "missing-author=<e-mail>|nullable|set-aside" in ran.err.replace("\n", "")) == (2, True)


@pytest.mark.slow
def test_without_a_choice_the_code_is_1_and_nothing_is_changed(unchanged: Terminal) -> None:
    ran = unchanged("migrate", "adopt", *NAMED, *SPELLING, "--fix", "emails=rename")
    assert (ran.code, "1 finding stands in the way" in ran.out) == (1, True)
    assert unchanged("migrate", "adopt", "--undo").code == 3
    assert "adopt --organization-name" in unchanged("migrate", "up").err


@pytest.mark.slow
@pytest.mark.usefixtures("scratch_is_migrated")
def test_adopted_finished_and_checked(myhub: Terminal, server_url: str) -> None:
    fixes = (*SPELLING, "--fix", "emails=rename", "--fix", "repeated-likes=set-aside")
    ran = myhub("migrate", "adopt", *NAMED, *fixes, "--json")
    outcome = json.loads(ran.out)
    assert (ran.code, outcome["stage"], outcome["organization_id"]) == (0, "adopted", 1)
    assert outcome["set_aside"] == {"likes": 3, "users": 2}
    assert outcome["migrations"][0] == "002_organizations"
    assert myhub("migrate", "status").code == 0
    check = ("migrate", "check", "--scratch-url", server_url)
    ran = myhub(*check, "--json")
    assert (ran.code, {each["kind"] for each in json.loads(ran.out)}) == (0, {"extra", "transitional"})
    assert myhub("migrate", "adopt", "--finish").out.splitlines()[0] == "the adoption of organization 1 is finished"
    ran = myhub(*check, "--strict")
    assert (ran.code, "column users.username" in ran.out) == (1, True)
    assert myhub("doctor").code == 0
    assert "use `rayces migrate up`" in myhub("migrate", "adopt", *NAMED).err


@pytest.mark.slow
def test_adopted_and_undone(myhub: Terminal) -> None:
    fixes = (*SPELLING, "--fix", "emails=merge", "--fix", "repeated-likes=set-aside")
    ran = myhub("migrate", "adopt", *NAMED, *fixes)
    assert ran.code == 0
    assert "MyHub is organization 1 now" in ran.out
    on_server(
        str(myhub.url),
        "INSERT INTO professionals (organization_id, user_id, title, specialization) VALUES (1, 1, 'x', 'speech')",
    )
    refused = myhub("migrate", "adopt", "--undo")
    assert (refused.code, is_one_sentence(refused.err), "--yes" in refused.err) == (3, True, True)
    ran = myhub("migrate", "adopt", "--undo", "--yes")
    assert ran.code == 0
    assert ran.out.splitlines()[0] == "this is plain MyHub again; e-mail addresses are what was given"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--subdomain", "north"),
        (*NAMED, "--fix", "emails=delete"),
        (*NAMED, "--fix", "emails"),
        (*NAMED, "--finish"),
        (*NAMED, "--yes"),
        (*NAMED, "--scratch-url", "postgresql://localhost"),
        ("--finish", "--undo"),
        ("--organization-name", " ", "--subdomain", "north"),
        ("--organization-name", "North", "--subdomain", "No rth"),
    ],
)
def test_wrong_words_are_a_matter_of_usage(unchanged: Terminal, words: tuple[str, ...]) -> None:
    ran = unchanged("migrate", "adopt", *words)
    assert (ran.code, is_one_sentence(ran.err)) == (2, True)


def test_what_is_no_unchanged_is_the_databases_refusal(empty: Terminal) -> None:
    ran = empty("migrate", "adopt", *NAMED)
    assert (ran.code, "this is no MyHub" in ran.err) == (3, True)


def test_the_page_of_commands_lists_every_choice_there_is() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| `--fix KIND=CHOICE`"))
    listed = re.findall(r"`([\w-]+=[\w<>-]+)`", row)
    assert sorted(listed) == sorted(f"{kind}={word}" for kind, words in CHOICES.items() for word in words)
