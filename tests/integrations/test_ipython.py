"""`%%rayces_sql`: cells of SQL, under the three walls; what completion offers, and what a kernel shows."""

import json
from collections.abc import Iterator

import pytest

from tests.kernel import Kernel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sql(kernel: Kernel) -> Iterator[Kernel]:
    """The kernel with the extension; the session's only Database is `db`."""
    kernel.cell("%load_ext rayces_core")
    yield kernel
    kernel.cell("%unload_ext rayces_core")


def asked(kernel: Kernel, line: str, text: str) -> str:
    """The result of a cell of SQL as text, or the error's class."""
    ran = kernel.try_cell(f"%%rayces_sql {line}\n{text}")
    return ran.error or ran.value or ran.printed


# -- the three walls --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_cell_sees_the_rows_of_its_organization_alone(sql):
    assert asked(sql, "north", "SELECT first_name FROM students ORDER BY 1") == "first_name\nnorth0\n1 row"
    assert asked(sql, "south", "SELECT first_name FROM students ORDER BY 1") == "first_name\nsouth0\nsouth1\n2 rows"
    assert "south" not in asked(sql, "north", "SELECT s.* FROM students s, organizations o")
    assert asked(sql, "north", "SELECT subdomain FROM organizations") == "subdomain\nnorth\n1 row"


ROUND = {
    "a role": "SET ROLE rayces_admin",
    "the login": "RESET ROLE",
    "a tenant by SET": "SET rayces.organization_id = '2'",
    "a tenant by function": "SELECT set_config('rayces.organization_id', '2', true)",
    "the transaction's end": "COMMIT; SELECT count(*) FROM students",
    "another transaction": "ROLLBACK; BEGIN; SELECT 1",
    "a large object": "SELECT lo_create(0)",
    "a temporary table": "CREATE TEMP TABLE kept AS SELECT * FROM students",
    "a session's authorization": "SET SESSION AUTHORIZATION DEFAULT",
    "a prepared transaction": "PREPARE TRANSACTION 'x'",
    "a lock that outlives it": "SELECT pg_advisory_lock(1)",
    "code": "DO $$ BEGIN EXECUTE 'SET LOCAL ROLE rayces_' || 'admin'; END $$; SELECT count(*) FROM students",
    "code after a comment": "SELECT 1; /* x */ do language plpgsql 'BEGIN PERFORM 1; END'",
    "a procedure": "CALL something()",
}


@pytest.mark.slow
def test_no_way_round_the_tenant_is_sent(sql):
    found = {way: asked(sql, "north", text) for way, text in ROUND.items()}
    assert found == dict.fromkeys(ROUND, "UnsafeSQLError")
    for line in ("--write north", "north --write"):
        assert {asked(sql, line, text) for text in ROUND.values()} == {"UnsafeSQLError"}


def test_another_organizations_row_is_neither_written_nor_referred_to(sql):
    south = "(SELECT 2)"
    assert asked(sql, "north --write", f"UPDATE students SET organization_id = {south}") in (
        "PermissionDeniedError",
        "CrossTenantError",
    )
    assert asked(
        sql, "north --write", f"INSERT INTO posts (organization_id, user_id, content) VALUES ({south}, 1, 'x')"
    ) in ("CrossTenantError", "PermissionDeniedError")
    assert asked(sql, "north --write", "UPDATE students SET grade_level = '7'") == "1 row"
    assert asked(sql, "south", "SELECT count(*) AS n FROM students WHERE grade_level = '7'") == "n\n0\n1 row"


def test_without_an_organization_nothing_is_sent(sql):
    assert asked(sql, "", "SELECT 1") == "TenantNotSetError"
    assert asked(sql, "nowhere", "SELECT 1") == "UnknownTenantError"


def test_what_the_session_uses_is_what_a_cell_without_a_name_is_for(sql):
    sql.cell("db.use('south')")
    try:
        assert asked(sql, "", "SELECT count(*) AS n FROM students") == "n\n2\n1 row"
        assert asked(sql, "north", "SELECT count(*) AS n FROM students") == "n\n1\n1 row"
    finally:
        sql.cell("db.use(None)")
    assert asked(sql, "", "SELECT 1") == "TenantNotSetError"


# -- reading and writing ----------------------------------------------------------------------------------------------


def test_it_reads_unless_it_is_told_that_it_may_write(sql):
    change = "UPDATE students SET grade_level = 'changed' WHERE first_name = 'north0'"
    ran = sql.try_cell(f"%%rayces_sql north\n{change}")
    assert ran.error == "ReadOnlyError"
    assert "--write" in ran.traceback
    for way in (
        "SET TRANSACTION READ WRITE",
        "SET transaction_read_only = off",
        "SET LOCAL transaction_read_only TO 0",
    ):
        assert asked(sql, "north", f"{way}; {change}") != "1 row", way
    assert "off" not in asked(sql, "north", "SELECT set_config('transaction_read_only', 'off', true)")
    assert asked(sql, "north", f"WITH done AS ({change} RETURNING 1) SELECT * FROM done") == "ReadOnlyError"
    assert asked(sql, "north --write", change) == "1 row"
    assert asked(sql, "north", "SELECT grade_level FROM students") == "grade_level\nchanged\n1 row"


def test_a_unit_of_work_that_is_open_goes_on_to_write_after_it(sql):
    sql.cell("from rayces_core.integrations import ipython")
    code = (
        "with db.tenant('north'), db.atomic():\n"
        "    rows = ipython.run(db, None, 'SELECT 1 AS one', None, may_write=False)\n"
        "    try: ipython.run(db, None, 'DELETE FROM students', None, may_write=False)\n"
        "    except ReadOnlyError: print('read only')\n"
        "    print(Student.update(grade_level='3').execute(), rows.dicts())"
    )
    assert sql.cell(code).printed == "read only\n1 [{'one': 1}]\n"


def test_variables_of_the_session_are_values_and_never_sql(sql):
    sql.cell("given = \"x' OR true --\"; ids = [1, 2, 3]; name = 'north0'")
    assert asked(sql, "north", "SELECT count(*) AS n FROM students WHERE first_name = %(given)s") == "n\n0\n1 row"
    assert (
        asked(sql, "north", "SELECT first_name FROM students WHERE first_name = %(name)s")
        == "first_name\nnorth0\n1 row"
    )
    assert asked(sql, "north", "SELECT 2 = ANY(%(ids)s) AS there") == "there\nTrue\n1 row"
    assert asked(sql, "north", "SELECT count(*) AS n FROM students WHERE first_name LIKE 'nor%'") == "n\n1\n1 row"
    assert asked(sql, "north", "SELECT %(nothing_of_it)s") == "InvalidDataError"


def test_rows_are_kept_in_a_variable_instead_of_being_shown(sql):
    assert asked(sql, "south --to kept_rows", "SELECT id, first_name FROM students ORDER BY first_name") == ""
    sql.cell("assert [row['first_name'] for row in kept_rows.dicts()] == ['south0', 'south1'], kept_rows")
    assert sql.cell("len(kept_rows), kept_rows.names, kept_rows[0][1]").value == "(2, ['id', 'first_name'], 'south0')"


def test_many_rows_are_kept_and_the_first_are_shown(sql):
    ran = sql.cell(
        "%%rayces_sql north\nSELECT number, '<b>' || number AS marked FROM generate_series(1, 1000) AS number"
    )
    assert "1,000 rows, the first 20 of them" in ran.result["text/html"]
    assert "&lt;b&gt;20" in ran.result["text/html"]
    assert "&lt;b&gt;21" not in ran.result["text/html"]
    assert sql.cell("len(_)").value == "1000"


@pytest.mark.parametrize("line", ["north --to", "north south", "north --unknown", "'north", "north --db nothing"])
def test_a_line_that_is_wrong_says_so(line, sql):
    ran = sql.try_cell(f"%%rayces_sql {line}\nSELECT 1")
    assert (ran.error, "rayces_sql" in ran.message) == ("ConfigurationError", True), ran


def test_of_several_databases_the_line_says_which(sql):
    sql.cell("another = Database.connect(db.url)")
    try:
        assert asked(sql, "north", "SELECT 1") == "ConfigurationError"
        assert asked(sql, "north --db another", "SELECT 1 AS one") == "one\n1\n1 row"
    finally:
        sql.cell("another.close(); another = None")


def test_its_help_tells_the_options(sql):
    told = sql.cell("print(get_ipython().find_cell_magic('rayces_sql').__doc__)").printed
    assert all(option in told for option in ("--write", "--to", "--db"))


def test_wrong_sql_is_told_in_a_few_lines(sql):
    ran = sql.try_cell("%%rayces_sql north\nSELECT nosuch FROM students")
    assert ran.error == "UnknownColumnError"
    assert len(ran.traceback.splitlines()) < 12


@pytest.mark.slow
def test_a_cell_of_sql_is_interrupted(sql, activity):
    ran = sql.interrupted("%%rayces_sql north\nSELECT pg_sleep(600)", once=activity("PgSleep"))
    assert ran.error == "KeyboardInterrupt"
    assert asked(sql, "north", "SELECT 1 AS one") == "one\n1\n1 row"


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_an_error_is_its_line_its_sentence_and_what_to_do(kernel):
    ran = kernel.try_cell("x = 1\nlist(Student.select())")
    lines = ran.traceback.splitlines()
    assert ran.error == "TenantNotSetError"
    assert "line 2" in lines[0]
    assert lines[1].strip() == "list(Student.select())"
    assert "db.use" in ran.traceback
    assert len(lines) < 8


@pytest.mark.slow
def test_the_users_own_functions_are_in_it_and_the_whole_is_there_on_demand(kernel):
    kernel.cell("def count_them():\n    return Student.select().count()")
    ran = kernel.try_cell("count_them()")
    assert "return Student.select().count()" in ran.traceback
    assert "binding.py" not in ran.traceback
    kernel.cell("%xmode Verbose")
    whole = kernel.try_cell("count_them()").traceback
    kernel.cell("%xmode Context")
    assert "binding.py" in whole


def test_a_query_is_shown_as_rows_and_read_once(kernel):
    kernel.cell("with db.tenant('south'): pass  # looked up")
    kernel.cell("told = []\nwatched = db.on_query(lambda query: told.append(query.operation))")
    ran = kernel.cell(
        "with db.tenant('south'): display(Student.select(Student.first_name).order_by(Student.first_name))"
    )
    assert ran.shown[0]["text/plain"] == "first_name\nsouth0\nsouth1\n2 rows"
    assert "<td" in ran.shown[0]["text/html"]
    assert kernel.cell("print(told)").printed == "['select']\n"
    kernel.cell("db._tenants.observers.clear(); db._admins.observers.clear()")


def test_a_query_that_is_displayed_after_its_block_says_what_is_missing(kernel):
    ran = kernel.cell("with db.tenant('south'): lazy = Student.select()\nlazy")
    assert "no tenant is bound" in ran.value
    assert "south0" not in json.dumps(ran.result)


def test_models_and_lifecycles_and_databases_are_shown(kernel):
    assert "<svg" in kernel.cell("Appointment.lifecycle").result["text/html"]
    assert "scheduled_at" in kernel.cell("Appointment").result["text/html"]
    assert "used in this session" in kernel.cell("db").result["text/html"]
    shown = kernel.cell("with db.tenant('south'): one = Student.select().order_by(Student.id).first()\none").result
    assert "south0" in shown["text/html"]


@pytest.mark.slow
def test_completion_offers_what_applications_use(kernel):
    dangerous = {"drop_table", "truncate_table", "create_table", "bind", "add_index", "table_exists", "noop"}
    kernel.cell("with db.tenant('south'): one = Student.select().first(); some = Student.select()")
    for code, wanted in {
        "Appointment.": {"select", "confirm", "lifecycle", "scheduled_at", "get_by_id", "upcoming"},
        "some.": {"where", "order_by", "count", "dicts", "visible_to"},
        "one.": {"save", "first_name", "enroll", "can_enroll"},
        "db.": {"tenant", "use", "atomic", "interruptible"},
    }.items():
        offered = set(kernel.completions(code))
        assert offered >= wanted, (code, wanted - offered)
        assert not offered & dangerous, (code, offered & dangerous)
