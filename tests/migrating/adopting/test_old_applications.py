"""Applications of real schemas go on while they are adopted, and after, and after the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import make_dsn

from .conftest import MyHub, make_bare_myhub
from .myhub import FIXES
from .old_application import STATEMENTS, visited

SCHEMAS = Path(__file__).parent / "schemas"
# What is chosen beside the spelling of addresses; nothing is done in them first.
CHOICES = {
    "missing-author": "archive@myhub.example",
    "required-columns": "nullable",
    "unique-indexes": "at-finish",
    "defaults": "drop",
}
# Those that look users up by the very text, capitals and all.
EXACT = ("myhub_real", "microblog")


@pytest.fixture
def make_schema(login: Any, make_database: Any, connect: Any) -> Iterator[Callable[[str], MyHub]]:
    """Make a database of that schema, owned by a login of its own."""
    made: list[MyHub] = []

    def make(schema: str) -> MyHub:
        script = (SCHEMAS / f"{schema}.sql").read_text()
        made.append(make_bare_myhub(make_database(), login(), connect, script))
        return made[-1]

    yield make
    for each in made:
        each.sql(f"REASSIGN OWNED BY {each.owner} TO CURRENT_USER")
        each.sql(f"DROP OWNED BY {each.owner} CASCADE")


def met_while_adopted(myhub: MyHub, schema: str, **options: Any) -> dict[str, set[str]]:
    """Phase → what did not go as it has to, adopted with these choices and back."""
    with visited(make_dsn(myhub.owner_url), schema) as visits:
        visits.next("there")
        myhub.adoption(url=myhub.owner_url, choices=FIXES | CHOICES | options, retry_seconds=120.0).run()
        visits.next("adopted", turns=0)
        visits.next("back")
        assert myhub.again(url=myhub.owner_url, retry_seconds=120.0).undo().differences == ()
        visits.next("after", turns=0)
        visits.next("")
    return {phase: set(found) for phase, found in visits.failed.items() if found}


# What a session prepared before compares as it did then, and says so by no error.
PREPARED_BEFORE = "prepared is taken: 0 rows"


# `make test` has one that goes on in test_living.py.
@pytest.mark.exhaustive
@pytest.mark.parametrize("schema", STATEMENTS)
def test_an_old_application_goes_on_before_while_and_after_it_is_adopted(
    make_schema: Callable[[str], MyHub], schema: str
) -> None:
    choices = {"email-spelling": "any-case"} if schema in EXACT else {}
    met = met_while_adopted(make_schema(schema), schema, **choices)
    assert {each for found in met.values() for each in found} <= {PREPARED_BEFORE}


@pytest.mark.exhaustive  # what is not found is told in test_addresses.py
@pytest.mark.parametrize("schema", EXACT)
def test_one_that_compares_addresses_exactly_misses_only_those_and_finds_them_after_the_way_back(
    make_schema: Callable[[str], MyHub], schema: str
) -> None:
    myhub = make_schema(schema)
    (told,) = [each for each in myhub.adoption(spelling=None).report().findings if each.kind == "email-spelling"]
    assert (told.count, "will not find these any more" in told.what) == (20, True)
    met = met_while_adopted(myhub, schema)
    assert set(met) <= {"there", "adopted", "back"}
    assert {each.partition(" ")[2] for found in met.values() for each in found} == {
        "find by address: 0 rows",
        "is taken: 0 rows",
    }
