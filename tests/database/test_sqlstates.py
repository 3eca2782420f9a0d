"""Every SQLSTATE that PostgreSQL has comes back as an error of the library's, and as what Peewee would make of it."""

import contextlib
import threading
import time

import peewee
import psycopg2
import pytest
from psycopg2 import errorcodes

from rayces_core import Database, Student, errors
from rayces_core.database.constraints import translate
from tests.factory import make_student
from tests.patience import wait_until
from tests.walking import walked

# All but the one that says that all went well.
STATES = {
    value: name
    for name, value in vars(errorcodes).items()
    if name.isupper() and isinstance(value, str) and len(value) == 5 and value != errorcodes.SUCCESSFUL_COMPLETION
}
LATER = {"22ZZZ": "DataError", "42ZZZ": "ProgrammingError", "55ZZZ": "OperationalError", "ZZ999": "DatabaseError"}


@pytest.fixture(scope="module")
def raised(db):
    """Has the server raise an error of that code, and gives the driver's."""
    with contextlib.closing(psycopg2.connect(db.url)) as connection:
        connection.cursor().execute(
            "CREATE FUNCTION pg_temp.fail(state text) RETURNS void LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'told %', state USING ERRCODE = state; END$$"
        )
        connection.commit()

        def fail(state):
            with pytest.raises(psycopg2.Error) as caught:
                connection.cursor().execute("SELECT pg_temp.fail(%s)", (state,))
            connection.rollback()
            return caught.value

        yield fail


def peewees(error):
    """The class that Peewee itself makes of a driver's error."""
    kind = type(error)
    named = kind.__name__ if kind.__name__ in peewee.EXCEPTIONS else kind.__bases__[0].__name__
    return peewee.EXCEPTIONS.get(named, peewee.OperationalError)


def test_the_walk_has_all_of_postgresqls_classes():
    assert len(STATES) > 250
    assert {state[:2] for state in STATES} >= {
        "08",
        "22",
        "23",
        "25",
        "28",
        "40",
        "42",
        "53",
        "54",
        "55",
        "57",
        "58",
        "XX",
    }


@walked("state", [*STATES, *LATER])
def test_every_sqlstate_is_an_error_of_the_librarys_and_of_peewees_kind(raised, state):
    theirs = raised(state)

    mine = translate(theirs)

    assert isinstance(mine, errors.RaycesError)
    assert type(mine).code
    assert type(mine).code != errors.RaycesError.code
    assert isinstance(mine, peewees(theirs))
    assert (mine.orig, mine.__cause__, mine.sqlstate) == (theirs, theirs, state)
    assert str(mine).strip()
    assert "fail(" not in str(mine)


CODES = {
    "0A000": "feature_not_supported",
    "08006": "connection_lost",
    "21000": "statement",
    "22021": "encoding",
    "22P05": "encoding",
    "22003": "value_refused",
    "23001": "still_referenced",
    "25006": "read_only",
    "25P02": "transaction_aborted",
    "25P03": "idle_transaction_timeout",
    "25P04": "transaction_timeout",
    "28000": "login_refused",
    "28P01": "login_refused",
    "3D000": "database_missing",
    "40001": "serialization_failure",
    "40P01": "deadlock",
    "42501": "permission_denied",
    "42601": "sql_syntax",
    "42703": "unknown_column",
    "42883": "unknown_function",
    "42P01": "unknown_table",
    "42P07": "statement",
    "53100": "disk_full",
    "53200": "out_of_memory",
    "53300": "too_many_connections",
    "53400": "resources",
    "54001": "program_limit",
    "55006": "operation_failed",
    "55P03": "lock_timeout",
    "57014": "statement_cancelled",
    "57P01": "server_shutdown",
    "57P02": "server_shutdown",
    "57P03": "server_not_ready",
    "57P04": "connection_lost",
    "57P05": "idle_session_timeout",
    "58030": "storage",
    "72000": "snapshot_too_old",
    "F0000": "server_fault",
    "P0001": "routine",
    "XX000": "server_fault",
    "XX001": "data_corrupted",
    "XX002": "data_corrupted",
}
AGAIN = {"40001", "40P01", "55P03", "08006", "57P01", "57P02", "57P03", "57P05", "53300", "72000"}


def test_the_frequent_ones_have_the_code_that_is_documented(raised):
    assert {state: translate(raised(state)).code for state in CODES} == CODES


def test_running_again_is_offered_where_it_may_help(raised):
    assert {state for state in CODES if translate(raised(state)).retryable} == AGAIN | {"57P04"}


@walked(
    "state, setting",
    [
        ("25P03", "idle_in_transaction_session_timeout"),
        ("25P04", "transaction_timeout"),
        ("55P03", "lock_timeout"),
        ("57P05", "idle_session_timeout"),
    ],
)
def test_a_time_limit_says_which(raised, state, setting):
    error = translate(raised(state))
    assert (isinstance(error, errors.TimeLimitError), error.setting) == (True, setting)


# -- provoked for real ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def limited(db, organization, options, **more):
    with Database.connect(db.url, options=options, **more) as database, database.tenant(organization):
        yield database


@pytest.fixture
def held(db, a):
    """A student whose row another session has locked."""
    with db.tenant(a):
        student = make_student()
    with contextlib.closing(psycopg2.connect(db.url)) as other:
        other.cursor().execute("SELECT 1 FROM students WHERE id = %s FOR UPDATE", (student.id,))
        yield student


def renamed(student):
    return Student.update(first_name="Ana").where(Student.id == student.id).execute()


def test_a_lock_that_is_not_granted_in_time(db, a, held):
    with limited(db, a, "-c lock_timeout=30"), pytest.raises(errors.LockTimeoutError) as caught:
        renamed(held)
    assert (caught.value.table, caught.value.sqlstate, caught.value.retryable) == ("students", "55P03", True)


def test_a_lock_that_is_not_waited_for(db, a, held):
    with db.tenant(a), pytest.raises(errors.LockTimeoutError, match="could not obtain lock") as caught, db.atomic():
        list(Student.select().where(Student.id == held.id).for_update(nowait=True))
    assert caught.value.table == "students"


@pytest.mark.slow
def test_a_statement_that_lasts_too_long_is_told_from_one_that_was_cancelled(db, a, held):
    with limited(db, a, "-c statement_timeout=30"), pytest.raises(errors.StatementTimeoutError) as caught:
        renamed(held)
    assert (caught.value.setting, caught.value.sqlstate, caught.value.retryable) == (
        "statement_timeout",
        "57014",
        False,
    )

    with db.tenant(a), pytest.raises(errors.StatementCancelledError) as cancelled, db.atomic():
        connection = db.engine.connection()
        cancelling = threading.Thread(target=cancel_once_asleep, args=(db.url, connection))
        cancelling.start()
        db.execute_sql("SELECT pg_sleep(600)")
    cancelling.join()
    assert type(cancelled.value) is errors.StatementCancelledError
    assert "user request" in str(cancelled.value)


def cancel_once_asleep(url, connection):
    with contextlib.closing(psycopg2.connect(url)) as other:
        cursor = other.cursor()

        def sleeps():
            cursor.execute(
                "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s", (connection.get_backend_pid(),)
            )
            other.commit()
            return cursor.fetchone() == (True,)

        wait_until(sleeps)
    connection.cancel()


def test_a_deadlock(db, a):
    with db.tenant(a):
        students = [make_student(), make_student()]
    met, failures = threading.Barrier(2), []

    def lock(first, second):
        with limited(db, a, "-c deadlock_timeout=20") as database:
            try:
                with database.atomic():
                    renamed(first)
                    met.wait(60)
                    renamed(second)
            except errors.RaycesError as error:
                failures.append(error)

    threads = [threading.Thread(target=lock, args=pair) for pair in (students, students[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(type(error), error.sqlstate, error.table) for error in failures] == [
        (errors.DeadlockError, "40P01", "students")
    ]


@walked("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_serialization_failure(db, a, level):
    with db.tenant(a):
        student = make_student()
        with pytest.raises(errors.SerializationError) as caught, db.atomic(level):
            Student.get_by_id(student.id)
            other = threading.Thread(target=elsewhere, args=(db, a, student))
            other.start()
            other.join()
            renamed(student)
    assert (caught.value.sqlstate, caught.value.retryable) == ("40001", True)


def elsewhere(db, organization, student):
    with db.tenant(organization):
        Student.update(first_name="Eva").where(Student.id == student.id).execute()


def test_a_write_where_only_reading_is_allowed(db, a):
    with limited(db, a, "-c default_transaction_read_only=on"):
        assert Student.select().count() == 0
        with pytest.raises(errors.ReadOnlyError, match="write on the primary") as caught:
            make_student()
    assert caught.value.sqlstate == "25006"


def test_a_statement_after_a_failed_one_in_the_same_unit(db, a):
    with db.tenant(a), contextlib.suppress(errors.TransactionFailedError), db.atomic():
        with contextlib.suppress(errors.ValueRefusedError):
            db.execute_sql("SELECT 1/0")
        with pytest.raises(errors.TransactionAbortedError, match="let its error leave the block"):
            db.execute_sql("SELECT 1")


@pytest.mark.slow
def test_a_connection_that_a_dba_ends_and_the_one_after_it(db, a):
    with limited(db, a, "-c search_path=public") as database:
        with pytest.raises(errors.ConnectionLostError) as caught, database.atomic():
            ended(db, database.execute_sql("SELECT pg_backend_pid()").fetchone()[0])
            Student.select().count()
        assert (caught.value.retryable, isinstance(caught.value.orig, psycopg2.Error)) == (True, True)
        assert Student.select().count() == 0


def ended(db, pid):
    with contextlib.closing(psycopg2.connect(db.url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        assert cursor.fetchone() == (True,)


@pytest.mark.slow
def test_a_unit_that_idles_longer_than_the_server_allows(db, a):
    # The server says why as it leaves, but psycopg2 does not hand it on: it is a lost connection like others.
    with limited(db, a, "-c idle_in_transaction_session_timeout=20") as database:
        with pytest.raises(errors.ConnectionLostError, match="idle for too long"), database.atomic():
            Student.select().count()
            time.sleep(0.2)
            Student.select().count()
        assert Student.select().count() == 0


REFUSED = {
    "SELECT repeat('x', 10)::int": "value_refused",
    "SELECT 2147483648::int": "value_refused",
    "SELECT 1/0": "value_refused",
    "SELECT convert_from('\\xff', 'utf8')": "encoding",
    "SELECT convert_to('中', 'latin1')": "encoding",
    "SELEC 1": "sql_syntax",
    "SELECT nothing FROM students": "unknown_column",
    "SELECT no_such(1)": "unknown_function",
    "SELECT 1 FROM no_such": "unknown_table",
    "SELECT s.id FROM students": "statement",
    "SELECT id, count(*) FROM students": "statement",
    "SELECT (SELECT generate_series(1, 2))": "statement",
    "SELECT " + ", ".join(["1"] * 1665): "program_limit",
    "SELECT * FROM students FOR UPDATE OF nobody": "unknown_table",
    "SELECT array_agg(id) FROM students FOR UPDATE": "feature_not_supported",
    "DROP TABLE students": "permission_denied",
    "SAVEPOINT_": "sql_syntax",
    "FETCH 1 FROM no_such": "operation_failed",
    "MOVE 1 FROM no_such": "operation_failed",
}


@walked("sql", REFUSED)
def test_what_raw_sql_is_refused_for(db, a, sql):
    with db.tenant(a), pytest.raises(errors.RaycesError) as caught:
        db.execute_sql(sql)
    assert caught.value.code == REFUSED[sql]
    assert caught.value.sqlstate == caught.value.orig.pgcode
    assert "set_config" not in str(caught.value)
    assert "\n" not in str(caught.value)


@walked(
    "said, outcome, retryable",
    [
        ("failure on connection marked as essential: 10.0.0.2:5432", "not committed", True),
        ("could not commit transaction for shard 102008 on at least one worker node", "unknown", False),
    ],
)
def test_a_node_of_citus_that_does_not_answer_is_a_lost_connection(db, said, outcome, retryable):
    with contextlib.closing(psycopg2.connect(db.url)) as connection:
        with pytest.raises(psycopg2.Error) as caught:
            connection.cursor().execute(f"DO $$BEGIN RAISE EXCEPTION '{said}' USING ERRCODE = 'XX000'; END$$")
        made = translate(caught.value)
    assert (type(made), made.outcome, made.retryable) == (errors.ConnectionLostError, outcome, retryable)
