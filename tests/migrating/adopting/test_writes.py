"""The walk of writes itself: all of it works on a fresh install, and a rule of another application is told by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rayces_core import Database
from tests.conftest import cloned, on_server
from tests.factory import make_organization

from .writes import refused_writes, writes_of_several


@pytest.fixture
def fresh(server_url: str, template: str) -> Iterator[Database]:
    """A migrated database of the test's own."""
    with cloned(server_url, template) as url, Database.connect(url) as database:
        yield database


@pytest.mark.slow
def test_every_write_works_on_a_fresh_install(fresh: Database) -> None:
    here = make_organization(fresh)
    assert writes_of_several(fresh, here) == {}
    assert refused_writes(fresh, here) == {}


RULES = {
    "ALTER TABLE likes ADD nick text NOT NULL": "here: Like: of a post",
    "ALTER TABLE posts ADD CHECK (length(content) < 100)": "here: Post: with a long one",
    "ALTER TABLE users ALTER phone TYPE varchar(255)": "here: User: phone made long",
    "ALTER TABLE users ADD UNIQUE (email)": "the same person in both",
    "ALTER TABLE users ALTER uid SET NOT NULL": "here: User: uid emptied",
}


@pytest.mark.slow
def test_rules_that_the_models_do_not_know_are_told(fresh: Database) -> None:
    on_server(fresh.url, "; ".join(RULES))
    assert set(RULES.values()) <= writes_of_several(fresh, make_organization(fresh)).keys()
