"""docs/operations.md: each of its commands and statements is run as it stands, and leaves what the page says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rayces_core import Database, DuplicateError, Organization
from rayces_core.embedded.server import EmbeddedServer
from rayces_core.errors import ReadOnlyError
from rayces_core.migrating import Runner
from tests.servers.binaries import POSTGRESQL_15
from tests.site import Site, sections, site_in

DB, NEW = "db.example.org", "new.example.org"
SECTIONS = sections()
USERS = "SELECT email::text FROM users"
HELD = "SELECT count(*) > 20 FROM pg_policy"

pytestmark = pytest.mark.skipif(not (POSTGRESQL_15 / "initdb").exists(), reason="PostgreSQL 15 is not installed")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="ops"))
    try:
        with EmbeddedServer() as server, site_in(folder, server.url) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(site: Site, heading: str) -> list[str]:
    return [site.run(block) for block in SECTIONS[heading]]


def test_every_section_with_commands_is_run_here() -> None:
    source = Path(__file__).read_text("utf-8")
    assert [heading for heading in SECTIONS if f'"{heading}"' not in source] == []


@pytest.mark.exhaustive
def test_a_backup_is_restored_with_and_without_its_roles(site: Site) -> None:
    with site.same_version() as spare:
        there = [subdomain for (subdomain,) in site.sql(DB, "SELECT subdomain::text FROM organizations ORDER BY id")]
        assert there[0] == "north"
        run(spare, "Backup")
        run(spare, "Restore")
        assert spare.sql(NEW, USERS) == [("ana@example.org",)]
        run(spare, "A restore without the roles")
        assert spare.sql(NEW, HELD, "clinic_bare") == [(True,)]
        for name in ("clinic", "clinic_bare"):
            urls = {"admin_url": spare.url(NEW, name, "clinic_admin")}
            with Database.connect(spare.url(NEW, name, "clinic_web"), **urls) as database:
                with database.privileged(reason="test"):
                    assert [each.subdomain for each in Organization.select().order_by(Organization.id)] == there
                database.create_organization("South", subdomain="south")


@pytest.mark.slow
def test_limits_of_the_web_login_do_not_stop_migrations(site: Site) -> None:
    run(site, "Connections")
    url = site.url(DB, login="clinic_owner")
    assert Runner(url).up() == []


@pytest.mark.slow
def test_what_is_to_be_looked_at_can_be_looked_at(site: Site) -> None:
    *_, inside = run(site, "What to look at")
    assert "pending | oldest | dead" in inside


@pytest.mark.exhaustive
def test_a_newer_server_takes_the_dump(site: Site) -> None:
    run(site, "Upgrade of PostgreSQL")
    assert site.sql(NEW, USERS, "clinic_18") == [("ana@example.org",)]


@pytest.mark.exhaustive
def test_a_newer_server_takes_over_by_logical_replication(site: Site) -> None:
    beginning, subscribing, copied, behind, cutting = _split(SECTIONS["Upgrade without a pause: logical replication"])
    site.run(beginning)
    site.run(subscribing)
    site.until(NEW, "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel", "clinic_next")
    assert "(0 rows)" in site.run(copied)
    with Database.connect(site.url(DB, login="clinic_owner")) as database:
        made = database.create_organization("Meanwhile", subdomain="meanwhile")
    site.until(NEW, "SELECT count(*) = 1 FROM organizations WHERE subdomain = 'meanwhile'", "clinic_next")
    assert "bytes_behind" in site.run(behind)
    with Database.connect(site.url(NEW, "clinic_next", "clinic_owner")) as database:
        with pytest.raises(DuplicateError):
            database.create_organization("Early", subdomain="early")
        site.run(cutting)
        assert database.create_organization("Late", subdomain="late").id > made.id


def _split(blocks: list[tuple[str, str]]) -> list[tuple[str, str]]:
    assert [language for language, _ in blocks] == ["console", "sql", "sql", "sql", "console"]
    return blocks


@pytest.mark.exhaustive
def test_a_point_in_time_is_come_back_to(site: Site) -> None:
    backup, recovery = SECTIONS["Back to a point in time"]
    site.run(backup)
    with Database.connect(site.url(DB, login="clinic_owner")) as database:
        database.create_organization("Kept", subdomain="kept")
        ((moment,),) = site.sql(DB, "SELECT clock_timestamp()::text")
        database.create_organization("Mistake", subdomain="mistake")
    (site.folder / "wanted-time.txt").write_text(moment)
    ((last,),) = site.sql(DB, "SELECT pg_walfile_name(pg_switch_wal())")
    site.until(DB, f"SELECT last_archived_wal >= '{last}' FROM pg_stat_archiver")
    site.run(recovery)
    found = {name for (name,) in site.sql("then.example.org", "SELECT subdomain::text FROM organizations")}
    assert ("kept" in found, "mistake" in found) == (True, False)


@pytest.mark.exhaustive
def test_a_standby_takes_reads_of_tenants_and_refuses_writes_and_migrations(site: Site) -> None:
    standby, example = SECTIONS["Read replicas"]
    site.run(standby)
    said = site.run(example).splitlines()
    assert said[0] == "1"
    assert said[1].startswith("cannot execute INSERT in a read-only transaction; the server is a standby")
    url = site.url("replica.example.org", login="clinic_owner")
    with pytest.raises(ReadOnlyError, match="the server is a standby"):
        Runner(url).up()
    assert {state.state for state in Runner(url).status()} == {"applied"}
    with Database.connect(url) as database, database.privileged(reason="test"):
        assert Organization.select().count() >= 1
