"""Where the tenant does not reach the rows nothing runs: Citus without its engine, foreign scans, proxies that part."""

import struct

import psycopg2
import pytest

from rayces_core import ConfigurationError, Database, IsolationInertError, Student
from rayces_core.database.reaching import read_elsewhere
from tests.conftest import on_server
from tests.factory import make_organization, make_student
from tests.walking import walked
from tests.wire import Wire

# What Citus leaves in a catalogue; each by itself stands in for it here, for nothing but the refusal.
THE_EXTENSION = """
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
SELECT 4000000000, 'citus', 10, 11, false, '13.2-1'"""
ITS_CATALOGUE = "CREATE TABLE pg_dist_partition (logicalrelid regclass)"
SIGNS = (THE_EXTENSION, ITS_CATALOGUE)


def first_uses(database):
    """Each way in which a Database comes to its first statement."""
    yield lambda: database.find_tenant("nowhere")
    yield lambda: database.create_organization("North", subdomain="north")
    yield lambda: database.reader().find_tenant("nowhere")


@pytest.mark.slow
@walked("sign", SIGNS)
def test_citus_is_refused_to_who_did_not_ask_for_it_and_named_in_the_refusal(own_db, sign):
    on_server(own_db.url, sign)
    with Database.connect(own_db.url) as database:
        for use in first_uses(database):
            with pytest.raises(IsolationInertError, match='engine="citus"'):
                use()
    on_server(own_db.url, "DELETE FROM pg_extension WHERE extname = 'citus'; DROP TABLE IF EXISTS pg_dist_partition")


def test_a_table_of_that_name_in_any_schema_is_enough_for_the_refusal(own_db):
    on_server(own_db.url, "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.pg_dist_partition (logicalrelid regclass)")
    with Database.connect(own_db.url) as database, pytest.raises(IsolationInertError, match="Citus"):
        database.find_tenant("nowhere")


def test_the_engine_of_citus_is_refused_where_there_is_none(own_db):
    with Database.connect(own_db.url, engine="citus") as database:
        for use in first_uses(database):
            with pytest.raises(ConfigurationError, match=r"has no Citus|no reader"):
                use()


@walked("engine", ["Citus", "", None, "oracle"])
def test_another_engine_is_refused_at_once(engine):
    with pytest.raises(ConfigurationError, match="engine must be"):
        Database.connect("postgresql://localhost/x", engine=engine)


def test_a_refused_database_is_looked_at_again(own_db):
    on_server(own_db.url, ITS_CATALOGUE)
    with Database.connect(own_db.url) as database:
        for _ in range(2):
            with pytest.raises(IsolationInertError):
                database.find_tenant("nowhere")
        on_server(own_db.url, "DROP TABLE pg_dist_partition")
        assert database.find_tenant("nowhere") is None


# -- extensions that nobody knows ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_unknown_extension_is_let_be_where_postgresql_reads_the_rows(own_db):
    on_server(own_db.url, "UPDATE pg_extension SET extname = 'nobody_knows' WHERE extname = 'btree_gist'")
    with Database.connect(own_db.url) as database, database.tenant(make_organization(database)):
        make_student()
        assert Student.select().count() == 1


def plan(*nodes):
    return [{"Plan": {"Node Type": "Aggregate", "Plans": list(nodes)}}]


HERE = (
    {"Node Type": "Seq Scan", "Relation Name": "users"},
    {"Node Type": "Result", "One-Time Filter": "false"},
    # TimescaleDB: its node has PostgreSQL's own beneath.
    {
        "Node Type": "Custom Scan",
        "Custom Plan Provider": "ChunkAppend",
        "Plans": [{"Node Type": "Index Scan", "Index Cond": "(organization_id = 1)"}],
    },
    # A partition elsewhere: what row-level security asks is asked here of each row that comes.
    {"Node Type": "Foreign Scan", "Filter": "(organization_id = (current_setting('rayces.organization_id'))::bigint)"},
    {"Node Type": "Custom Scan", "Custom Plan Provider": "ColumnarScan", "Filter": "(organization_id = 1)"},
)
ELSEWHERE = (
    {"Node Type": "Custom Scan", "Custom Plan Provider": "Citus Adaptive", "Distributed Query": {"Job": {}}},
    {"Node Type": "Custom Scan", "Custom Plan Provider": "DuckDBScan"},
    {"Node Type": "Foreign Scan", "Relation Name": "users"},
)


@walked("node", HERE)
def test_a_scan_that_asks_for_the_tenant_here_is_let_be(node):
    assert read_elsewhere(plan(node)) == []


@walked("node", ELSEWHERE)
def test_a_scan_that_is_not_asked_for_the_tenant_here_is_named(node):
    assert read_elsewhere(plan(HERE[0], node)) == [
        f"{node['Node Type']} ({node.get('Custom Plan Provider', 'foreign data')})"
    ]


def test_what_row_level_security_asks_is_in_the_plan_of_each_table(own_pool):
    with psycopg2.connect(own_pool.url) as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE rayces_app; EXPLAIN (FORMAT JSON, COSTS OFF) SELECT FROM students")
        (found,) = cursor.fetchone()
    assert "organization_id = " in str(found)
    assert read_elsewhere(found) == []


# -- proxies -----------------------------------------------------------------------------------------------------


class Parting(Wire):
    """A proxy that sends some messages within a transaction to a second server connection, as load balancers do."""

    parts = staticmethod(lambda text: False)

    def _forward_counting(self, client, server):
        with client.makefile("rb") as stream, client, server, self._connect() as other, other.makefile("rb") as heard:
            startup = stream.read(4)
            startup += stream.read(struct.unpack("!I", startup)[0] - 4)
            server.sendall(startup)
            other.sendall(startup)
            until_ready(heard)
            within = False
            while header := stream.read(5):
                body = stream.read(struct.unpack("!cI", header)[1] - 4)
                text = body.rstrip(b"\0").decode()
                if within and self.parts(text):
                    other.sendall(header + body)
                    client.sendall(until_ready(heard)[:-1] + b"T")  # "in a transaction", as the other one is
                else:
                    within = text.startswith("BEGIN") or (within and "ROLLBACK" not in text and "COMMIT" not in text)
                    server.sendall(header + body)


def until_ready(heard):
    """All that a server says until it is ready for the next message."""
    said = b""
    while header := heard.read(5):
        kind, length = struct.unpack("!cI", header)
        said += header + heard.read(length - 4)
        if kind == b"Z":
            break
    return said


PARTING = {
    "reads to a replica": lambda text: text.lstrip().upper().startswith("SELECT"),
    "every message anywhere": lambda text: "ROLLBACK" not in text and "COMMIT" not in text,
}


@pytest.mark.slow
@walked("parts", PARTING)
def test_a_proxy_that_parts_a_transaction_is_refused(own_db, parts):
    make_organization(own_db)
    proxy = Parting(own_db.url)
    try:
        with Database.connect(proxy.url) as database:
            assert database.find_tenant("nowhere") is None  # it parts nothing yet
            proxy.parts = PARTING[parts]
            with Database.connect(proxy.url) as other:
                for use in first_uses(other):
                    with pytest.raises(IsolationInertError, match="keep a transaction on one server"):
                        use()
    finally:
        proxy.parts = lambda text: False
        proxy.close()


def test_a_proxy_that_parts_nothing_is_let_be(own_db):
    proxy = Parting(own_db.url)
    try:
        with Database.connect(proxy.url) as database, database.tenant(make_organization(own_db)):
            make_student()
            assert Student.select().count() == 1
    finally:
        proxy.close()
