"""psycopg2 has one wait callback for the whole process; blocks of several threads that set it may end in any order."""

import threading

import pytest
from psycopg2.extensions import get_wait_callback, set_wait_callback
from psycopg2.extras import wait_select

from rayces_core.cli.interrupt import interruptible_statements
from rayces_core.database.waiting import waited_for_by


@pytest.fixture(params=[None, wait_select], ids=["psycopg2 waits", "another waits"], autouse=True)
def before(request):
    """Who waits when nobody has said anything for a while."""
    assert get_wait_callback() is None
    set_wait_callback(request.param)
    yield request.param
    set_wait_callback(None)


def first(_):
    """Waits; never called here."""


def second(_):
    """Waits as well."""


@pytest.mark.parametrize("ends_first", ["older", "newer"])
def test_who_waited_before_waits_after_whichever_ends_first(before, ends_first):
    older, newer = waited_for_by(first), waited_for_by(second)
    older.__enter__()
    newer.__enter__()
    assert get_wait_callback() is second
    if ends_first == "older":
        older.__exit__(None, None, None)
        assert get_wait_callback() is second
        newer.__exit__(None, None, None)
    else:
        newer.__exit__(None, None, None)
        assert get_wait_callback() is first
        older.__exit__(None, None, None)
    assert get_wait_callback() is before


def test_who_is_set_meanwhile_by_somebody_else_stays():
    with waited_for_by(first):
        set_wait_callback(second)
    assert get_wait_callback() is second


def test_a_block_that_fails_ends_as_well(before):
    with pytest.raises(KeyError), waited_for_by(first):
        raise KeyError
    assert get_wait_callback() is before


def test_a_copy_that_outlives_a_command_of_another_thread_leaves_nothing_of_it(db, a, before):
    copying, over = threading.Event(), threading.Event()

    class Slow:
        def write(self, _):
            copying.set()
            assert over.wait(60)

    def copy():
        with db.tenant(a), db.atomic():
            db.engine.copy("COPY (SELECT 1) TO STDOUT", Slow())

    thread = threading.Thread(target=copy)
    with interruptible_statements():
        thread.start()
        assert copying.wait(60)
    over.set()
    thread.join()
    assert get_wait_callback() is before
