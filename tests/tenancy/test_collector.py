"""The garbage collector is held off while rows are built, and never longer."""

import gc
import os
import threading

import pytest

from rayces_core import Student
from rayces_core.tenancy.collector import undisturbed
from rayces_core.tenancy.hydration import CHUNK_ROWS


def test_it_is_off_while_rows_are_built_and_on_after():
    assert undisturbed(gc.isenabled) is False
    assert gc.isenabled()


def test_it_is_on_again_after_an_error():
    with pytest.raises(ZeroDivisionError):
        undisturbed(lambda: 1 / 0)
    assert gc.isenabled()


def test_who_has_switched_it_off_keeps_it_off():
    gc.disable()
    try:
        undisturbed(int)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_one_thread_at_a_time_holds_it_off():
    started, go_on, seen = threading.Event(), threading.Event(), []

    def build():
        started.set()
        go_on.wait(60)

    thread = threading.Thread(target=lambda: undisturbed(build))
    thread.start()
    started.wait(60)
    seen.append(undisturbed(gc.isenabled))
    seen.append(gc.isenabled())
    go_on.set()
    thread.join()
    assert seen == [False, False]
    assert gc.isenabled()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_meanwhile_has_it_on():
    started, go_on = threading.Event(), threading.Event()

    def build():
        started.set()
        go_on.wait(60)

    thread = threading.Thread(target=lambda: undisturbed(build))
    thread.start()
    started.wait(60)
    child = os.fork()
    if not child:
        os._exit(0 if gc.isenabled() and undisturbed(gc.isenabled) is False and gc.isenabled() else 1)
    go_on.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("rows", [0, 1, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS])
def test_a_result_of_any_length_is_read_whole(db, a, rows):
    with db.tenant(a):
        db.execute_sql(
            "INSERT INTO students (organization_id, first_name, last_name) "
            "SELECT %s, 'n' || n, 'x' FROM generate_series(1, %s) n RETURNING 1",
            (a.id, rows),
        )
        query = Student.select(Student.first_name).order_by(Student.id)
        read = {
            "objects": lambda: [student.first_name for student in query.clone()],
            "tuples": lambda: [name for (name,) in query.tuples()],
            "dicts": lambda: [row["first_name"] for row in query.dicts()],
            "iterator": lambda: [student.first_name for student in query.iterator()],
        }
        names = [f"n{n}" for n in range(1, rows + 1)]
        assert {how: way() for how, way in read.items()} == dict.fromkeys(read, names)
    assert gc.isenabled()
