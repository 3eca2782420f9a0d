"""`rayces migrate new --from-models` of a host that uses all that a model may say: nothing is left out silently."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from rayces_core import Database
from rayces_core.errors import CheckFailedError, DuplicateError
from tests.cli.process import Terminal
from tests.factory import make_organization, make_user

INSTRUMENTS = """
import uuid
import peewee
from playhouse.postgres_ext import ArrayField
from rayces_core import TenantForeignKey, TenantModel, TimestampedTenantModel


class Instrument(TimestampedTenantModel):
    name = peewee.CharField(max_length=40)
    fee = peewee.DecimalField(10, 2, default=0, constraints=[peewee.Check("fee >= 0")])
    tags = ArrayField(peewee.TextField, null=True)
    spare_of = TenantForeignKey("self", null=True, backref="spares")
    place = peewee.IntegerField(column_name="Order", default=1)

    class Meta:
        table_name = "instruments"
        constraints = [peewee.Check("name <> '100%'")]


class Repair(TimestampedTenantModel):
    id = peewee.UUIDField(primary_key=True, default=uuid.uuid4)
    instrument = TenantForeignKey(Instrument, backref="repairs")
    cost = peewee.DecimalField(8, 2)

    class Meta:
        schema = "{name}"
        table_name = "repairs"
"""
PEOPLE = """
import peewee
from rayces_core import TenantForeignKey, TimestampedTenantModel, User
from {name}.instruments import Instrument


class Teacher(TimestampedTenantModel):
    user = TenantForeignKey(User, unique=True, backref="+")
    instruments = peewee.ManyToManyField(Instrument, backref="teachers")
    favourite = peewee.DeferredForeignKey("{room}", backref="+")

    class Meta:
        table_name = "teachers"


class {room}(TimestampedTenantModel):
    keeper = TenantForeignKey(Teacher, null=True, backref="rooms")

    class Meta:
        table_name = "school_rooms"
"""


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """A package of two modules of models, in the current folder, under a name of its own."""
    name = f"school_{abs(hash(request.node.name)) % 10**8}"
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text(f"from {name}.instruments import *\nfrom {name}.people import *\n")
    (package / "instruments.py").write_text(INSTRUMENTS.replace("{name}", name))
    (package / "people.py").write_text(PEOPLE.format(name=name, room=f"Room{name}"))
    (tmp_path / "pyproject.toml").write_text('[tool.rayces]\nmigrations = ["app/migrations"]\n')
    (tmp_path / "app/migrations").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    # A file that is edited within a second, to the same length, would be read from its byte code.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    forgotten(name)


def forgotten(name: str) -> None:
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[module]


def edited(school: str, old: str, new: str) -> None:
    path = Path(school, "instruments.py")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    forgotten(school)


def made(terminal: Terminal, school: str) -> None:
    assert terminal("migrate", "new", "add_school", "--from-models", school).code == 0
    ran = terminal("migrate", "up")
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.slow
def test_links_schemas_circles_checks_and_indexes_of_arrays_are_written(with_host: Terminal, school: str) -> None:
    made(with_host, school)
    assert with_host("migrate", "check", "--models", school).code == 0
    assert "0 errors" in with_host("doctor").out
    module = sys.modules[school]
    with Database.connect(with_host.url) as db:
        with db.tenant(make_organization(db)):
            viola = module.Instrument.create(name="viola", tags=["old"])
            module.Repair.create(instrument=viola, cost="2.50")
            with pytest.raises(CheckFailedError):
                module.Instrument.create(name="lute", fee=-1)
            with pytest.raises(CheckFailedError):
                module.Instrument.create(name="100%")
            room = getattr(module, f"Room{school}").create()
            teacher = module.Teacher.create(user=make_user(), favourite=room)
            teacher.instruments.add(viola)
            assert [each.name for each in teacher.instruments] == ["viola"]
            with pytest.raises(DuplicateError):
                teacher.instruments.add(viola)
            (methods,) = db.execute_sql(
                "SELECT array_agg(indexdef) FROM pg_indexes WHERE indexdef LIKE '%% USING gin (tags)'"
            ).fetchone()
            assert len(methods) == 1
        with db.tenant(make_organization(db)):
            assert module.Teacher.instruments.get_through_model().select().count() == 0
    undone = with_host("migrate", "down", "--only", "app", "--yes")
    assert (undone.code, undone.err) == (0, "")


@pytest.mark.slow
def test_a_link_table_that_is_missing_is_found_by_check(with_host: Terminal, school: str) -> None:
    found = with_host("migrate", "check", "--models", f"{school}:Teacher")
    assert "teachers_instruments_through" in " ".join(found.out.split())
    assert found.code == 1


@pytest.mark.slow
def test_longer_texts_new_unique_keys_and_columns_that_may_be_empty_are_written(
    with_host: Terminal, school: str
) -> None:
    made(with_host, school)
    edited(school, "name = peewee.CharField(max_length=40)", "name = peewee.CharField(max_length=60, unique=True)")
    edited(
        school,
        "cost = peewee.DecimalField(8, 2)",
        "cost = peewee.DecimalField(8, 2, null=True, unique=True)\n"
        "    hours = peewee.IntegerField(default=1, constraints=[peewee.Check('hours > 0')])\n"
        "    day = peewee.DateField(constraints=[peewee.SQL('DEFAULT current_date')])",
    )
    made(with_host, school)
    assert with_host("migrate", "check", "--models", school).code == 0
    assert "0 errors" in with_host("doctor").out
    module = sys.modules[school]
    with Database.connect(with_host.url) as db:
        with db.tenant(make_organization(db)):
            viola = module.Instrument.create(name="viola")
            with pytest.raises(CheckFailedError):
                module.Repair.create(instrument=viola, hours=0, day="2026-01-01")
            said = "INSERT INTO {}.repairs (organization_id, id, instrument_id, created_at, updated_at, cost)"
            insert = f"{said.format(school)} VALUES (%s, %s, %s, now(), now(), 1) RETURNING hours, day = current_date"
            found = db.execute_sql(insert, (viola.organization_id, str(uuid4()), viola.id)).fetchone()
            assert found == (1, True)
        for _ in range(2):  # unique within the organization only
            with db.tenant(make_organization(db)):
                module.Instrument.create(name="v" * 60)
                with pytest.raises(DuplicateError):
                    module.Instrument.create(name="v" * 60)
    assert with_host("migrate", "down", "--only", "app", "--yes").code == 0
    assert with_host("migrate", "down", "--only", "app", "--yes").code == 0


@pytest.mark.slow
def test_what_is_not_written_refuses_to_be_applied_in_one_sentence(with_host: Terminal, school: str) -> None:
    made(with_host, school)
    edited(school, "cost = peewee.DecimalField(8, 2)", "cost = peewee.DecimalField(8, 4)")
    found = with_host("migrate", "check", "--models", school)
    assert "is numeric(8,2), the model says numeric(8, 4)" in " ".join(found.out.split())
    assert with_host("migrate", "new", "more", "--from-models", school).code == 0
    refused = with_host("migrate", "up")
    assert refused.code == 3
    assert "write below what is not written for you" in refused.err
    Path("app/migrations/002_more.py").unlink()
    assert with_host("migrate", "down", "--only", "app", "--yes").code == 0


@pytest.mark.slow
def test_an_index_that_is_no_list_of_columns_is_shown_as_sql_and_stops_the_file(
    with_host: Terminal, school: str
) -> None:
    path = Path(school, "instruments.py")
    path.write_text(path.read_text() + "\nInstrument.add_index(Instrument.name, where=Instrument.place > 3)\n")
    assert with_host("migrate", "new", "add", "--from-models", school).code == 0
    assert "# not written for you: CREATE INDEX" in Path("app/migrations/001_add.py").read_text()
    refused = with_host("migrate", "up")
    assert refused.code == 3
    assert "write below what is not written for you" in refused.err
