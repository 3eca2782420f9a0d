"""The bench of adoption finds what it looks for; how long anything takes, is nobody's assertion."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from bench.adopting import __main__ as command
from bench.adopting import adoption, books
from bench.adopting.adoption import Adoption, AdoptionFailedError, Aim, adopt, aims, schema_of
from bench.adopting.application import WEIGHTS, Worker
from bench.adopting.books import Sum
from bench.adopting.crowd import Load, crowd
from bench.adopting.diary import Diary
from bench.adopting.figures import figures, percentile, slowest, too_slow
from bench.adopting.lookout import Lookout, Place, looking_on
from bench.adopting.myhub import TABLES, Size, fill
from bench.adopting.report import Outcome, save, show
from bench.adopting.server import on_server, workshop
from bench.adopting.session import KINDS, FailedError, Record, Session
from click.testing import CliRunner
from rich.console import Console

from rayces_core.migrating.files import read_directory
from tests.patience import wait_until
from tests.sizes import EVERYTHING, exhaustive, quick_or_whole

CHECKOUT = Path(__file__).parents[1]
# `make test` kills what stands for the command, in the test of a run that is run again.
KILLS = quick_or_whole(0, 2)
SIZE = Size(users=200, posts=400, likes=1000)
QUICK = Load(workers=2, pause_seconds=0, prepared=False, seed=1)


@pytest.fixture(scope="module")
def place(server_url):
    with workshop(server_url) as made:
        yield made


@pytest.fixture(scope="module")
def untouched(place):
    """Name of a filled MyHub database that is only to be looked at."""
    name = place.database()
    fill(place.application(name), SIZE)
    return name


@pytest.fixture
def myhub(place, untouched):
    """Name of a copy of it."""
    return place.database(template=untouched)


@pytest.fixture
def session(place, myhub):
    with closing(Session(place.application(myhub), prepared=False)) as opened:
        yield opened


def busy(place, myhub, load=QUICK, seconds=0.5):
    with crowd(place.application(myhub), SIZE, load) as workers:
        time.sleep(seconds)
        return workers.finish()


def query(url, sql):
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_what_is_filled_in_follows_the_formulas(place, myhub):
    url = place.admin(myhub)

    assert [query(url, f"SELECT count(*), min(id), max(id) FROM {table}")[0] for table in TABLES] == [
        (SIZE.users, 1, SIZE.users),
        (SIZE.posts, 1, SIZE.posts),
        (SIZE.likes, 1, SIZE.likes),
    ]
    likes = query(url, "SELECT post_id, array_agg((id, user_id)::text ORDER BY id) FROM likes GROUP BY post_id")
    assert dict(likes) == {
        post: [str(SIZE.like(post, turn)).replace(" ", "") for turn in range(SIZE.likes_of(post))]
        for post in range(1, SIZE.posts + 1)
    }
    assert query(url, "SELECT count(*) FROM (SELECT DISTINCT user_id, post_id FROM likes) AS l") == [(SIZE.likes,)]


def test_the_old_application_owns_its_tables_and_is_no_superuser(place, myhub):
    found = query(
        place.application(myhub),
        "SELECT rolsuper OR rolbypassrls, bool_and(relowner = pg_roles.oid) FROM pg_roles, pg_class "
        "WHERE rolname = current_user AND relname IN ('users', 'posts', 'likes') GROUP BY 1",
    )

    assert found == [(False, True)]


@pytest.mark.slow
@pytest.mark.parametrize("prepared", [True, *exhaustive(False)])
def test_every_action_is_done_and_the_diary_tells_of_every_row(place, untouched, myhub, prepared):
    done = busy(place, myhub, replace(QUICK, prepared=prepared), seconds=quick_or_whole(0.4, 1))

    assert done.record.failures == []
    assert {KINDS[kind] for kind in done.record.kinds} == set(KINDS)
    assert len(KINDS) == len(WEIGHTS) + 1
    assert list(done.record.kinds).count(KINDS.index("sign up")) == 2 * len(done.diary.written["users"])
    expected, found = place.admin(place.database(template=untouched)), place.admin(myhub)
    assert books.sums(expected) != books.sums(found)
    books.play(expected, done.diary)
    assert books.sums(expected) == books.sums(found)


BREAKS = {
    "lost": ("likes", "DELETE FROM likes WHERE id = 77", [77]),
    "added": (
        "likes",
        "INSERT INTO likes (user_id, post_id, created_at, updated_at) VALUES (1, 1, now(), now())",
        [1001],
    ),
    "moved": ("likes", "UPDATE likes SET post_id = 399 WHERE id = 2", [2]),
    "an hour off": ("posts", "UPDATE posts SET created_at = created_at + interval '1 hour' WHERE id = 5", [5]),
    "an extra column": ("posts", "UPDATE posts SET metadata = '{}' WHERE id = 6", [6]),
    "a null": ("users", "UPDATE users SET image = NULL WHERE id = 8", [8]),
    "another address": ("users", "UPDATE users SET email = 'x' || email WHERE id = 9", [9]),
}


@pytest.mark.slow
def test_every_row_that_is_not_what_it_has_to_be_is_found(place, untouched, myhub):
    expected, found = place.admin(untouched), place.admin(myhub)
    broken = {}

    for table, statement, ids in BREAKS.values():
        on_server(found, statement)
        broken[table] = sorted([*broken.get(table, ()), *ids])

        pairs = zip(books.sums(expected), books.sums(found), strict=True)
        assert {one.table for one, other in pairs if one != other} == set(broken)
        assert books.differing(expected, found, table) == broken[table], statement


def test_an_address_in_its_normal_form_and_a_moment_with_a_zone_are_the_same(place, untouched, myhub):
    name = place.admin(myhub)

    on_server(name, "UPDATE users SET email = lower(btrim(email))")
    on_server(name, "SET timezone TO 'UTC'; ALTER TABLE posts ALTER COLUMN created_at TYPE timestamp with time zone")

    assert books.sums(place.admin(untouched)) == books.sums(name)


def test_a_diary_that_cannot_be_true_is_refused(place, myhub):
    diary = Diary()
    diary.delete("likes", 1, SIZE.likes + 1)

    with pytest.raises(RuntimeError, match="deleted likes that it cannot have seen"):
        books.play(place.admin(myhub), diary)


def test_rows_that_are_hidden_from_the_old_application_fail_its_statements(place, untouched, myhub, session):
    worker = Worker(session, SIZE, 0, 1, seed=1)
    on_server(place.admin(myhub), "ALTER TABLE likes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")

    for action in (worker.show_post, worker.count_likes, worker.unlike, worker.delete_post):
        with pytest.raises(FailedError):
            action()

    kinds = [kind for _, kind, _ in session.record.failures]
    assert kinds == ["show post", "count likes", "unlike", "delete post"]
    assert books.sums(place.admin(myhub)) == books.sums(place.admin(untouched))
    assert worker.diary == Diary()


def test_an_error_is_kept_with_its_text_and_the_users_after_it_are_served(place, myhub, session):
    worker = Worker(session, SIZE, 0, 1, seed=1)
    on_server(place.admin(myhub), "ALTER TABLE posts ADD COLUMN organization_id bigint NOT NULL DEFAULT 1")
    on_server(place.admin(myhub), "ALTER TABLE posts ALTER COLUMN organization_id DROP DEFAULT")

    with pytest.raises(FailedError):
        worker.write_post()
    worker.like()

    ((_, kind, text),) = session.record.failures
    assert kind == "write post"
    assert 'null value in column "organization_id"' in text
    assert "[23502] in: INSERT INTO posts (hash_id" in text
    assert len(worker.diary.written["likes"]) == 1
    assert worker.diary.written["posts"] == {}


@pytest.mark.slow
def test_a_statement_that_waits_for_a_lock_is_timed_with_its_wait(place, myhub, session, monkeypatch):
    monkeypatch.setattr("bench.adopting.figures.LIMIT_MILLISECONDS", 200.0)
    with closing(psycopg2.connect(place.admin(myhub))) as other:
        other.cursor().execute("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE")

        def let_go() -> None:
            there = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'posts'::regclass"
            wait_until(lambda: query(place.admin(myhub), there) == [(1,)])
            time.sleep(0.25)
            other.rollback()

        letting_go = threading.Thread(target=let_go)
        letting_go.start()
        session.run("feed", "SELECT id FROM posts LIMIT 1")
        letting_go.join()

    session.run("feed", "SELECT id FROM posts LIMIT 1")
    first, second = session.record.seconds
    assert first > 0.2
    assert too_slow(session.record) == 1 + (second > 0.2)
    assert [each.milliseconds for each in slowest(session.record)] == sorted([first * 1000, second * 1000])[::-1]


def test_a_changed_result_is_prepared_anew_outside_a_transaction_and_fails_inside(place, myhub):
    star = ("show post", "SELECT posts.* FROM posts WHERE posts.id = %s LIMIT 1", 1)
    with closing(Session(place.application(myhub), prepared=True)) as session:
        width = len(session.run(*star)[0])
        on_server(place.admin(myhub), "ALTER TABLE posts ADD COLUMN more integer")
        assert len(session.run(*star)[0]) == width + 1
        on_server(place.admin(myhub), "ALTER TABLE posts ADD COLUMN and_more integer")
        with pytest.raises(FailedError, match="cached plan must not change result type"), session.transaction():
            session.run(*star)
        assert len(session.run(*star)[0]) == width + 2


def test_statements_are_put_into_the_phase_they_reach_into():
    record = Record()
    for began, seconds in ((0.0, 0.5), (0.9, 0.2), (1.5, 0.1), (1.9, 3.0), (2.5, 0.1)):
        record.kinds.append(KINDS.index("feed"))
        record.began.append(began)
        record.seconds.append(seconds)
    record.failures = [(0.9, "feed", "x"), (2.5, "feed", "y")]

    found = {(each.phase, each.kind): each for each in figures(record, 1.0, 2.0)}

    assert {phase: each.statements for (phase, kind), each in found.items() if kind == "feed"} == {
        "before": 1,
        "during": 3,
        "after": 1,
    }
    assert found["during", "all"].slowest == 3000
    assert found["during", "feed"].p50 == pytest.approx(200)
    assert sum(each.failed for each in found.values() if each.kind == "all") == 2


def test_percentiles_are_values_that_were_measured():
    assert percentile([1.0], 50) == percentile([1.0], 99) == 1.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 2.0
    assert percentile([float(n) for n in range(1, 201)], 99) == 198.0


def test_kills_are_aimed_at_places_all_over_the_history_and_at_any_moment():
    found = aims(20, random.Random(4), 4.0)

    places = [(each.place.migration, each.place.step) for each in found]
    last = len(read_directory(None))
    assert len(found) == 20
    assert places == sorted(places)
    assert len({migration for migration, _ in places}) > 8
    assert 2 <= places[0][0] < 8 < 15 < places[-1][0] < last
    assert [each.latest for each in found] == [*(each.place for each in found[1:]), Place(last - 1)]
    assert [each.seconds for each in found[1::2]] == [0] * 10
    moments = sorted(each.seconds for each in found[::2])
    assert 0 <= moments[0] < 1 < 3 < moments[-1] <= 4
    assert aims(20, random.Random(2), 4.0) != found


# Stands for the command: writes the history a row at a time, and goes on where it was killed.
STEPS = f"""
import os, sys, time, psycopg2
connection = psycopg2.connect(os.environ["RAYCES_DATABASE_URL"], application_name="rayces_core migrations")
connection.autocommit = True
cursor = connection.cursor()
cursor.execute("CREATE TABLE IF NOT EXISTS rayces_migrations (name text, state text, steps_done int)")
cursor.execute("CREATE TABLE IF NOT EXISTS starts (); INSERT INTO starts DEFAULT VALUES; SELECT count(*) FROM starts")
is_last = cursor.fetchall()[0][0] > int(sys.argv[1])
cursor.execute("SELECT count(*) FROM rayces_migrations")
((done,),) = cursor.fetchall()
for number in range(done, {len(read_directory(None))}):
    cursor.execute("INSERT INTO rayces_migrations VALUES (%s, 'applied', 0)", (f"{{number + 1:03}}_step",))
    cursor.execute("SELECT pg_sleep(0.02)")
while not is_last:  # who kills it may be stopped for longer than all steps take
    time.sleep(1)
print("done")
"""


@pytest.mark.slow
def test_a_run_is_killed_and_run_again_until_it_is_done(place, myhub):
    url = place.admin(myhub)

    with looking_on(url) as lookout:
        done = adopt(url, kills=4, seed=1, longest_seconds=0.1, command=("-c", STEPS, "4"))

    assert len(done.kills) == 4
    assert done.kills == sorted(done.kills, key=lambda each: each.migration)
    assert done.kills[-1].migration > 1
    assert done.output == "done\n"
    every = len(read_directory(None))
    assert query(url, "SELECT count(*), count(DISTINCT name) FROM rayces_migrations") == [(every, every)]
    assert "SELECT pg_sleep(0.02)" in lookout.at(done.started, done.ended)
    assert lookout.at(0, 1) == []


@pytest.mark.slow
def test_a_run_that_comes_no_further_is_killed_when_its_time_is_over(place, myhub, monkeypatch):
    monkeypatch.setattr(adoption, "aims", lambda *_: [Aim(Place(), 0.1, Place(9))])
    stalled = STEPS.replace("pg_sleep(0.02)", "pg_sleep(CASE WHEN count(*) = 1 THEN 600 END) FROM rayces_migrations")

    done = adopt(place.admin(myhub), kills=1, seed=1, longest_seconds=60, command=("-c", stalled, "1"))

    assert done.kills == [Place(1)]
    assert done.seconds < 300


def test_a_run_that_ends_before_its_kill_ends_the_adoption(place, myhub):
    done = adopt(place.admin(myhub), kills=3, seed=1, longest_seconds=60, command=("-c", "print('quick')"))

    assert (done.kills, done.output) == ([], "quick\n")


@pytest.mark.parametrize("kills", [0, 2])
def test_a_run_that_fails_by_itself_is_an_error_with_what_it_said(place, myhub, kills):
    with pytest.raises(AdoptionFailedError, match=r"ended with 3: no\.$"):
        failing = ("-c", "import sys; print('no.', file=sys.stderr); sys.exit(3)")
        adopt(place.admin(myhub), kills=kills, seed=1, longest_seconds=60, command=failing)


def test_where_the_history_is_is_told_before_there_is_one_and_in_the_middle(place, myhub):
    url = place.admin(myhub)
    with closing(Lookout(url)) as lookout:
        assert str(lookout.place()) == "before the first migration"
        on_server(
            url,
            "CREATE TABLE rayces_migrations AS SELECT '001_a' AS name, 'applied' AS state, 0 AS steps_done "
            "UNION ALL SELECT '002_b', 'running', 7",
        )
        assert lookout.place() == Place(2, 7)
        on_server(url, "UPDATE rayces_migrations SET steps_done = 0")
        assert Place(1) < lookout.place() == Place(2, 0) < Place(2, 1) < Place(2)
        on_server(url, "UPDATE rayces_migrations SET state = 'applied', steps_done = 9")
        assert str(lookout.place()) == "002, applied"


@pytest.mark.slow
def test_the_schema_is_the_same_whatever_id_the_organization_got_and_differs_otherwise(place, untouched, myhub):
    schemas = []
    for database, key in ((myhub, 1), (place.database(template=untouched), 34)):
        on_server(
            place.admin(database),
            f"CREATE TABLE organizations (id bigint); INSERT INTO organizations VALUES ({key});"
            f"ALTER TABLE users ADD COLUMN organization_id bigint DEFAULT coalesce(nullif(current_setting("
            f"'rayces.organization_id', true), '')::bigint, {key});"
            f"CREATE POLICY rayces_adoption ON users USING (organization_id = {key}) "
            f"WITH CHECK (organization_id = {key})",
        )
        schemas.append(schema_of(place.admin(database)))

    assert schemas[0] == schemas[1]
    on_server(place.admin(myhub), "ALTER POLICY rayces_adoption ON users USING (organization_id = 34)")
    assert schema_of(place.admin(myhub)) != schemas[1]


SOUND = {
    "adoption": Adoption(1.0, 3.0, [Place(6, 2)], "{}"),
    "kills_asked": 1,
    "expected": [Sum("users", 2, 5)],
    "found": [Sum("users", 2, 5)],
}
FAULTS = {
    "1 statements of the old application failed": {"failures": [("during", "feed", "no such column")]},
    "2 statements took longer than 1000 ms": {"slow": 2},
    "the rows of users are not what they have to be (ids 7, 9, for example)": {
        "found": [Sum("users", 2, 6)],
        "differing": {"users": [7, 9]},
    },
    "3 rows are not in the adopted organization": {"strangers": 3},
    "1 lines of the catalogue are not those of an undisturbed adoption": {"schema": ["- index x"]},
    "adoption was done after 1 of 4 kills": {"kills_asked": 4},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_and_saved(fault, tmp_path):
    outcome = Outcome(heading="h", undisturbed_seconds=1.0, **SOUND)
    assert list(outcome.faults()) == []

    faulty = replace(outcome, **FAULTS[fault])

    console = Console(file=io.StringIO(), width=160)
    show(faulty, console)
    assert f"FAULT: {fault}" in console.file.getvalue()
    save(faulty, tmp_path / "figures.json", {})
    assert json.loads((tmp_path / "figures.json").read_text())["faults"] == [fault]


def test_rows_without_their_organization_are_counted(place, myhub):
    url = place.admin(myhub)
    on_server(url, "CREATE TABLE organizations (id bigint); INSERT INTO organizations VALUES (4)")
    for table in TABLES:
        on_server(url, f"ALTER TABLE {table} ADD COLUMN organization_id bigint DEFAULT 4")
    assert books.strangers(url) == 0

    on_server(url, "UPDATE users SET organization_id = NULL WHERE id = 3; UPDATE likes SET organization_id = 5")
    assert books.strangers(url) == 1 + SIZE.likes


def told_of(file):
    """The faults, but for statements that took long: a machine that others use makes some so."""
    return [fault for fault in json.loads(file.read_text())["faults"] if "took longer" not in fault]


@pytest.fixture(scope="module")
def adopted(tmp_path_factory, server_url):
    """What the whole bench prints and saves about a small MyHub: as a command of its own in `make test-all`."""
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    scale = ("--users", "100", "--posts", "300", "--likes", "900", "--workers", "2")
    load = ("--seconds", quick_or_whole("0.2", "0.5"), "--kills", str(KILLS))
    words = [*scale, *load, "--json", str(file), "--database-url", server_url]
    if not EVERYTHING:
        ran = CliRunner().invoke(command.main, words)
        assert told_of(file) == [], ran.output
        return ran.stdout, json.loads(file.read_text())
    whole = [sys.executable, "-m", "bench.adopting", *words]
    done = subprocess.run(whole, cwd=CHECKOUT, capture_output=True, text=True, timeout=600, check=False)
    assert told_of(file) == [], done.stdout + done.stderr
    return done.stdout, json.loads(file.read_text())


@pytest.mark.exhaustive
def test_a_myhub_is_adopted_under_load_with_kills_and_no_fault(adopted):
    """`make test` keeps its parts: the load, a run that is killed, and each fault."""
    _, figures = adopted

    assert figures["failures"] == figures["schema_differences"] == []
    assert len(figures["adoption"]["kills"]) == KILLS
    assert figures["rows_outside_organization"] == 0
    assert {row["table"]: row["checksum"] == row["expected_checksum"] for row in figures["rows"]} == dict.fromkeys(
        TABLES, True
    )
    assert all(row["rows"] != count for row, count in zip(figures["rows"], (100, 300, 900), strict=True))


@pytest.mark.exhaustive
def test_each_phase_has_statements_of_the_old_application(adopted):
    """`make test` keeps the figures of phases that are made up."""
    _, figures = adopted

    found = {figure["phase"]: figure for figure in figures["statements"] if figure["kind"] == "all"}
    assert set(found) == {"before", "during", "after"}
    assert all(figure["statements"] > 10 and 0 < figure["p50"] <= figure["slowest"] for figure in found.values())


@pytest.mark.slow
def test_what_is_made_on_the_server_is_gone_afterwards(server_url):
    with workshop(server_url) as made:
        name = made.database()
        assert query(made.application(name), "SELECT current_user::text") == [(made.role,)]

    assert query(server_url, f"SELECT FROM pg_roles WHERE rolname = '{made.role}'") == []
    assert query(server_url, f"SELECT FROM pg_database WHERE datname = '{name}'") == []


@pytest.mark.slow
@pytest.mark.parametrize("slow, code", [(0, 0), (1, 1)])
def test_the_exit_code_says_whether_there_is_a_fault(server_url, monkeypatch, slow, code):
    monkeypatch.setattr(command, "run", lambda *_: Outcome(heading="h", undisturbed_seconds=1.0, slow=slow, **SOUND))

    done = CliRunner().invoke(command.main, ["--database-url", server_url])

    assert done.exit_code == code, done.output
    assert ("no fault" in done.output) is (code == 0)
    assert ("FAULT: 1 statements took longer than 1000 ms" in done.output) is (code == 1)
