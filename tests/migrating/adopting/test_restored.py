"""An adopted MyHub that was dumped and restored has what it had, though PostgreSQL prints it otherwise."""

from __future__ import annotations

from rayces_core.migrating import Runner
from rayces_core.migrating.checking import Difference, differences
from tests.conftest import cloned
from tests.migrating.restoring import restore

from .conftest import MyHub

ITS_OWN = """
ALTER TABLE posts ADD kind varchar DEFAULT 'note', ADD CHECK (kind IN ('note', 'photo')),
    ADD shown boolean GENERATED ALWAYS AS (kind IN ('note', 'photo')) STORED;
CREATE INDEX index_posts_on_kind ON posts (kind) WHERE kind IN ('note', 'photo');
CREATE TABLE moods (id bigint PRIMARY KEY, kind varchar CHECK (kind IN ('well', 'ill')));
"""


def test_what_a_myhub_had_is_known_again_after_a_restore_and_what_was_changed_is_not(
    myhub: MyHub, server_url: str
) -> None:
    myhub.sql(f"SET ROLE {myhub.owner}; {ITS_OWN} RESET ROLE")
    myhub.adoption().run()
    with cloned(server_url, "template0") as restored:
        restore(myhub.url, restored)
        before, after = (differences(Runner(url), server_url, strict=True) for url in (myhub.url, restored))
    assert _drift(before) == _drift(after)  # the table of what was set aside
    assert not [line for line in _drift(after) if " rayces_set_aside" not in line]
    assert [each.kind for each in after] == [each.kind for each in before]
    assert {each.line for each in after} != {each.line for each in before}
    name = "posts_kind_check"
    myhub.sql(f"ALTER TABLE posts DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK (kind IN ('note'))")
    drift = _drift(differences(Runner(myhub.url), server_url))
    assert drift == [f"constraint posts {name} CHECK (((kind)::text = 'note'::text))"]


def _drift(found: list[Difference]) -> list[str]:
    return [each.line for each in found if each.is_drift]
