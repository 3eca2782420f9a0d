"""Spellings of e-mail addresses: counted, changed only as chosen, kept as given, and given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rayces_core.errors import ConfigurationError, MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.adopting import Adoption
from rayces_core.migrating.catalogue import fingerprint
from tests.conftest import on_server
from tests.sizes import exhaustive

from .conftest import TURKISH, MyHub
from .myhub import ROWS, SCHEMA

ADDRESSES = "SELECT id, email FROM users ORDER BY id"
GIVEN = "SELECT id, email_as_given FROM users WHERE email_as_given IS NOT NULL ORDER BY id"
EXACTLY = "SELECT id FROM users WHERE email = 'User3@Example.com ' LIMIT 1"
# What an old application writes → what is kept of it.
WRITTEN = {" Eva@Example.com": "eva@example.com", "EVE@x.org\n": "eve@x.org", "\tÉVA@x.org\u00a0": "éva@x.org"}


def sign_up(myhub: MyHub, address: str) -> int:
    sql = "INSERT INTO users (email, created_at, updated_at) VALUES (%s, now(), now()) RETURNING id"
    return int(myhub.application().one(sql, address))


@pytest.mark.slow
def test_a_change_of_spelling_is_counted_and_waits_for_a_choice(myhub: MyHub) -> None:
    myhub.sql("UPDATE users SET email = 'plain@example.com' WHERE id = 2")
    was = myhub.sql(ADDRESSES)
    (found,) = myhub.adoption(spelling=None).report().open
    assert (found.kind, found.count, found.examples) == ("email-spelling", 7, (1, 3, 4, 5, 6))
    assert "will not find these any more" in found.what
    with pytest.raises(MigrationError, match="--fix email-spelling=lower-case"):
        myhub.adoption(spelling=None).run()
    assert myhub.sql(ADDRESSES) == was


@pytest.mark.exhaustive  # a plain MyHub with such has no finding (test_recognition.py)
def test_addresses_that_are_normal_already_are_no_finding(myhub: MyHub) -> None:
    myhub.sql("UPDATE users SET email = lower(btrim(email))")
    assert "email-spelling" not in [each.kind for each in myhub.adoption(spelling=None).report().findings]
    assert myhub.adoption(spelling=None).run().stage == "adopted"
    assert myhub.sql(GIVEN) == []


@pytest.mark.slow
def test_what_was_given_is_kept_beside_the_normal_form_and_written_back(myhub: MyHub) -> None:
    was = dict(myhub.sql(ADDRESSES))
    assert myhub.sql(EXACTLY) == [(3,)]
    myhub.adoption().run()
    assert dict(myhub.sql(GIVEN)) == was
    assert dict(myhub.sql(ADDRESSES)) == {key: f"user{key}@example.com" for key in was}
    assert myhub.sql(EXACTLY) == []
    written = {sign_up(myhub, address): address for address in WRITTEN}
    assert dict(myhub.sql(f"{ADDRESSES} OFFSET 8")) == {key: WRITTEN[each] for key, each in written.items()}
    assert myhub.again().undo().differences == ()
    assert dict(myhub.sql(ADDRESSES)) == was | written
    assert myhub.sql(EXACTLY) == [(3,)]


@pytest.mark.slow
def test_an_address_that_was_changed_since_is_not_changed_back(adopted: MyHub) -> None:
    old = adopted.application()
    old.ask("UPDATE users SET email = 'Other@x.org' WHERE id = 1")
    old.ask("UPDATE users SET email = 'user2@example.com' WHERE id = 2")  # what it is: Rails does not even ask
    old.ask("UPDATE users SET email = 'third@x.org', name = 'T' WHERE id = 3")
    adopted.sql("UPDATE users SET email = 'fourth@x.org' WHERE id = 4")
    old.ask("UPDATE users SET name = 'Fifth' WHERE id = 5")
    adopted.again().undo()
    assert adopted.sql(f"{ADDRESSES} LIMIT 5") == [
        (1, "Other@x.org"),
        (2, "User2@Example.com "),
        (3, "third@x.org"),
        (4, "fourth@x.org"),
        (5, "User5@Example.com "),
    ]


class Stopped(Exception):
    pass


@pytest.mark.exhaustive  # `make test` goes back and forth in test_killed.py and keeps spellings in the others here
def test_half_a_way_back_and_there_again_loses_no_spelling(adopted: MyHub) -> None:
    def stop(name: str, _step: int, _steps: int) -> None:
        if name.startswith("005"):
            raise Stopped

    was = adopted.sql(GIVEN)
    with pytest.raises(Stopped):
        adopted.again(on_step=stop).undo()
    assert [tuple(row) for row in adopted.sql(ADDRESSES)] == was
    adopted.adoption().run()
    assert adopted.sql(GIVEN) == was


@pytest.mark.slow
def test_a_finish_moves_what_was_given_to_what_is_set_aside(adopted_by_its_owner: MyHub) -> None:
    myhub = adopted_by_its_owner
    given = myhub.sql(GIVEN)
    assert myhub.again(url=myhub.owner_url).finish().set_aside == {"users": len(given)}
    kept = "SELECT (row ->> 'id')::int, row ->> 'email' FROM rayces_set_aside ORDER BY 1"
    assert myhub.sql(kept) == given
    assert myhub.sql("SELECT attname FROM pg_attribute WHERE attname = 'email_as_given'") == []
    rights = "SELECT has_table_privilege('rayces_admin', 'rayces_set_aside', 'INSERT')"
    assert myhub.sql(rights) == [(False,)]


LOCALES = {"Turkish": TURKISH, "C": "LOCALE 'C' ENCODING 'UTF8'"}


@pytest.fixture
def database_of(database_in: Callable[[str], str]) -> Callable[[str], str]:
    """Make a MyHub in a database of this locale."""

    def make(options: str) -> str:
        url = database_in(options)
        on_server(url, f"{SCHEMA} {ROWS}")
        return url

    return make


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["Turkish", *exhaustive("C")])
def test_an_address_is_the_same_in_every_locale(database_of: Callable[[str], str], connect: Any, locale: str) -> None:
    url = database_of(LOCALES[locale])
    on_server(url, "UPDATE users SET email = 'INFO@IBIZA.COM' WHERE id = 1")
    choices = {"email-spelling": "lower-case"}
    adoption = Adoption(url, name="North Hub", subdomain="north", choices=choices)
    adoption.run()
    cursor = connect(url).cursor()
    cursor.execute("INSERT INTO users (email, created_at, updated_at) VALUES ('BILGI@X.ORG', now(), now())")
    cursor.execute("SELECT email FROM users WHERE id IN (1, 9) ORDER BY id")
    assert cursor.fetchall() == [("info@ibiza.com",), ("bilgi@x.org",)]
    cursor.execute("INSERT INTO users (email, created_at, updated_at) VALUES ('ÜMİT.ΟΔΟΣ@X.ORG', now(), now())")
    cursor.execute("SELECT email FROM users WHERE id = 10")
    assert cursor.fetchone() == ("ÜMİT.ΟΔΟΣ@X.ORG".lower(),)


# Late: after 006 has made addresses normal, before 007 lets nobody write another.
LATE = {"ÉVA@X.org": "éva@x.org", "INFO2@X.org\u00a0": "info2@x.org"}
WRITE_LATE = "INSERT INTO users (email, created_at, updated_at) SELECT unnest(%s), now(), now()"


EACH = [(locale, choice) for locale in LOCALES for choice in ("lower-case", "any-case")]
FIRST = [("C", "any-case")]


@pytest.mark.slow
@pytest.mark.parametrize("case", [*FIRST, *exhaustive(*(each for each in EACH if each not in FIRST))], ids=" ".join)
def test_rows_that_come_late_past_the_trigger_become_normal_and_are_kept_as_given(
    database_of: Callable[[str], str], connect: Any, case: tuple[str, str]
) -> None:
    locale, choice = case
    url = database_of(LOCALES[locale])
    cursor = connect(url).cursor()

    def load(name: str, step: int, _steps: int) -> None:
        if (name[:3], step) == ("007", 1):
            cursor.execute("SET session_replication_role = replica")  # as whoever loads a dump does
            cursor.execute(WRITE_LATE, (list(LATE),))

    choices = {"email-spelling": choice}
    adoption = Adoption(url, name="North Hub", subdomain="north", choices=choices, on_step=load)
    assert adoption.run().stage == "adopted"
    cursor.execute("SELECT email::text, email_as_given FROM users WHERE id > 8 ORDER BY id")
    assert cursor.fetchall() == [(normal, given) for given, normal in LATE.items()]


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["Turkish", *exhaustive("C")])
def test_without_an_adoption_too(database_of: Callable[[str], str], connect: Any, locale: str) -> None:
    url = database_of(LOCALES[locale])
    runner, cursor = Runner(url), connect(url).cursor()
    runner.run(1, fake=True)
    runner.up(6)
    cursor.execute(WRITE_LATE, (list(LATE),))
    runner.up(7)
    cursor.execute("SELECT email FROM users WHERE id > 8 ORDER BY id")
    assert [email for (email,) in cursor.fetchall()] == list(LATE.values())


@pytest.mark.slow
def test_a_myhub_that_is_not_in_utf_8_is_refused_before_anything_runs(
    database_of: Callable[[str], str], connect: Any
) -> None:
    url = database_of("LOCALE 'C' ENCODING 'SQL_ASCII'")
    before = fingerprint(connect(url))
    with pytest.raises(ConfigurationError, match="is in SQL_ASCII, which does not hold every name"):
        Adoption(url, name="North Hub", subdomain="north", choices={"email-spelling": "lower-case"}).run()
    assert fingerprint(connect(url)) == before


@pytest.mark.slow
def test_the_same_address_in_a_turkish_spelling_is_found_to_be_the_same(database_of: Callable[[str], str]) -> None:
    url = database_of(LOCALES["Turkish"])
    on_server(url, "UPDATE users SET email = CASE id WHEN 1 THEN 'INFO@X.ORG' ELSE 'info@x.org' END WHERE id IN (1, 2)")
    found = Adoption(url, name="North Hub", subdomain="north").report().findings
    assert [(each.kind, each.examples) for each in found if each.kind == "emails"] == [("emails", (2,))]
