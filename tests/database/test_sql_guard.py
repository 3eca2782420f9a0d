"""What raw SQL may not do, and what it may."""

import pytest

from rayces_core.database import sql_guard
from rayces_core.database.sql_guard import CACHED_LENGTH, check
from rayces_core.errors import UnsafeSQLError
from tests.sizes import quick_or_whole
from tests.walking import walked

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
    # spelled so that only a lexer sees it
    """select "set_config"('role', 'x', true)""",
    "select set_config/**/('role', 'x', true)",
    "select PG_CATALOG . /* so */ set_config -- so\n ('role', 'x', true)",
    """select U&"set\\005fconfig"('role', 'x', true)""",
    """select u&"set!+00005fconfig" uescape '!' ('role', 'x', true)""",
    'set "role" to x',
    'set local "ROLE" = x',
    'set local U&"r\\006fle" = x',
    'set local "rayces.organization_id" = 2',
    "set local session_authorization = x",
    "set session session authorization x",
    "set local session authorization x",
    "/* /* */ ' */ set local role x; --'",
    "select 1 as a$b$; set local role x; select 1 as c$b$",
    "-- '\rset local role x --'",
    "values (1); do $$begin end$$; /* */ commit",
    "(select 1); (select 2); abort",
    "explain (analyze) execute p",
    "explain analyze create temp table t as select 1",
    # stays on the connection
    "set time zone 'UTC'",
    "set session characteristics as transaction read only",
    "set local session characteristics as transaction read only",
    "set transaction.x = 1",
    "set local = 1",
    "set local.x = 1",
    "set session.x = 1",
    "set xml option document",
    "set schema 'x'",
    "set local schema 'x'",
    "set local names 'SJIS'",
    "set local client_encoding = 'SJIS'",
    "set local standard_conforming_strings = off",
    "set local seed = 0.5",
    "select setseed(0.5)",
    "create or replace temp view v as select 1",
    "create temporary recursive view v (a) as select 1",
    "create temp sequence s",
    "create temporary sequence s; create temp table t (a int) on commit drop",
    "create global temporary table t (a int) on commit delete rows",
    "create temp table t as select 'on commit drop'",
    "create temp table t as select * from (select 1) a join b on (a.on_commit_drop)",
    "create table if not exists t as execute p",
    'create table "pg_temp"."t" (a int)',
    "create table pg_temp_3.t (a int)",
    'create function U&"pg_te\\006dp".f() returns int language sql as $$select 1$$',
    "select * from pg_toast_temp_3.x",
    "select 1 into local temp t",
    "update pg_settings set setting = 'x'",
    "update only pg_catalog.pg_settings as s set setting = 'x'",
    'with x as (update "pg_catalog" . "pg_settings" set setting = 1 returning 1) select * from x',
    "update only (pg_settings) set setting = 'x'",
    "update pg_settings * set setting = 'x'",
    "insert into pg_settings (name) values ('x')",
    "merge into pg_catalog.pg_settings s using t on true when matched then update set setting = 'x'",
    "create rule r as on insert to t do also update pg_settings set setting = 1",
    'declare "cursor" cursor with hold for select 1',
    "declare c insensitive no scroll cursor with /**/ hold for select 'for'",
    "execute p",
    "deallocate all",
    "select pg_try_advisory_lock_shared(1)",
    """select pg_catalog."pg_advisory_lock"(1)""",
    "select pg_advisory_unlock(1)",
    "select pg_advisory_unlock_shared(1)",
    "select pg_advisory_unlock_all()",
    # shared by all tenants
    "lock table students",
    "lock students in access exclusive mode",
    "lock table only students, users nowait",
    "select lo_create(0)",
    "select lo_from_bytea(0, 'x'), loread(1, 2)",
    "select lowrite(1, 'x')",
    "alter large object 5 owner to x",
    "comment on large object 5 is 'x'",
    "grant select on large object 5 to public",
    "revoke all on large object 5 from x",
    "security label on table t is 'x'",
    # the server's files and programs, every later connection
    "copy students to program 'cat'",
    "copy students from '/tmp/x'",
    "copy (select * from students where a in (select b from c)) to '/tmp/x' (format csv)",
    "copy students (first_name) from program 'cat'",
    "copy students to %s",
    "alter role current_user set statement_timeout = 1",
    "alter user x password 'y'",
    "alter database x set row_security = off",
    "alter system set x = 1",
    # in a body
    "do language plpgsql 'begin perform set_config(''role'', ''x'', true); end'",
    "/* so */ do $$ begin set local role x; end $$",
    "do $$ begin if true then set role x; end if; end $$",
    "create or replace function f() returns int language sql as $f$ select pg_advisory_lock(1) $f$",
    "select * from ts_stat('select set_config(''role'', ''x'', true)::tsvector')",
    "select query_to_xml('select set_config(''role'', ''x'', true)', true, true, '')",
    # the server would stop reading
    "create temp table t (a int) \0 on commit drop",
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
    "analyze students",
    # literals, comments and names that only say so
    "insert into posts (content) select 'how set_config (x) works'",
    "select 'pg_advisory_lock(1)'",
    "/* BEGIN */ select 1",
    "select 'a' -- '\n '; commit; --'",
    "select 1 -- set_config(1)",
    "select 1 as temp",
    "select 1 as set_config, 2 as lo_create, 3 as pg_advisory_lock",
    "select 'pg_temp.t'::text, 'pg_temp'",
    "insert into temp (a) values (1)",
    "insert into temp select 1",
    'select role, "end", prepare, lock, load, reset, temp from t',
    "select t.role, t.begin, t.execute from t",
    "select * from pg_settings for update of pg_settings",
    "select setting from pg_catalog.pg_settings where name = 'role'",
    "select app.set_config('x', 1)",
    "select setval('s', 1), nextval('s')",
    "select pg_try_advisory_xact_lock(1), pg_advisory_xact_lock_shared(2)",
    "insert into posts (content) values ('; update pg_settings set x')",
    "do $$ begin raise notice 'set_config (x)'; end $$",
    "do $$ begin update users set role = 1; end $$",
    "do language plperl $$ my $x = 'don''t'; print \"a$x $$",
    "select U&'set\\005fconfig', E'\\'; commit'",
    # what goes with its transaction
    "create temporary table if not exists t (a int) on commit drop",
    "create local temp table t (a int) with (fillfactor = 70) on commit drop tablespace x",
    "declare c cursor without hold for select 1",
    "declare c cursor for select 'with hold'",
    "declare c cursor for with hold as (select 1) select * from hold",
    "move 5 in c",
    "close all",
    "set local time zone 'UTC'",
    "set session transaction read only",
    "set local my.setting = 'x'",
    "set local lock_timeout to '1s'",
    "set constraints all immediate",
    # open to a tenant, and said in the documents
    "notify channel, 'x'",
    "select pg_notify('channel', 'x')",
    "copy students to stdout",
    "copy students (first_name) from stdin with (format csv)",
    "copy (select 1 from students) to stdout",
    "COPY",
    "explain analyze select 1",
    "explain (analyze, buffers) update users set role = 1",
    "show statement_timeout",
    "grant select on students to x",
    "alter table students add column x int",
    "comment on table large is 'large object'",
    "",
    " ; ; ",
    "-- nothing",
]


@walked("sql", STEPS_OUT)
def test_sql_that_steps_out_of_the_tenant_is_refused_in_a_sentence(sql):
    with pytest.raises(UnsafeSQLError) as refused:
        check(sql)
    assert len(str(refused.value).split()) > 5


@walked("sql", STAYS)
def test_sql_that_stays_within_the_tenant_passes(sql):
    check(sql)


@pytest.mark.slow
@walked("sql", STEPS_OUT)
def test_a_long_text_is_looked_at_as_closely(sql):
    with pytest.raises(UnsafeSQLError):
        check(sql + "\n; select " + ", ".join(["1"] * 2000))


@pytest.mark.slow
@walked("sql", [sql for sql in STAYS if "copy" not in sql.lower() and "--" not in sql])
def test_a_harmless_long_text_passes_as_well(sql):
    check(sql + "\n; select " + ", ".join(["'; commit; %', set_config"] * quick_or_whole(200, 2000)))


@walked("length, kept", [(100, 1), (CACHED_LENGTH, 1), (CACHED_LENGTH + 1, 0), (9000, 0)])
def test_what_was_found_of_a_short_text_is_remembered_and_of_a_long_one_is_not(length, kept):
    sql = "select '%%', -- %s".ljust(length)
    for remembered in (sql_guard._check_cached, sql_guard._quotes_placeholder_cached):
        remembered.cache_clear()
        for _ in range(3):
            check(sql, lambda: "select 1")
        counted = remembered.cache_info()
        assert (counted.misses, counted.hits) == (kept, 2 * kept)


NEED_NO_LOOK = [
    "select 1",
    " (SELECT a FROM t) ;\n ; ",
    "with x as (select 1) select * from x;",
    "insert into t (a, b) values (%s, '100%%')",
    "update t set \"a\" = %(a)s where b like '%%x'",
    "delete from t where a = 'commit' -- of ours",
]
NEED_ONE = [
    "select 1; select 2",
    "commit",
    "analyze t",
    "select SETSEED(1)",
    "insert into Temp values (1)",
    "select U&'a'",
    "select '%s'",
    "select 1 -- %s",
    "select E'%s'",
]


def test_a_lone_plain_statement_is_not_read_word_by_word_and_any_other_is():
    assert [sql for sql in NEED_NO_LOOK if not sql_guard._needs_no_look(sql)] == []
    assert [sql for sql in NEED_ONE if sql_guard._needs_no_look(sql)] == []


def test_a_message_names_what_it_refuses_and_what_to_do():
    for sql, said in {
        "/* x */ CoMMit": "COMMIT is not raw SQL's to run; use `with db.atomic",
        'select "set_config"(1)': "take set_config out",
        "select lo_get(5)": "lo_get works on large objects, which all tenants share; keep the bytes in a column",
        "set lock_timeout = 5": "SET lock_timeout would stay on the pooled connection; use SET LOCAL",
        "declare c cursor with hold for select 1": "WITH HOLD would outlive its transaction and its tenant",
        "lock students": "use SELECT ... FOR UPDATE",
        "create temp view v as select 1": "only CREATE TEMPORARY TABLE ... ON COMMIT DROP",
    }.items():
        with pytest.raises(UnsafeSQLError) as refused:
            check(sql)
        assert said in str(refused.value)
