"""A run that stops before any of its steps: it can be finished, and it can be undone, without a trace."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from rayces_core.migrating import Runner
from rayces_core.migrating.files import MigrationFile, is_atomic, read_directory
from rayces_core.migrations.session import connected
from rayces_core.migrations.steps import Migrator
from tests.sizes import EVERYTHING, quick_or_whole

from .filler import fill, lost, rows, without_history

# Of a statement the words that are SQL's own.
WORDS = re.compile(r"\b[A-Z]{2,}\b")


class Stopped(Exception):
    """The run ends here."""


class StoppableRunner:
    """A runner that can be told before which step to stop; it keeps its connection, which is quicker."""

    def __init__(self, url: str) -> None:
        self.stop_before: int | None = None
        self.steps = 0
        self.runner = Runner(url, on_step=self._observe)

    def _observe(self, _name: str, step: int, steps: int) -> None:
        self.steps = steps
        if step == self.stop_before:
            raise Stopped

    def steps_of(self, action: Callable[..., object], target: int) -> int:
        """Do it, and tell how many steps it took."""
        self.steps = 0
        action(target)
        return self.steps

    def stopped(self, step: int, action: Callable[..., object], target: int) -> None:
        """Stop `action(target)` before `step`, and see that the history knows."""
        self.stop_before = step
        with pytest.raises(Stopped):
            action(target)
        self.stop_before = None
        assert "dirty" in {status.state for status in self.runner.status()}


@pytest.fixture
def url(make_database: Any) -> str:
    return make_database()


@pytest.fixture
def stoppable(url: str) -> Iterator[StoppableRunner]:
    stoppable = StoppableRunner(url)
    with connected(stoppable.runner.database):
        yield stoppable


# Of these each few steps are walked; of an older one, whose file stays as it is, the middle and what is its own.
NEWEST = 8


def stages(runner: Runner, connection: Any) -> Iterator[tuple[MigrationFile, bool]]:
    """Each migration without a transaction (`make test`: of every tenth), a filled database before it; if it is new."""
    stepwise = [file for file in read_directory(None) if not is_atomic(file.load())]
    for file in stepwise[:: quick_or_whole(10, 1)]:
        runner.up(file.number - 1)
        fill(connection, file.number - 1)
        yield file, file in stepwise[-NEWEST:]


class Places:
    """Where runs are stopped: before a statement of each kind once, and in the middle of each migration."""

    def __init__(self, way: str) -> None:
        self.way, self.seen = way, set[str]()

    def of(self, runner: Runner, file: MigrationFile, steps: int, new: bool) -> list[int]:
        """The numbers of the steps.

        Of a new migration each step when there are few; a row of more repeats the same statement for one table or index
        after another. `make test` stops in the middle.
        """
        middle = {min(steps, steps // 2 + 1)} - {0}
        if not EVERYTHING:
            return sorted(middle)
        kinds = self.kinds(runner, file)
        assert len(kinds) == steps, file.name
        first = {number for number, kind in enumerate(kinds, 1) if kinds.index(kind) == number - 1}
        unseen = {number for number in first if kinds[number - 1] not in self.seen}
        self.seen.update(kinds)
        if new:
            unseen |= set(range(1, steps + 1)) if steps < 5 else {1, 2, steps}
        return sorted(middle | unseen)

    def kinds(self, runner: Runner, file: MigrationFile) -> list[str]:
        """What each step is: the first words of its statement that are SQL's own, or a call."""
        migrator = Migrator(runner.database)
        getattr(file.load(), self.way)(migrator, runner.database)
        return ["a call" if step.is_call else " ".join(WORDS.findall(step.text)[:4]) for step in migrator.steps]


@pytest.mark.slow
def test_a_run_stopped_before_any_step_either_way_can_be_finished_and_can_be_turned_round(
    url: str, stoppable: StoppableRunner, connect: Any
) -> None:
    runner, connection = stoppable.runner, connect(url)
    ups, downs = Places("migrate"), Places("rollback")
    for file, new in stages(runner, connection):
        number = file.number
        down = partial(runner.down, yes=True)
        before, data = without_history(connection), rows(connection)
        ups_here = ups.of(runner, file, stoppable.steps_of(runner.up, number), new)
        after, more = without_history(connection), rows(connection)
        downs_here = downs.of(runner, file, stoppable.steps_of(down, number - 1), new)
        for step in ups_here:
            stoppable.stopped(step, runner.up, number)
            down(number - 1)
            assert without_history(connection) == before, f"{number} undone from before step {step}"
            stoppable.stopped(step, runner.up, number)
            assert len(runner.up(number)) == 1
            assert without_history(connection) == after, f"{number} finished from step {step}"
            down(number - 1)
            assert list(lost(data, rows(connection))) == []
        for step in downs_here:
            runner.up(number)
            stoppable.stopped(step, down, number - 1)
            assert len(runner.up(number)) == 1
            assert without_history(connection) == after, f"{number} turned round before step {step}"
            assert list(lost(more, rows(connection))) == []
            stoppable.stopped(step, down, number - 1)
            assert len(down(number - 1)) == 1
            assert without_history(connection) == before, f"{number} finished from step {step}"
