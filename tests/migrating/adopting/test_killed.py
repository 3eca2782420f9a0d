"""An adoption that is stopped anywhere is gone on with by the same call, and ends as one that was never stopped."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.files import is_atomic, read_directory
from tests.sizes import quick_or_whole

from .conftest import MyHub, make_myhub
from .killing import adopt, killed_after
from .myhub import DIRT, FIXES, contents

pytestmark = pytest.mark.slow

ATOMIC = {file.name for file in read_directory(None) if is_atomic(file.load())}
CREATED_AT = "CREATE INDEX index_posts_on_created_at ON posts (created_at DESC)"


class Stopped(Exception):
    """The run ends here."""


EVERY = quick_or_whole(20, 1)


class Stopping:
    """Stops a run before every step (or each twentieth), once; of one transaction the last stands for all."""

    def __init__(self, every: int = EVERY) -> None:
        self.seen: set[tuple[str, int]] = set()
        self.every = every

    def __call__(self, name: str, step: int, steps: int) -> None:
        if (name, step) not in self.seen and (name not in ATOMIC or step == steps):
            self.seen.add((name, step))
            if len(self.seen) % self.every == 0:
                raise Stopped


def dirty(myhub: MyHub) -> None:
    for statement in (*DIRT.values(), CREATED_AT):
        myhub.sql(statement)


def until_done(action: Any) -> int:
    for stops in range(800):
        try:
            action()
        except Stopped:
            continue
        return stops
    raise AssertionError("it does not end")


@dataclass
class Undisturbed:
    """What an adoption of dirty rows that nothing stopped has left."""

    catalogue: list[str] = field(default_factory=list)
    contents: dict[str, Any] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)

    def look(self, myhub: MyHub) -> None:
        dirty(myhub)
        myhub.adoption(choices=FIXES).run()
        self.catalogue, self.contents = fingerprint(myhub.connection), contents(myhub.connection)
        self.kept = myhub.sql(KEPT)


KEPT = "SELECT table_name, row, reason FROM rayces_set_aside ORDER BY table_name, row ->> 'id', reason"


@pytest.fixture(scope="module")
def undisturbed(prepared: Callable[..., str]) -> Undisturbed:
    seen = Undisturbed()
    prepared(seen.look)
    return seen


@pytest.fixture
def disturbed(undisturbed: Undisturbed, old_owner: str, make_database: Any, connect: Any) -> Iterator[MyHub]:
    """The same MyHub of the same login, before its adoption."""
    myhub = make_myhub(make_database(), old_owner, connect)
    dirty(myhub)
    yield myhub
    myhub.sql(f"REASSIGN OWNED BY {old_owner} TO CURRENT_USER; DROP OWNED BY {old_owner} CASCADE")


def test_stopped_before_every_step_it_ends_as_if_it_had_not_been(disturbed: MyHub, undisturbed: Undisturbed) -> None:
    myhub = disturbed
    before, catalogue = contents(myhub.connection), fingerprint(myhub.connection)
    assert until_done(myhub.adoption(choices=FIXES, on_step=Stopping()).run) > 80 // EVERY
    assert fingerprint(myhub.connection) == undisturbed.catalogue
    assert contents(myhub.connection) == undisturbed.contents
    assert myhub.sql(KEPT) == undisturbed.kept

    assert until_done(myhub.again(on_step=Stopping()).undo) > 50 // EVERY
    assert [line for line in fingerprint(myhub.connection) if "rayces_set_aside" not in line] == catalogue
    assert {row[0] for row in before["posts"]} - {row[0] for row in contents(myhub.connection)["posts"]} == {2}


# `make test` goes back from a stop in test_real_databases.py, and whole in test_recognition.py.
@pytest.mark.exhaustive
@pytest.mark.parametrize("stop", [1, 3, 6, 8, 10, 11, 19])
def test_from_any_migration_there_is_a_way_back(myhub: MyHub, stop: int) -> None:
    catalogue, rows = fingerprint(myhub.connection), contents(myhub.connection)

    def stop_there(name: str, step: int, steps: int) -> None:
        if name.startswith(f"{stop:03}_") and step == (steps + 1) // 2:
            raise Stopped

    if stop > 1:
        with pytest.raises(Stopped):
            myhub.adoption(on_step=stop_there).run()
        for plain in (Runner(myhub.url).up, Runner(myhub.url).down):
            with pytest.raises(MigrationError, match="rayces migrate adopt"):
                plain()
    else:
        myhub.adoption().run()
    outcome = myhub.again().undo()
    assert (outcome.stage, outcome.differences, outcome.set_aside) == (None, (), {})
    assert fingerprint(myhub.connection) == catalogue
    assert contents(myhub.connection) == rows


STEPS, MOST = quick_or_whole(((20, 60), 2), ((5, 60), 400))


def test_a_process_killed_at_any_moment_is_gone_on_with(disturbed: MyHub, undisturbed: Undisturbed) -> None:
    myhub, chance = disturbed, random.Random(7)
    kills = 0
    while kills < MOST and killed_after(chance.randint(*STEPS), chance.random() / 50, adopt, myhub.url, FIXES):
        kills += 1
    assert kills >= 2
    assert myhub.adoption(choices=FIXES).run().stage == "adopted"
    assert fingerprint(myhub.connection) == undisturbed.catalogue
    assert contents(myhub.connection) == undisturbed.contents


def test_a_finish_stopped_before_every_step_is_gone_on_with(adopted: MyHub) -> None:
    # The exchange, three indexes, how addresses compare, and what was given: a right, its end, the column.
    assert until_done(adopted.again(on_step=Stopping(every=1)).finish) == 8
    assert adopted.sql("SELECT stage FROM rayces_adoption") == [("finished",)]
    assert adopted.again().finish().stage == "finished"
