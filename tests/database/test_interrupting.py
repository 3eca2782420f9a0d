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
from tests.kernel import Kernel

SOON = 1.0  # after the interruption

# In each a statement of the server's takes half a minute.
SLOW = {
    "a statement": "with db.tenant('south'): db.execute_sql('SELECT pg_sleep(30)')",
    "privileged work": "with db.privileged(reason='look'): db.execute_sql('SELECT pg_sleep(30)')",
    "a unit of work": (
        "with db.tenant('south'), db.atomic():\n"
        "    Student.update(grade_level='lost').execute(); db.execute_sql('SELECT pg_sleep(30)')"
    ),
    "a query": "from peewee import SQL\nwith db.tenant('south'): list(Student.select(SQL('pg_sleep(30)')))",
    "a count": "with db.tenant('south'): Student.select().where(SQL('pg_sleep(30) IS NOT NULL')).count()",
    "a COPY": (
        "import io\nwith db.tenant('south'), db.atomic():\n"
        "    db.engine.copy('COPY (SELECT pg_sleep(30)) TO STDOUT', io.BytesIO())"
    ),
    "a cursor on the server": (
        "from playhouse.postgres_ext import ServerSide\nwith db.tenant('south'), db.atomic():\n"
        "    list(ServerSide(Student.select(SQL('pg_sleep(30)'))))"
    ),
    "a bare cursor": "with db.tenant('south'): db.engine.connection().cursor().execute('SELECT pg_sleep(30)')",
    "a cell with await": (
        "import asyncio\nawait asyncio.sleep(0)\nwith db.tenant('south'): db.execute_sql('SELECT pg_sleep(30)')"
    ),
}


def interrupted(kernel: Kernel, code: str) -> float:
    """Interrupt the cell in the midst of it; returns how many seconds later it was over, by the kernel's clock."""
    begin = "import time\nbegan = time.monotonic()\ntry:\n"
    end = "\nexcept KeyboardInterrupt: print(time.monotonic() - began)"  # showing its traceback takes a second itself
    ran = kernel.try_cell(begin + textwrap.indent(code, "    ") + end, interrupt_after=0.4)
    assert not ran.error, ran
    return float(ran.printed) - 0.4


@pytest.mark.parametrize("name", SLOW)
def test_a_cell_is_interrupted_within_a_second_and_the_next_one_works(name, kernel: Kernel):
    assert interrupted(kernel, SLOW[name]) < SOON
    assert (
        kernel.cell(
            "with db.tenant('south'): print(Student.select().where(Student.grade_level == 'lost').count())"
        ).printed
        == "0\n"
    )
    assert kernel.cell("db.pool_status().in_use").value == "0"


def test_the_server_does_not_go_on_after_it(kernel: Kernel):
    kernel.try_cell(SLOW["a statement"], interrupt_after=0.3)
    asked = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'"
    kernel.cell("import time\ntime.sleep(0.1)")
    ran = kernel.cell(f"with db.privileged(reason='look'): print(db.execute_sql({asked!r}).fetchone()[0])")
    assert ran.printed == "0\n"


def test_what_a_cell_waits_for_under_a_lock_is_interrupted(kernel: Kernel):
    kernel.cell("locking = Database.connect(db.url); unit = None")
    kernel.cell(
        "import threading\nheld, done = threading.Event(), threading.Event()\n"
        "def hold():\n"
        "    with locking.tenant('south'), locking.atomic():\n"
        "        locking.execute_sql('SELECT 1 FROM students FOR UPDATE'); held.set(); done.wait(20)\n"
        "holder = threading.Thread(target=hold); holder.start(); held.wait(10)"
    )
    took = interrupted(kernel, "with db.tenant('south'): Student.update(grade_level='x').execute()")
    kernel.cell("done.set(); holder.join(); locking.close()")
    assert took < SOON


def test_statements_of_other_threads_go_on(kernel: Kernel):
    kernel.cell(
        "import threading\nanswers = []\n"
        "def slow():\n"
        "    with db.tenant('north'): answers.append(db.execute_sql('SELECT pg_sleep(1.2)').rowcount)\n"
        "beside = threading.Thread(target=slow); beside.start()"
    )
    assert kernel.try_cell(SLOW["a statement"], interrupt_after=0.3).error == "KeyboardInterrupt"
    assert kernel.cell("beside.join(); print(answers)").printed == "[1]\n"


# -- in programs ------------------------------------------------------------------------------------------------------


def pressed_after(seconds: float, work: Callable[[], object], times: int = 1) -> float:
    """Press Ctrl-C meanwhile; returns how long it took until KeyboardInterrupt."""

    def press() -> None:
        for _ in range(times):
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGINT)

    pressing, began = threading.Thread(target=press), time.monotonic()
    pressing.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
            time.sleep(5)
    finally:
        took = time.monotonic() - began
        pressing.join()
    return took


def sleep_on(db: Database, seconds: float) -> Any:
    return db.execute_sql("SELECT pg_sleep(%s)", (seconds,))


def test_a_program_says_so_for_a_block(db, a):
    with db.tenant(a):
        with db.interruptible():
            assert pressed_after(0.2, lambda: sleep_on(db, 20)) < 0.2 + SOON
        assert Student.select().count() == 0
        assert pressed_after(0.2, lambda: sleep_on(db, 0.8)) > 0.7  # outside it the statement is waited for


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


def test_another_signal_cancels_nothing(db, a):
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    try:
        with db.tenant(a), db.interruptible():
            threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
            assert sleep_on(db, 0.4).rowcount == 1
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
began = time.monotonic()
try:
    interrupting.run_interruptibly(connection, connection.cursor().execute, 'SELECT 1')
except KeyboardInterrupt:
    print('interrupted', time.monotonic() - began < 3.5, connection.closed)
for process in (server, backend):
    os.kill(process, signal.SIGCONT)
running.stop()
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the server's process is found in /proc")
def test_a_second_ctrl_c_leaves_a_server_that_does_not_answer(tmp_path):
    command = [sys.executable, "-c", FROZEN, str(tmp_path / "pg")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "interrupted True 2\n", done.stdout + done.stderr
