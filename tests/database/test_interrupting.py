"""Interrupting a cell, or Ctrl-C in `db.interruptible()`, ends the statement that the server is working on."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rayces_core import ConfigurationError, Database, Student
from rayces_core.database import interrupting
from tests.kernel import Kernel
from tests.patience import soon, wait_until

SOON = 1.0  # after the interruption
Activity = Callable[[str], Callable[[], int]]

# In each a statement of the server's takes ten minutes.
SLOW = {
    "a statement": "with db.tenant('south'): db.execute_sql('SELECT pg_sleep(600)')",
    "privileged work": "with db.privileged(reason='look'): db.execute_sql('SELECT pg_sleep(600)')",
    "a unit of work": (
        "with db.tenant('south'), db.atomic():\n"
        "    Student.update(grade_level='lost').execute(); db.execute_sql('SELECT pg_sleep(600)')"
    ),
    "a query": "from peewee import SQL\nwith db.tenant('south'): list(Student.select(SQL('pg_sleep(600)')))",
    "a count": (
        "from peewee import SQL\nwith db.tenant('south'):\n"
        "    Student.select().where(SQL('pg_sleep(600) IS NOT NULL')).count()"
    ),
    "a COPY": (
        "import io\nwith db.tenant('south'), db.atomic():\n"
        "    db.engine.copy('COPY (SELECT pg_sleep(600)) TO STDOUT', io.BytesIO())"
    ),
    "a cursor on the server": (
        "from peewee import SQL\nfrom playhouse.postgres_ext import ServerSide\nwith db.tenant('south'), db.atomic():\n"
        "    list(ServerSide(Student.select(SQL('pg_sleep(600)'))))"
    ),
    "a bare cursor": "with db.tenant('south'): db.engine.connection().cursor().execute('SELECT pg_sleep(600)')",
    "a cell with await": (
        "import asyncio\nawait asyncio.sleep(0)\nwith db.tenant('south'): db.execute_sql('SELECT pg_sleep(600)')"
    ),
}


def interrupted(kernel: Kernel, code: str, activity: Activity, wait: str = "PgSleep") -> float:
    """Interrupt the cell while its statement waits; returns how many seconds later it was over."""
    end = "\nexcept KeyboardInterrupt: print('interrupted')"  # showing its traceback takes a second itself
    ran = kernel.interrupted("try:\n" + textwrap.indent(code, "    ") + end, once=activity(wait))
    assert (ran.error, ran.printed) == ("", "interrupted\n"), ran
    return ran.seconds


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_cell_is_interrupted_within_a_second_and_the_next_one_works(name, kernel: Kernel, activity: Activity):
    assert soon(lambda: interrupted(kernel, SLOW[name], activity), SOON)
    assert (
        kernel.cell(
            "with db.tenant('south'): print(Student.select().where(Student.grade_level == 'lost').count())"
        ).printed
        == "0\n"
    )
    assert kernel.cell("db.pool_status().in_use").value == "0"


@pytest.mark.exhaustive
def test_the_server_does_not_go_on_after_it(kernel: Kernel, activity: Activity):
    """`make test` keeps the cell that is interrupted and finds nothing written."""
    sleeping = activity("PgSleep")
    interrupted(kernel, SLOW["a statement"], activity)
    wait_until(lambda: not sleeping())


@pytest.mark.slow
def test_what_a_cell_waits_for_under_a_lock_is_interrupted(kernel: Kernel, activity: Activity):
    kernel.cell("locking = Database.connect(db.url); unit = None")
    kernel.cell(
        "import threading\nheld, done = threading.Event(), threading.Event()\n"
        "def hold():\n"
        "    with locking.tenant('south'), locking.atomic():\n"
        "        locking.execute_sql('SELECT 1 FROM students FOR UPDATE'); held.set(); done.wait(600)\n"
        "holder = threading.Thread(target=hold); holder.start(); held.wait(60)"
    )
    waiting = "with db.tenant('south'): Student.update(grade_level='x').execute()"
    is_soon = soon(lambda: interrupted(kernel, waiting, activity, "transactionid"), SOON)
    kernel.cell("done.set(); holder.join(); locking.close()")
    assert is_soon


@pytest.mark.exhaustive
def test_statements_of_other_threads_go_on(kernel: Kernel, activity: Activity):
    """`make test` keeps the signal that is another one."""
    kernel.cell(
        "import threading\nanswers = []\n"
        "def slow():\n"
        "    with db.tenant('north'): answers.append(db.execute_sql('SELECT pg_sleep(1.2)').rowcount)\n"
        "beside = threading.Thread(target=slow); beside.start()"
    )
    interrupted(kernel, SLOW["a statement"], activity)
    assert kernel.cell("beside.join(); print(answers)").printed == "[1]\n"


# -- in programs ------------------------------------------------------------------------------------------------------


def pressed_after(seconds: float, work: Callable[[], object], times: int = 1) -> float:
    """Press Ctrl-C meanwhile; returns how long it took until KeyboardInterrupt."""

    def press() -> None:
        for _ in range(times):
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGINT)

    pressing, began = threading.Thread(target=press), time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            pressing.start()
            work()
            time.sleep(60)
    finally:
        took = time.monotonic() - began
        pressing.join()
    return took


def sleep_on(db: Database, seconds: float) -> Any:
    return db.execute_sql("SELECT pg_sleep(%s)", (seconds,))


@pytest.mark.slow
def test_a_program_says_so_for_a_block(db, a):
    with db.tenant(a):
        with db.interruptible():
            assert soon(lambda: pressed_after(0.2, lambda: sleep_on(db, 20)), 0.2 + SOON)
        assert Student.select().count() == 0
        assert pressed_after(0.2, lambda: sleep_on(db, 0.8)) > 0.7  # outside it the statement is waited for


@pytest.mark.slow
def test_ctrl_c_in_the_next_statement_is_heard_while_the_last_one_might_have_to_be_cancelled_again(db, a, monkeypatch):
    monkeypatch.setattr(interrupting, "AGAIN_SECONDS", 60)
    with db.tenant(a), db.interruptible():
        pressed_after(0.2, lambda: sleep_on(db, 120))
        assert pressed_after(0.2, lambda: sleep_on(db, 20)) < 15


@pytest.mark.slow
def test_an_event_loop_is_told_of_signals_as_before(db, a):
    before = signal.set_wakeup_fd(-1)
    try:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing)
        with db.tenant(a), db.interruptible():
            pressed_after(0.2, lambda: sleep_on(db, 20))
        assert signal.set_wakeup_fd(-1) == writing
        assert os.read(reading, 10) == bytes([signal.SIGINT])
    finally:
        signal.set_wakeup_fd(before)


@pytest.mark.slow
def test_another_signal_cancels_nothing(db, a):
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    try:
        with db.tenant(a), db.interruptible():
            timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGUSR1))
            timer.start()
            assert sleep_on(db, 0.4).rowcount == 1
            timer.join()
        assert heard == [1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_ctrl_c_reaches_the_main_thread_only(db):
    refused = []

    def enter() -> None:
        try:
            db.interruptible().__enter__()
        except ConfigurationError as error:
            refused.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert "main thread" in str(refused[0])


@pytest.mark.slow
def test_a_program_that_does_not_say_so_starts_no_thread(db):
    code = (
        "import sys, threading\nfrom rayces_core import Database, Student\n"
        "db = Database.connect(sys.argv[1])\n"
        "with db.privileged(reason='look'): Student.select().count()\n"
        "print(threading.active_count(), 'IPython' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, db.url], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"


FROZEN = """
import os, signal, sys, threading, time, psycopg2
from rayces_core.database import interrupting
from rayces_core.embedded.server import EmbeddedServer
running = EmbeddedServer(sys.argv[1])
connection = psycopg2.connect(running.url)
backend = connection.info.backend_pid
server = int(open(f'/proc/{backend}/stat').read().rpartition(')')[2].split()[1])
for process in (server, backend):
    os.kill(process, signal.SIGSTOP)
def press():
    for _ in range(2):
        time.sleep(1.1)
        os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=press, daemon=True).start()
interrupting.GIVE_UP_SECONDS, began = 600, time.monotonic()
try:
    interrupting.run_interruptibly(connection, connection.cursor().execute, 'SELECT 1')
except KeyboardInterrupt:
    print('interrupted', time.monotonic() - began < 60, connection.closed)
for process in (server, backend):
    os.kill(process, signal.SIGCONT)
running.stop()
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the server's process is found in /proc")
def test_a_second_ctrl_c_leaves_a_server_that_does_not_answer(tmp_path):
    """`make test` keeps the first one, whatever waits."""
    command = [sys.executable, "-c", FROZEN, str(tmp_path / "pg")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "interrupted True 2\n", done.stdout + done.stderr
