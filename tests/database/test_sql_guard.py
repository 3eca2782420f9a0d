"""What raw SQL may not do, and what it may."""

import pytest

from rayces_core.database.sql_guard import check
from rayces_core.errors import UnsafeSQLError

STEPS_OUT = [
    "COMMIT",
    "commit; select 1",
    "select 1; ROLLBACK",
    "select 1;\n/* so */ -- that\n  commit",
    "BEGIN",
    "start transaction",
    "end",
    "ABORT",
    "savepoint s",
    "release savepoint s",
    "prepare transaction 'x'",
    "SET ROLE postgres",
    "set local role postgres",
    "set session role none",
    "SET SESSION AUTHORIZATION postgres",
    "RESET ROLE",
    "reset all",
    "DISCARD ALL",
    "set row_security = off",
    "set local search_path = other",
    "set statement_timeout = 5",
    "set session statement_timeout = 5",
    "select set_config('rayces.organization_id', '2', true)",
    "SELECT SET_CONFIG ('role', 'postgres', true)",
    "select pg_catalog.set_config('role', 'postgres', false)",
    "set rayces.organization_id = 2",
    "set rayces.bypass = on",
    "do $$ begin perform set_config('rayces.organization_id', '2', true); end $$",
    "select 1; set\n  role  postgres",
    "select E'\\'; commit; --'; rollback",
    "listen other",
    "set local rayces.organization_id = 2",
    "select pg_advisory_lock(5)",
    "select pg_try_advisory_lock_shared (5)",
    "prepare p as select * from students",
    "create temp table t as select * from students",
    "create local temporary table t (a int)",
    "create temp table t (a int); select 1 as x on commit drop",
    "select * into temp t from students",
    "select * into temporary table t from students",
    "create table pg_temp.t (a int)",
    "declare c cursor with hold for select 1",
    "declare c scroll cursor\nwith  hold for select 1",
    "load 'library'",
]
STAYS = [
    "select 1",
    "(select 1) union (select 2)",
    "with x as (select 1) select * from x",
    "select 'commit; rollback'",
    "select $$ commit; $$",
    "select $tag$ set role x; $tag$ as text",
    'select 1 as "commit; rollback"',
    "select 1 -- ; commit",
    "select case when true then 1 end",
    "insert into posts (content) values ('a; set role b')",
    "select E'it\\'s; commit'",
    "set local statement_timeout = 5",
    "set constraints all deferred",
    "select * from users where email like '%@rayces.io'",
    "select current_setting('rayces.organization_id')",
    "select pg_advisory_xact_lock(5)",
    "create temp table t (a int) on commit drop",
    "create temporary table t on commit drop as select * from students",
    "declare c cursor for select * from students",
    "fetch 10 from c",
    "select 'into temp' as template",
    "select temperature from readings",
    "set transaction read only",
    "explain select 1",
    "select 1; select 2",
    "update users set role = 1",
    "select current_setting('role')",
    "lock table students",
    "analyze students",
]


@pytest.mark.parametrize("sql", STEPS_OUT)
def test_sql_that_steps_out_of_the_tenant_is_refused(sql):
    with pytest.raises(UnsafeSQLError):
        check(sql)


@pytest.mark.parametrize("sql", STAYS)
def test_sql_that_stays_within_the_tenant_passes(sql):
    check(sql)


@pytest.mark.parametrize("sql", STEPS_OUT)
def test_a_long_text_is_looked_at_as_closely(sql):
    with pytest.raises(UnsafeSQLError):
        check(sql + "; select " + ", ".join(["1"] * 2000))
