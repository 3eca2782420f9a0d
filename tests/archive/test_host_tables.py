"""Tables of a host application in the archive of a tenant: whatever their keys, references, names and types."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import parse_dsn

from rayces_core import Database, Organization, User, archive
from rayces_core.errors import ArchiveError
from rayces_core.exporting import person
from tests.archive.hosting import AUDITED, NUMBERED, SHAPES, TRIGGER, WALLED, filled, host
from tests.conftest import cloned, on_server
from tests.exporting.test_archive import assert_same_tables, manifest_of
from tests.factory import make_organization
from tests.walking import walked

pytestmark = pytest.mark.slow

# What the rows of a shape say, in words that are the same wherever they are.
MEANINGS = {
    "references": """SELECT (SELECT email FROM users WHERE id = keeper_id), count(stays.id), count(student_id),
                            min((SELECT first_name FROM students WHERE id = student_id)),
                            min((SELECT email FROM users WHERE id = professional_id))
                       FROM halls JOIN stays ON hall_id = halls.id GROUP BY halls.id, keeper_id ORDER BY halls.id""",
    "a tree": "SELECT name, (SELECT name FROM places AS p WHERE p.id = places.within_id) FROM places ORDER BY id",
    "a circle": """SELECT (SELECT bill_id = bills.id FROM bill_lines WHERE id = last_line_id),
                          (SELECT count(*) FROM bill_lines WHERE bill_id = bills.id)
                     FROM bills ORDER BY id""",
    "a circle through a table of ours": """SELECT first_name, last_name, dens.child_id = students.id FROM students
                                             LEFT JOIN dens ON dens.id = students.den_id ORDER BY students.id""",
    "uuid keys": """SELECT documents.id, copied_from, number FROM pages JOIN documents ON documents.id = document_id
                     ORDER BY 1, 2, 3""",
    "keys of texts": "SELECT label, first_name FROM labelled JOIN students ON students.id = student_id ORDER BY 1",
    "links": """SELECT name, content FROM tags_posts_through JOIN tags ON tags.id = tag_id
                  JOIN posts ON posts.id = post_id ORDER BY 1, 2""",
    "odd names": """SELECT name, y.parent_id = x.id FROM "bill ing".users JOIN {x} AS x ON x.user_id = users.id
                      JOIN {y} AS y ON y.parent_id = x.id ORDER BY 1""".format(x="x" * 63, y="x" * 62 + "y"),
    "types": "SELECT to_jsonb(things) - '{id,organization_id}'::text[] FROM things ORDER BY big",
}
ODD_SETTINGS = (
    *("IntervalStyle = 'sql_standard'", "DateStyle = 'German'", "bytea_output = 'escape'", "extra_float_digits = -5"),
    *("quote_all_identifiers = on", "TimeZone = 'Asia/Kathmandu'"),
)


@dataclass
class Brought:
    """A database with every shape of a host's table, and a tenant that was archived and brought in again."""

    db: Database
    path: Path
    rows: dict[str, int]
    north: Organization
    neighbour: Organization
    copy: Organization

    @property
    def name(self) -> str:
        """The database's name."""
        return str(parse_dsn(self.db.url)["dbname"])

    def answers(self, question: str, organization: Organization) -> list[tuple[Any, ...]]:
        """What a query gives for an organization."""
        with self.db.tenant(organization):
            return self.db.execute_sql(question).fetchall()


@pytest.fixture(scope="module")
def brought(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brought]:
    """The neighbour has rows as well, so that ids are others in the copy, and none of them are its."""
    path = tmp_path_factory.mktemp("archive") / "north.zip"
    with cloned(server_url, template) as url, Database.connect(url) as db:
        for making, _, _ in SHAPES.values():
            host(db.url, making)
        north, neighbour = make_organization(db), make_organization(db)
        for organization in (neighbour, north):
            filled(db, organization, [filling for _, filling, _ in SHAPES.values()])
        with db.tenant(north):
            written = archive.write(path)
        done = archive.restore(db, path, subdomain="copy")
        yield Brought(db, path, dict(written.rows), north, neighbour, done.organization)


def everything_in(path: Path) -> bytes:
    """All files of an archive."""
    with zipfile.ZipFile(path) as opened:
        return b"".join(opened.read(name) for name in opened.namelist())


@pytest.mark.slow
def test_rows_of_a_host_s_tables_come_in_as_they_went_out(brought: Brought, tmp_path: Path) -> None:
    rows = {name: count for _, _, counts in SHAPES.values() for name, count in counts.items()}
    assert {name: brought.rows.get(name) for name in rows} == rows
    with brought.db.tenant(brought.copy):
        assert archive.content_checksum() == manifest_of(brought.path)["content_sha256"]
        archive.write(tmp_path / "again.zip")
    assert_same_tables(brought.path, tmp_path / "again.zip")


@pytest.mark.slow
def test_what_is_brought_in_is_about_the_same_rows(brought: Brought) -> None:
    """By what people call them, since ids are others: a checksum of two wrong copies would be the same as well."""
    for shape, question in MEANINGS.items():
        there, here = (brought.answers(question, organization) for organization in (brought.north, brought.copy))
        assert there, shape
        assert here == there, shape


def test_secrets_and_caches_stay_behind(brought: Brought) -> None:
    asked = "SELECT name, secret, device_id, cache_id FROM gates"
    assert brought.answers(asked, brought.copy) == [("north", "made anew", None, None)]
    assert brought.answers("SELECT text FROM caches", brought.copy) == []
    assert b"told nobody" not in everything_in(brought.path)
    assert b"cached" not in everything_in(brought.path)


def test_a_neighbour_s_rows_stay_where_they_are(brought: Brought) -> None:
    assert brought.answers("SELECT name FROM rooms ORDER BY id", brought.neighbour)[0] == ("Sala 1",)
    assert len(brought.answers("SELECT id FROM rooms", brought.neighbour)) == 2


@pytest.mark.slow
def test_settings_of_a_database_change_nothing(brought: Brought) -> None:
    for setting in ODD_SETTINGS:
        on_server(brought.db.url, f"ALTER DATABASE {brought.name} SET {setting}")
    with Database.connect(brought.db.url) as odd:
        with odd.tenant(brought.north):
            assert archive.content_checksum() == manifest_of(brought.path)["content_sha256"]
            assert odd.execute_sql("SHOW DateStyle").fetchone() == ("ISO, DMY",)  # German days
        done = archive.restore(odd, brought.path, subdomain="odd")
    assert brought.answers(MEANINGS["types"], done.organization) == brought.answers(MEANINGS["types"], brought.north)


def test_an_organization_with_rows_of_the_host_gets_no_archive(brought: Brought) -> None:
    used = make_organization(brought.db)
    with brought.db.tenant(used):
        brought.db.execute_sql(f"INSERT INTO rooms (organization_id, name) VALUES ({used.id}, 'taken')")
    with pytest.raises(ArchiveError, match="has rows already \\(in rooms\\)"):
        archive.restore(brought.db, brought.path, subdomain=used.subdomain)


def test_a_database_without_the_host_s_tables_is_told_so(brought: Brought, db: Database) -> None:
    with pytest.raises(ArchiveError, match=r"tables that this database lacks .*rooms.*run your own migrations"):
        archive.restore(db, brought.path, subdomain="nowhere")


def test_what_names_a_person_is_in_that_person_s_file(brought: Brought, tmp_path: Path) -> None:
    with brought.db.tenant(brought.north):
        keeper = User.get_by_id(brought.answers("SELECT keeper_id FROM halls", brought.north)[0][0])
        counts = person(keeper, tmp_path / "person.json")
    assert counts["halls"] == 1
    assert counts["documents"] == 0


# -- what no archive can carry --------------------------------------------------------------------------------

REFUSED = {
    "no primary key": ("CREATE TABLE odd (organization_id bigint NOT NULL REFERENCES organizations)", "no primary key"),
    "no right to read": (
        f"CREATE TABLE odd ({NUMBERED}, a int); {{walls}}; REVOKE ALL ON odd FROM rayces_app",
        "SELECT",
    ),
    "no right to write": (
        f"CREATE TABLE odd ({NUMBERED}, a int); {{walls}}; REVOKE INSERT ON odd FROM rayces_app",
        "no right to INSERT .*odd.*(a)",
    ),
    "a schema that nobody may enter": (
        f"CREATE SCHEMA closed; CREATE TABLE closed.odd ({NUMBERED}, a int); GRANT ALL ON closed.odd TO rayces_app",
        "cannot enter the schema",
    ),
    "a name with a sign of its own": (
        """CREATE SCHEMA closed; GRANT USAGE ON SCHEMA closed TO rayces_app;
           CREATE TABLE closed."100%" (organization_id bigint NOT NULL REFERENCES organizations)""",
        '"closed"."100%" has no primary key',
    ),
    "rows that need each other": (
        f"""CREATE TABLE odd ({NUMBERED}, other_id bigint NOT NULL,
                FOREIGN KEY (organization_id, other_id) REFERENCES odd (organization_id, id))""",
        "need each other",
    ),
    "a row that stays behind": (
        f"""CREATE TABLE odd ({NUMBERED}, device_id bigint NOT NULL,
                FOREIGN KEY (organization_id, device_id) REFERENCES devices (organization_id, id))""",
        "odd.device_id names a row of devices, which stays behind",
    ),
    "another organization": (
        f"CREATE TABLE odd ({NUMBERED}, billed_to bigint NOT NULL REFERENCES organizations)",
        "odd.billed_to names a row of organizations",
    ),
}


@pytest.mark.slow
@walked("fault", REFUSED)
def test_what_cannot_be_carried_is_refused_before_anything_is_written(
    own_db: Database, tmp_path: Path, fault: str
) -> None:
    """The advice leads out of it."""
    making, said = REFUSED[fault]
    try:
        on_server(own_db.url, making.format(walls=WALLED))
        on_server(own_db.url, WALLED)
        if "REVOKE" in making:
            on_server(own_db.url, making.rpartition(";")[2])
        with own_db.tenant(make_organization(own_db)):
            with pytest.raises(ArchiveError, match=said) as refused:
                archive.write(tmp_path / "refused.zip")
            assert list(tmp_path.iterdir()) == []
            on_server(own_db.url, str(refused.value).partition("leave it behind: ")[2].partition("; ")[0])
            archive.write(tmp_path / "left.zip").path.unlink()
    finally:
        on_server(own_db.url, "DROP TABLE IF EXISTS odd; DROP SCHEMA IF EXISTS closed CASCADE")


@pytest.mark.slow
def test_a_trigger_that_writes_by_itself_is_told(own_db: Database, tmp_path: Path) -> None:
    host(own_db.url, f"{AUDITED}; {TRIGGER.format(unless='')}")
    organization = make_organization(own_db)
    with own_db.tenant(organization):
        own_db.execute_sql(f"INSERT INTO audited (organization_id) VALUES ({organization.id})")
        archive.write(tmp_path / "a.zip")
    with pytest.raises(ArchiveError, match=r"\(audits\).*noting on audited.*rayces.restoring"):
        archive.restore(own_db, tmp_path / "a.zip", subdomain="again")
    asleep = "IF current_setting('rayces.restoring', true) = 'on' THEN RETURN NULL; END IF;"
    on_server(own_db.url, TRIGGER.format(unless=asleep))
    assert archive.restore(own_db, tmp_path / "a.zip", subdomain="again").rows["audits"] == 1
