"""An adoption of a Rails database whose process is killed at any statement goes on, or is undone; no row is lost."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rayces_core.migrating.adopting.rails.old import TABLES
from rayces_core.migrating.catalogue import fingerprint
from tests.migrating.adopting.killing import adopt_rails, go_back_to_rails, killed_after
from tests.patience import wait_until
from tests.sizes import EVERYTHING, quick_or_whole

from .conftest import Rails
from .database import CHOICES

KILLS = quick_or_whole(2, 8)
# Statements of a whole run, and of the look and the one transaction at its end; of a way back. A process that sends
# fewer is done before it is killed, and the next one is killed on the way back.
WHOLE, ENDING, BACK = 1000, 500, 120
BUSY = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def settled(rails: Rails) -> None:
    """Wait until the server has noticed that its client is gone."""
    wait_until(lambda: not rails.one(BUSY))


def home(rails: Rails) -> str:
    """Where the old tables are: aside once the one transaction is committed, else where they were."""
    return "rayces_before" if rails.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'rayces_before'") else "public"


def old_rows(rails: Rails) -> dict[str, list[Any]]:
    schema = home(rails)
    return {table: rails.sql(f"SELECT * FROM {schema}.{table} ORDER BY id") for table in TABLES}


def new_rows(rails: Rails) -> dict[str, Any]:
    """What the adoption made, but for the moment at which it did, and ids that start behind those of a stopped one."""
    later = "'updated_at', 'expires_at', 'occurred_at', 'processed_at', 'set_aside_at', 'created_at'"
    tables = (*TABLES, "state_transitions", "rayces_set_aside")
    made: dict[str, Any] = {}
    for table in tables:
        row = f"(to_jsonb(t) - ARRAY[{later}{'' if table in TABLES else ', ' + repr('id')}])"
        made[table] = rails.sql(f"SELECT {row} FROM public.{table} AS t ORDER BY {row}::text")
    return made


def kill(rails: Rails, word: str, chance: random.Random) -> bool:
    """Kill a process that adopts, or goes back, at a random statement; whether it came to that."""
    most = BACK if word == "undo" else chance.choice((WHOLE, ENDING))
    action = (adopt_rails, rails.owner_url, CHOICES) if word == "run" else (go_back_to_rails, rails.owner_url)
    killed = killed_after(chance.randint(1, most), chance.random() / 100, *action)
    settled(rails)
    return killed


@pytest.fixture
def undisturbed(small_adopted: Rails) -> dict[str, Any]:
    """What an adoption that nothing stopped has made."""
    return new_rows(small_adopted)


@pytest.mark.slow
def test_killed_at_any_statement_there_and_back_nothing_is_lost_or_doubled(
    small: Rails, undisturbed: dict[str, Any]
) -> None:
    chance = random.Random(15)
    before, catalogue = old_rows(small), fingerprint(small.connection)
    kills = {"run": 0, "undo": 0}
    while sum(kills.values()) < KILLS or not all(kills.values()):
        # Where it stands half way, either way on is right.
        word = "undo" if home(small) == "rayces_before" else "run"
        if word == "run" and kills["run"] and chance.random() < 0.2:
            word = "undo" if small.sql("SELECT to_regclass('rayces_adoption') IS NOT NULL")[0][0] else "run"
        kills[word] += kill(small, word, chance)
        assert old_rows(small) == before
        if not EVERYTHING and kills["run"] and home(small) == "public":
            small.adoption(url=small.owner_url).run()  # no chance has to bring it to where it can go back
        if home(small) == "rayces_before":
            assert new_rows(small) == undisturbed
    if small.one("SELECT to_regclass('rayces_adoption') IS NOT NULL"):
        small.adoption(url=small.owner_url, choices={}).undo()
    assert old_rows(small) == before
    assert set(fingerprint(small.connection)) ^ set(catalogue) == set()
    assert small.adoption(url=small.owner_url).run().stage == "adopted"
    assert (new_rows(small), old_rows(small)) == (undisturbed, before)


class Stopped(Exception):
    pass


INDEXES = "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND tablename = ANY (%s) ORDER BY 1"


@pytest.mark.exhaustive  # `make test` has kills at any statement, before this
def test_a_step_that_is_run_twice_takes_no_index_of_the_old_application(small: Rails) -> None:
    """Killed between a statement and the note of it, the next run repeats it, and finds it done."""

    def stop(name: str, step: int, _steps: int) -> None:
        if (name[:3], step) == ("011", 2):
            raise Stopped

    before = small.sql(INDEXES, "public", list(TABLES))
    with pytest.raises(Stopped):
        small.adoption(url=small.owner_url, on_step=stop).run()
    small.sql("UPDATE rayces_staging.rayces_migrations SET steps_done = 0 WHERE name LIKE '011%'")
    small.adoption(url=small.owner_url).run()
    assert small.sql(INDEXES, "rayces_before", list(TABLES)) == before
