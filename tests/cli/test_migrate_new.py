"""`rayces migrate new` and `check --models`: a host's models and its tables, from the first class to the first row."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterator
from datetime import date, time
from decimal import Decimal
from pathlib import Path

import psycopg2
import pytest

from rayces_core import Database
from tests.cli.process import Terminal, is_one_sentence
from tests.factory import make_organization, make_student
from tests.sizes import exhaustive

MODELS = """
from datetime import date, time
from decimal import Decimal

import peewee
from playhouse.postgres_ext import ArrayField, BinaryJSONField
from rayces_core import Student, TenantForeignKey, TenantModel, TimestampedTenantModel
from rayces_core.fields import TextField


class Room(TimestampedTenantModel):
    name = peewee.CharField(max_length=40, unique=True)
    beds = peewee.IntegerField(default=1)
    price = peewee.DecimalField(10, 2, null=True)
    open = peewee.BooleanField(default=True)
    notes = TextField(default="it's \\\\ new")
    extra = BinaryJSONField(default=dict)
    tags = ArrayField(peewee.TextField, default=["a", "it's"])
    rules = BinaryJSONField(default={{"quiet": True}})
    share = peewee.DoubleField(default=float("inf"))
    rate = peewee.DecimalField(6, 2, default=Decimal("1.50"))
    since = peewee.DateField(default=date(2026, 1, 2))
    opens = peewee.TimeField(default=time(8, 30))

    class Meta:
        table_name = "{0}_rooms"


class Stay(TenantModel):
    room = TenantForeignKey(Room, backref="stays")
    student = TenantForeignKey(Student, null=True, on_delete="SET NULL", backref="+")
    day = peewee.DateField(index=True)

    class Meta:
        table_name = "{0}_stays"
        indexes = ((("room", "day"), True),)


class Code(TenantModel):
    code = peewee.CharField(20, primary_key=True)
    text = TextField()

    class Meta:
        table_name = "{0}_codes"
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """A project in the current folder with three models in a module of this name."""
    name = f"host_{abs(hash(request.node.name)) % 10**8}"
    (tmp_path / f"{name}.py").write_text(MODELS.format(name))
    (tmp_path / "pyproject.toml").write_text('[tool.rayces]\nmigrations = ["app/migrations"]\n')
    (tmp_path / "app/migrations").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    # A file that is edited within a second, to the same length, would be read from its byte code.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = list(sys.path)
    yield name
    sys.path[:] = before
    sys.modules.pop(name, None)


def edited(host: str, old: str, new: str) -> None:
    path = Path(f"{host}.py")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    sys.modules.pop(host)


def run(terminal: Terminal, sql: str) -> None:
    with Database.connect(terminal.url) as db:
        with psycopg2.connect(db.admin_url) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
        connection.close()


@pytest.mark.slow
def test_models_become_tables_that_hold_and_every_write_works(with_host: Terminal, host: str) -> None:
    before = with_host("migrate", "check", "--models", host)
    assert before.code == 1
    for model, table in (("Code", "codes"), ("Room", "rooms"), ("Stay", "stays")):
        assert f"model {model}: table {host}_{table}" in " ".join(before.out.split())
    written = with_host("migrate", "new", "add_rooms", "--from-models", host)
    assert (written.code, written.err) == (0, "")
    path = Path("app/migrations/001_add_rooms.py").resolve()
    assert f"written {path}" in written.out.replace("\n", "")
    assert with_host("migrate", "up").out == "applied app: 001_add_rooms\n"
    assert with_host("migrate", "check", "--models", host).code == 0
    assert "0 errors" in with_host("doctor").out
    module = sys.modules[host]
    with Database.connect(with_host.url) as db:
        north = make_organization(db)
        with db.tenant(north):
            room = module.Room.create(name="A")
            assert (room.beds, room.open, room.notes, room.extra) == (1, True, "it's \\ new", {})
            shown = (room.tags, room.rules, room.share, room.since.isoformat(), room.opens.isoformat())
            assert shown == (["a", "it's"], {"quiet": True}, math.inf, "2026-01-02", "08:30:00")
            stay = module.Stay.create(room=room, student=make_student(), day="2026-11-28")
            stay.day = "2026-11-29"
            stay.save()
            module.Code.create(code="x", text="y")
            room.beds = 2
            room.save()
            assert stay.delete_instance() == 1
            assert db.execute_sql(f"SELECT beds, open FROM {host}_rooms").fetchall() == [(2, True)]
            # What is a plain constant is the column's default as well; lists and documents are the model's to fill in.
            given = "(organization_id, name, extra, tags, rules) VALUES (%s, 'B', '{}', '{}', '{}')"
            raw = f"INSERT INTO {host}_rooms {given}"
            row = db.execute_sql(f"{raw} RETURNING beds, share, rate, since, opens", (north.id,)).fetchone()
            assert row == (1, math.inf, Decimal("1.50"), date(2026, 1, 2), time(8, 30))
    assert with_host("migrate", "new", "again", "--from-models", host).out.startswith("nothing is written")
    assert with_host("migrate", "down", "--only", "app", "--yes").code == 0


@pytest.mark.slow
def test_a_column_that_a_model_gains_is_written_found_and_filled_in(with_host: Terminal, host: str) -> None:
    with_host("migrate", "new", "add_rooms", "--from-models", host)
    assert with_host("migrate", "up").code == 0
    module = sys.modules[host]
    with Database.connect(with_host.url) as db, db.tenant(make_organization(db)):
        module.Room.create(name="A")
    edited(host, "    beds =", "    floor = peewee.IntegerField()\n    kind = TextField(default='plain')\n    beds =")
    edited_code = "    text = TextField()\n    room = TenantForeignKey(Room, backref='codes', null=True)"
    path = Path(f"{host}.py")
    path.write_text(path.read_text().replace("    text = TextField()", edited_code))
    found = with_host("migrate", "check", "--models", host)
    assert found.code == 1
    for line in (f"{host}_rooms.floor integer not null", f"{host}_rooms.kind text not null", f"{host}_codes.room_id"):
        assert line in " ".join(found.out.lower().split())
    assert with_host("migrate", "new", "more", "--from-models", host).code == 0
    path = Path("app/migrations/002_more.py")
    refused = with_host("migrate", "up")
    assert refused.code == 3
    assert f"say below what rows have in {host}_rooms.floor" in refused.err
    text = path.read_text()
    filled = [line.replace("...", "0") for line in text.splitlines() if "raise MigrationError" not in line]
    path.write_text("\n".join(filled) + "\n")
    again = with_host("migrate", "up")
    assert (again.code, again.err) == (0, "")
    assert with_host("migrate", "check", "--models", host).code == 0
    assert "0 errors" in with_host("doctor").out
    module = sys.modules[host]
    with Database.connect(with_host.url) as db, db.privileged(reason="test"):
        assert [(room.floor, room.kind) for room in module.Room.select()] == [(0, "plain")]
    assert with_host("migrate", "down", "--only", "app", "--count", "2", "--yes").code == 0


# What somebody did to the table of rooms → what is said.
DRIFT = {
    "ALTER COLUMN name TYPE varchar(5)": "takes 5 characters, the model says varchar(40)",
    "ALTER COLUMN beds TYPE bigint": "is bigint, the model says integer",
    "ALTER COLUMN open DROP NOT NULL": "open is nullable, the model says not null",
    "ALTER COLUMN price SET NOT NULL": "price is not null, the model says null=true",
    "ADD COLUMN other text NOT NULL": "which the model does not fill in",
    "DROP CONSTRAINT {0}_rooms_organization_id_name_key": "unique (organization_id, name)",
}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [DRIFT, *exhaustive(*([change] for change in DRIFT))], ids=len)
def test_drift_of_a_hosts_table_is_found(with_host: Terminal, host: str, changes: Collection[str]) -> None:
    with_host("migrate", "new", "add_rooms", "--from-models", host)
    assert with_host("migrate", "up").code == 0
    run(with_host, f"ALTER TABLE {host}_rooms {', '.join(changes).format(host)}")
    found = with_host("migrate", "check", "--models", host)
    assert found.code == 1
    said = " ".join(found.out.lower().split())
    assert [DRIFT[change] for change in changes if DRIFT[change] not in said] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("new", "x", "--from-models", "nowhere.models"), "there is no module 'nowhere.models'"),
        (("new", "Ä"), "is no name of a migration"),
        (("check", "--models", "json"), "json has no TenantModel with a table"),
    ],
)
def test_what_cannot_be_is_one_sentence(with_host: Terminal, host: str, words: tuple[str, ...], sentence: str) -> None:
    refused = with_host("migrate", *words)
    assert refused.code in (2, 3)
    assert is_one_sentence(refused.err)
    assert sentence in refused.err
    assert not list(Path("app/migrations").iterdir())


def test_a_model_of_no_organization_is_told_of(with_host: Terminal, host: str) -> None:
    path = Path(f"{host}.py")
    plain = "\n\nclass Base(peewee.Model):\n    pass\n\n\nclass Country(Base):\n    name = peewee.CharField()\n"
    path.write_text(path.read_text() + plain)
    written = with_host("migrate", "new", "add_rooms", "--from-models", host)
    said = f"{host}.Country is no TenantModel: its table is yours to write and check\n"
    assert (written.code, written.err) == (0, said)
    refused = with_host("migrate", "new", "again", "--from-models", f"{host}:Country")
    assert "Country is no TenantModel" in refused.err


@pytest.mark.slow
def test_a_module_of_pyproject_that_only_registers_has_nothing_to_be_compared(with_host: Terminal, host: str) -> None:
    Path(f"{host}_records.py").write_text("RECORDS = ()\n")
    with Path("pyproject.toml").open("a") as file:
        file.write(f'models = ["{host}_records"]\n')
    with_host("migrate", "up")
    assert with_host("migrate", "check").code == 0
    refused = with_host("migrate", "check", "--models", f"{host}_records")
    assert "has no TenantModel with a table" in refused.err


@pytest.mark.slow
def test_a_new_empty_migration_is_applied_as_it_is(with_host: Terminal, host: str) -> None:
    assert with_host("migrate", "new", "first step", "--directory", "other").code == 0
    assert with_host("migrate", "up", "--directory", "other").out == "applied other: 001_first_step\n"
    assert with_host("migrate", "down", "--directory", "other").code == 0


# What somebody did → what is said.
LOST = {
    "DROP INDEX {0}_stays_organization_id_day_idx": "index btree (organization_id, day)",
    "DROP INDEX {0}_stays_organization_id_student_id_idx": "index btree (organization_id, student_id)",
    """ALTER TABLE {0}_stays DROP CONSTRAINT {0}_stays_organization_id_room_id_fkey, ADD FOREIGN KEY
       (organization_id, room_id) REFERENCES {0}_rooms (organization_id, id) ON DELETE CASCADE""": (
        "on delete cascade, the model says no action"
    ),
    "DROP INDEX {0}_rooms_extra_idx": "index gin (extra)",
}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [LOST, *exhaustive(*([change] for change in LOST))], ids=len)
def test_a_lost_index_and_another_on_delete_are_found_and_written(
    with_host: Terminal, host: str, changes: Collection[str]
) -> None:
    with_host("migrate", "new", "add_rooms", "--from-models", host)
    assert with_host("migrate", "up").code == 0
    run(with_host, ";".join(changes).format(host))
    found = with_host("migrate", "check", "--models", host)
    said = " ".join(found.out.lower().split())
    assert (found.code, [LOST[change] for change in changes if LOST[change] not in said]) == (1, []), found.out
    assert with_host("migrate", "new", "mend", "--from-models", host).code == 0
    assert with_host("migrate", "up").code == 0
    assert with_host("migrate", "new", "again", "--from-models", host).out.startswith("nothing is written")
    assert with_host("migrate", "down", "--only", "app", "--yes").out == "undone app: 002_mend\n"
    assert with_host("migrate", "new", "again", "--from-models", host).out.startswith("written")


@pytest.mark.slow
def test_an_index_that_begins_with_the_columns_serves(with_host: Terminal, host: str) -> None:
    with_host("migrate", "new", "add_rooms", "--from-models", host)
    assert with_host("migrate", "up").code == 0
    run(with_host, f"DROP INDEX {host}_stays_organization_id_day_idx; CREATE INDEX ON {host}_stays (day, id)")
    assert with_host("migrate", "new", "again", "--from-models", host).out.startswith("nothing is written")


@pytest.mark.slow
def test_a_column_that_is_gained_comes_with_its_keys_and_indexes(with_host: Terminal, host: str) -> None:
    with_host("migrate", "new", "add_rooms", "--from-models", host)
    assert with_host("migrate", "up").code == 0
    edited(
        host,
        "    beds =",
        "    badge = peewee.CharField(null=True, unique=True)\n    wing = peewee.IntegerField(null=True, index=True)\n"
        "    keeper = TenantForeignKey(Student, null=True, unique=True, backref='+')\n    beds =",
    )
    assert with_host("migrate", "new", "more", "--from-models", host).code == 0
    assert with_host("migrate", "up").code == 0
    assert with_host("migrate", "new", "again", "--from-models", host).out.startswith("nothing is written")
    assert with_host("migrate", "down", "--only", "app", "--count", "2", "--yes").code == 0


CIRCLE = """
import peewee
from rayces_core import TenantForeignKey, TenantModel


class Team(TenantModel):
    name = peewee.CharField()

    class Meta:
        table_name = "{0}_teams"


class Player(TenantModel):
    team = TenantForeignKey(Team, backref="players")
    number = peewee.IntegerField()

    class Meta:
        table_name = "{0}_players"
        indexes = ((("team", "number"), True),)


Team._meta.add_field("captain", TenantForeignKey(Player, null=True, unique=True, backref="+"))
Team._meta.indexes = ((("captain", "name"), True), (("name", "captain"), False))
Player._meta.add_field("rival", TenantForeignKey(Team, null=True, backref="+"))
Player._meta.indexes = (*Player._meta.indexes, (("rival", "number"), True))
"""


@pytest.mark.slow
def test_keys_and_indexes_that_name_a_column_of_a_circle_come_behind_it(with_host: Terminal, host: str) -> None:
    Path(f"{host}.py").write_text(CIRCLE.replace("{0}", host))
    assert with_host("migrate", "new", "teams", "--from-models", host).code == 0
    applied = with_host("migrate", "up")
    assert (applied.code, applied.err) == (0, "")
    assert with_host("migrate", "new", "again", "--from-models", host).out.startswith("nothing is written")
    assert with_host("migrate", "down", "--only", "app", "--yes").code == 0
