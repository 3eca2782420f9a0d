"""What an adoption would do is told by doing it on a likeness, which holds no row of MyHub's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from rayces_core.errors import ConfigurationError
from rayces_core.migrating.adopting import Planned, plan, planning
from rayces_core.migrating.adopting.likeness import Likeness
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.measuring import Measurement
from rayces_core.migrations.session import MigrationDatabase, connected, dedicated

from .conftest import MyHub
from .myhub import DIRT, contents

# What real ones have besides.
BESIDES = """
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE EXTENSION IF NOT EXISTS citext;
ALTER TABLE users ADD nickname citext NOT NULL DEFAULT 'n', ADD mood mood NOT NULL DEFAULT 'ok',
    ADD tags text[] NOT NULL DEFAULT '{}',
    ADD token varchar(12) NOT NULL DEFAULT substr(md5(random()::text), 1, 12), ADD born date,
    ADD admin boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX index_users_on_token ON users (token);
CREATE INDEX index_posts_on_words ON posts USING gin (to_tsvector('simple', content));
"""


def planned(myhub: MyHub, server_url: str, **options: Any) -> tuple[Planned, ...]:
    adoption = myhub.adoption(**options)
    return plan(adoption, adoption.report(), server_url)


class Watched:
    """Counts the statements that an adoption really runs, as its rehearsal does."""

    def __init__(self) -> None:
        self.steps: Counter[str] = Counter()

    def __call__(self, name: str, step: int, _steps: int) -> None:
        self.steps[name] = max(self.steps[name], step)


@pytest.mark.slow
def test_what_is_planned_is_what_is_done(myhub: MyHub, server_url: str) -> None:
    before, catalogue = contents(myhub.connection), fingerprint(myhub.connection)
    statements = planned(myhub, server_url)
    assert (contents(myhub.connection), fingerprint(myhub.connection)) == (before, catalogue)
    steps: Counter[str] = Counter()
    for each in statements:
        steps[each.migration] = max(steps[each.migration], each.step)
    watched = Watched()
    myhub.adoption(on_step=watched).run()
    assert steps == watched.steps
    assert min(each.seconds for each in statements) >= 0
    held = [each for each in statements if each.lock == "ACCESS EXCLUSIVE" and "users" in each.locked]
    assert any(each.sql.startswith("ALTER TABLE users ADD COLUMN organization_id") for each in held)


@pytest.mark.exhaustive  # what the command shows has open choices as well (tests/cli)
def test_a_choice_that_is_open_is_planned_as_its_first(myhub: MyHub, server_url: str) -> None:
    myhub.sql(f"{DIRT['orphans']}; ALTER TABLE posts DISABLE TRIGGER ALL")
    statements = planned(myhub, server_url)
    assert any("ADD CONSTRAINT fk_rails_5b5ddfd518 FOREIGN KEY (user_id)" in each.sql for each in statements)


@pytest.mark.slow
def test_a_refusal_leaves_no_plan(myhub: MyHub, server_url: str) -> None:
    myhub.sql("ALTER TABLE posts ENABLE ROW LEVEL SECURITY")
    assert planned(myhub, server_url) == ()


@pytest.fixture
def likeness_of(make_database: Callable[[], str]) -> Callable[..., tuple[MigrationDatabase, Any]]:
    """Make the likeness of a MyHub in a database of its own."""

    def make(myhub: MyHub, rows: int) -> MigrationDatabase:
        original, copy = dedicated(myhub.url), dedicated(make_database())
        with connected(original), connected(copy):
            Likeness(original, copy).make(dict.fromkeys(("users", "posts", "likes"), rows))
        return copy

    return make


@pytest.mark.slow
def test_a_likeness_has_the_tables_of_myhub_and_none_of_its_rows(
    myhub: MyHub, likeness_of: Callable[..., Any], connect: Any
) -> None:
    myhub.sql(BESIDES)
    copy = likeness_of(myhub, 50)
    with connected(copy):
        counts = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM posts), (SELECT count(*) FROM likes)"
        assert copy.execute_sql(counts).fetchone() == (50, 50, 50)
        assert copy.one("SELECT count(*) FROM users WHERE name LIKE 'User%' OR provider = 'google'") == 0
        made = set(fingerprint(copy))
    lacking = {line for line in fingerprint(myhub.connection) if line not in made}
    # The type of its own becomes text.
    assert {line for line in lacking if "mood" not in line and "grant" not in line and "owner" not in line} == set()


@pytest.mark.parametrize(
    ("call", "scanned", "seconds"), [("", ("likes",), 5.0), ("", (), 0.5), ("settle_rows", (), 5.0)]
)
def test_what_goes_through_all_rows_takes_as_much_longer_as_there_are_more(
    call: str, scanned: tuple[str, ...], seconds: float
) -> None:
    measured = Measurement("007_x", 1, "ALTER ...", call, "EXCLUSIVE", ("likes", "users"), scanned, (), "")
    (told,) = planning._planned([measured], [0.5], {"likes": 10.0, "users": 2.0, "posts": 1.0})
    assert told.seconds == seconds


@pytest.mark.slow
def test_what_cannot_be_made_elsewhere_is_said(myhub: MyHub, server_url: str, login: Any) -> None:
    poor = login("NOCREATEDB")
    url = server_url.replace("postgres@", f"{poor}@") if "postgres@" in server_url else f"{server_url} user={poor}"
    with pytest.raises(ConfigurationError, match="CREATEDB"):
        planned(myhub, url)
