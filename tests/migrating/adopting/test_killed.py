"""An adoption that is stopped anywhere is gone on with by the same call, and ends as one that was never stopped."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import rayces_core
from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.files import is_atomic, read_directory
from tests.sizes import exhaustive, quick_or_whole

from .conftest import MyHub, make_myhub
from .myhub import DIRT, FIXES, contents

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
    for stops in range(400):
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


# `make test` keeps one stopped within what has no transaction; others go back whole in test_recognition.py.
@pytest.mark.parametrize("stop", [6, *exhaustive(1, 3, 8, 10, 11, 19)])
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


KILLED = """
import sys
from rayces_core.migrating.adopting import Adoption
choices = dict(pair.split("=") for pair in sys.argv[2:])
tell = lambda *step: print(*step, flush=True)
Adoption(sys.argv[1], name="North Hub", subdomain="north", choices=choices, on_step=tell).run()
"""


def killed_after(command: list[str], steps: int, seconds: float) -> bool:
    """Run until so many steps have begun and a moment longer, then SIGKILL; whether it came to that."""
    source = str(Path(rayces_core.__file__).parents[1])
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": source})
    with running:
        assert running.stdout is not None
        begun = sum(1 for _ in zip(running.stdout, range(steps), strict=False))
        time.sleep(seconds)
        running.send_signal(signal.SIGKILL)
    assert begun == steps or running.returncode == 0
    return running.returncode == -signal.SIGKILL


STEPS, MOST = quick_or_whole(((20, 60), 2), ((2, 25), 400))


def test_a_process_killed_at_any_moment_is_gone_on_with(disturbed: MyHub, undisturbed: Undisturbed) -> None:
    myhub, chance = disturbed, random.Random(7)
    command = [sys.executable, "-c", KILLED, myhub.url, *(f"{kind}={word}" for kind, word in FIXES.items())]
    kills = 0
    while kills < MOST and killed_after(command, chance.randint(*STEPS), chance.random() / 50):
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
