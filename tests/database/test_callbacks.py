"""What waited for a commit runs in its order, each whatever became of the others."""

import pytest

from rayces_core import ConfigurationError
from rayces_core.database.callbacks import run_callbacks
from tests.walking import walked


class Waiting:
    """Something that is to run after what runs already."""

    waits = True

    def __init__(self, act):
        self.act = act

    def __call__(self):
        self.act()


def test_what_waits_runs_after_all_that_was_there_and_the_rest_at_once():
    heard = []

    def first():
        heard.append("first")
        run_callbacks([Waiting(lambda: heard.append("waited")), lambda: heard.append("at once")])

    run_callbacks([first, lambda: heard.append("second")])
    assert heard == ["first", "at once", "second", "waited"]


def test_what_waits_for_what_waited_comes_last():
    heard = []

    def chain(number):
        heard.append(number)
        if number < 4:
            run_callbacks([Waiting(lambda: chain(number + 1))])

    run_callbacks([lambda: chain(0), lambda: chain(3)])
    assert heard == [0, 3, 1, 4, 2, 3, 4]


def test_a_failure_is_logged_and_keeps_nobody_from_running(caplog):
    heard = []

    def fail():
        raise ValueError("mail server")

    run_callbacks([fail, lambda: heard.append(1), fail, lambda: heard.append(2)])
    assert heard == [1, 2]
    assert len([record for record in caplog.records if "a callback after the commit failed" in record.message]) == 2


@walked("stopped", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_is_raised_once_the_rest_has_run_and_the_next_round_is_whole(stopped):
    heard = []

    def stop():
        run_callbacks([Waiting(lambda: heard.append("waited"))])
        raise stopped("first")

    def stop_too():
        raise stopped("second")

    with pytest.raises(stopped, match="first"):
        run_callbacks([stop, stop_too, lambda: heard.append("rest")])
    assert heard == ["rest", "waited"]
    run_callbacks([Waiting(lambda: heard.append("next"))])
    assert heard[2:] == ["next"]


async def awaited():
    pass


def yielding():
    yield


async def streaming():
    yield


BLOCKS = {
    "tenant": lambda db: db.tenant("north"),
    "privileged": lambda db: db.privileged(reason="test"),
    "atomic": lambda db: db.atomic(),
}


@pytest.mark.parametrize("function", [awaited, yielding, streaming])
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_no_block_is_put_around_what_runs_after_it(db, block, function):
    with pytest.raises(ConfigurationError, match="returns before it has run"):
        block(db)(function)
