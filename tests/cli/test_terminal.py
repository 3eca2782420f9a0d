"""Terminals, pipes, signals and completion."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest

from rayces_core.cli.completion import VARIABLE
from rayces_core.cli.interrupt import interruptible_statements
from rayces_core.database.database import Database
from tests.cli.forked import Forked
from tests.cli.process import Terminal, environment, on_terminal, start
from tests.sizes import exhaustive, quick_or_whole

WAIT = re.compile(
    r"003_\w+( waits for a lock: server process \d+ \(|: canceling statement due to lock timeout; attempt \d+ failed)"
)
BACKFILL_AND_INDEX = """
from rayces_core.migrations import backfill
ATOMIC = False
def migrate(migrator, database, *, fake=False):
    migrator.run(backfill, database, "t", "c = slow(id)", "c IS NULL", batch_rows=20)
    migrator.sql("CREATE INDEX CONCURRENTLY t_slow ON t (slow(-id))")
"""


def test_piped_output_has_no_colours_and_whole_words(bare: Terminal) -> None:
    out = bare("migrate", "status").out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 120


# That colours can be refused, `make test` tries in the test of the bar.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "coloured"), [({}, True), pytest.param({"NO_COLOR": "1"}, False, marks=pytest.mark.exhaustive)]
)
def test_colours_are_for_terminals_that_want_them(variables: dict[str, str], coloured: bool, bare_db: Database) -> None:
    words = ("migrate", "status", "--database-url", bare_db.url)
    shown, _, code = on_terminal(*words, streams=("stdout",), **variables)
    assert code == 0
    assert ("\x1b[32m" in shown) is coloured
    assert "018_booking_indexes" in shown


@pytest.mark.slow
def test_a_bar_grows_with_a_backfill_and_an_index_build_and_is_gone_at_the_end(
    make_database: Callable[..., str], tmp_path: Path
) -> None:
    url = make_database()
    holder = psycopg2.connect(url)
    holder.autocommit = True
    holder.cursor().execute(
        "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN "
        "IF abs($1) = 90 THEN PERFORM pg_advisory_lock($1), pg_advisory_unlock($1); END IF; RETURN $1; END';"
        "SELECT pg_advisory_lock(90), pg_advisory_lock(-90);"
        "CREATE TABLE t AS SELECT n AS id, NULL::int AS c, repeat('x', 700) AS f FROM generate_series(1, 100) AS n",
    )
    (tmp_path / "001_fill.py").write_text(BACKFILL_AND_INDEX)
    words = ("--directory", str(tmp_path), "--history-table", "own", "--only", "own", "--database-url", url)
    filled = re.compile(r"(\d+)% [^%]*filling in t \(001_fill, 1 of 2\)")

    def go_on(shown: str) -> None:
        """Both stop near their ends until they are shown."""
        let_go = [90] * any(int(part) >= 60 for part in filled.findall(shown)) + [-90] * ("building t_slow" in shown)
        holder.cursor().execute("SELECT pg_advisory_unlock(key) FROM unnest(%s::int[]) AS key", (let_go,))

    shown, _, code = on_terminal("migrate", "up", *words, streams=("stdout", "stderr"), watch=go_on, NO_COLOR="1")
    holder.close()
    assert code == 0
    assert not re.search(r"\x1b\[[\d;]*m", shown)
    assert int(filled.findall(shown)[-1]) >= 60
    assert "applying 001_fill, step 2 of 2" in shown
    assert re.search(r"\d+% [^%]*building t_slow: building index: scanning", shown)
    # The line of the bar is erased, the cursor is back, and only the result stays.
    assert shown.partition("\x1b[?25h")[2].rpartition("\x1b[2K")[2] == "applied own: 001_fill\r\n"


@pytest.mark.slow
def test_a_terminal_that_cannot_show_a_letter_gets_a_question_mark(bare_db: Database) -> None:
    bare_db.create_organization("Espacio Ñandú", subdomain="nandu")
    ascii_only = environment(PYTHONIOENCODING="ascii")
    out, err = start("organizations", "list", "--database-url", bare_db.url, env=ascii_only).communicate()
    assert err == ""
    assert "Espacio ?and?" in out


@pytest.mark.slow
def test_a_reader_who_leaves_early_sees_no_error(bare_db: Database) -> None:
    process = start("migrate", "status", "--json", "--database-url", bare_db.url)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141


@pytest.mark.slow
@pytest.mark.parametrize("signal_sent", [signal.SIGINT, *exhaustive(signal.SIGTERM)])
def test_ctrl_c_is_one_line_and_130(signal_sent: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = start("doctor", "--database-url", f"postgresql://me@127.0.0.1:{server.getsockname()[1]}/none")
        caller, _ = server.accept()
        with caller:
            caller.recv(1)  # it is connected and waits for an answer
            process.send_signal(signal_sent)
            assert process.communicate(timeout=60) == ("", "rayces: interrupted\n")
    assert process.returncode == 130


def test_ctrl_c_ends_the_statement_on_the_server_too(make_database: Callable[..., str]) -> None:
    url = make_database()
    watcher = psycopg2.connect(url)
    watcher.autocommit = True
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"
    stop = threading.Event()

    def press() -> None:
        cursor = watcher.cursor()
        while not stop.is_set():
            cursor.execute(asleep)
            if cursor.fetchone() != (0,):
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.02)

    finger = threading.Thread(target=press)
    try:
        with pytest.raises(KeyboardInterrupt), interruptible_statements():
            connection = psycopg2.connect(url)
            finger.start()
            connection.cursor().execute("SELECT pg_sleep(600)")
    finally:
        stop.set()
        finger.join()
    cursor = watcher.cursor()
    cursor.execute(asleep)
    assert cursor.fetchone() == (0,)
    connection.close()
    watcher.close()


@pytest.mark.slow
@pytest.mark.parametrize("signal_sent", [signal.SIGTERM, *exhaustive(signal.SIGINT)])
def test_ctrl_c_in_a_migration_leaves_it_to_be_run_again(empty: Terminal, signal_sent: signal.Signals) -> None:
    assert empty("migrate", "up", "--to", "2").code == 0
    other = psycopg2.connect(str(empty.url))
    cursor = other.cursor()
    cursor.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
    process = Forked("migrate", "up", "--database-url", str(empty.url), env=environment())
    while process.poll() is None:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass")
        if cursor.fetchone() != (0,):
            break
        time.sleep(0.02)
    process.send_signal(signal_sent)
    out, err = process.communicate(timeout=60)
    # How long the signal takes to arrive decides whether, and how often, the wait is spoken of before.
    *waits, last = err.splitlines()
    assert (out, last, process.returncode) == ("", "rayces: interrupted", 130)
    assert [line for line in waits if not WAIT.match(line)] == []
    other.rollback()
    other.close()
    states = [state["state"] for state in json.loads(empty("migrate", "status", "--json").out)]
    assert states == ["applied"] * 2 + ["pending"] * (len(states) - 2)
    assert empty("migrate", "up", *quick_or_whole(("--to", "3"), ())).code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(shell: str, nowhere: Terminal) -> None:
    ran = nowhere("completion", shell)
    assert ran.code == 0
    assert f"{VARIABLE}={shell}_complete" in ran.out


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_bash_script_is_valid(nowhere: Terminal) -> None:
    script = nowhere("completion", "bash").out
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("rayces mi", "migrate"),
        ("rayces migrate ", "status"),
        ("rayces migrate up --t", "--to"),
        ("rayces completion z", "zsh"),
    ],
)
def test_tab_completes_commands_options_and_choices(
    typed: str, offered: str, nowhere: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(len(typed.split(" ")) - 1)
    for name, value in {VARIABLE: "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": place}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="0"):
        nowhere()
    assert f"plain,{offered}" in capsys.readouterr().out.splitlines()
