"""A run that stops before any of its steps: it can be finished, and it can be undone, without a trace."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from rayces_core.migrating import Runner
from rayces_core.migrating.files import is_atomic, read_directory
from rayces_core.migrations.session import connected
from tests.sizes import EVERYTHING, quick_or_whole

from .filler import fill, lost, rows, without_history


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


def stages(runner: Runner, connection: Any) -> Iterator[int]:
    """The number of each migration without a transaction (`make test`: of every tenth), a filled database before it."""
    stepwise = [file.number for file in read_directory(None) if not is_atomic(file.load())]
    for number in stepwise[:: quick_or_whole(10, 1)]:
        runner.up(number - 1)
        fill(connection, number - 1)
        yield number


def places(steps: int) -> list[int]:
    """Each step when there are few; a row of more repeats the same statement for one table or index after another.

    `make test` stops in the middle.
    """
    if not EVERYTHING:
        return sorted({min(steps, steps // 2 + 1)} - {0})
    return list(range(1, steps + 1)) if steps < 5 else [1, 2, steps // 2 + 1, steps]


@pytest.mark.slow
def test_a_run_stopped_before_any_step_can_be_finished_and_can_be_undone(
    url: str, stoppable: StoppableRunner, connect: Any
) -> None:
    runner, connection = stoppable.runner, connect(url)
    for number in stages(runner, connection):
        before, data = without_history(connection), rows(connection)
        runner.up(number)
        after, steps = without_history(connection), stoppable.steps
        runner.down(number - 1, yes=True)
        for step in places(steps):
            stoppable.stopped(step, runner.up, number)
            runner.down(number - 1, yes=True)
            assert without_history(connection) == before, f"{number} undone from before step {step}"
            stoppable.stopped(step, runner.up, number)
            assert len(runner.up(number)) == 1
            assert without_history(connection) == after, f"{number} finished from step {step}"
            runner.down(number - 1, yes=True)
            assert list(lost(data, rows(connection))) == []


@pytest.mark.slow
def test_an_undoing_stopped_before_any_step_can_be_finished_and_can_be_turned_round(
    url: str, stoppable: StoppableRunner, connect: Any
) -> None:
    runner, connection = stoppable.runner, connect(url)
    for number in stages(runner, connection):
        before = without_history(connection)
        runner.up(number)
        after, data = without_history(connection), rows(connection)
        stoppable.steps = 0
        runner.down(number - 1, yes=True)
        for step in places(stoppable.steps):
            runner.up(number)
            stoppable.stopped(step, partial(runner.down, yes=True), number - 1)
            assert len(runner.down(number - 1, yes=True)) == 1
            assert without_history(connection) == before, f"{number} finished from step {step}"
            runner.up(number)
            stoppable.stopped(step, partial(runner.down, yes=True), number - 1)
            assert len(runner.up(number)) == 1
            assert without_history(connection) == after, f"{number} turned round before step {step}"
            assert list(lost(data, rows(connection))) == []
            runner.down(number - 1, yes=True)
