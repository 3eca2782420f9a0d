"""A tenant model and a plain Peewee model with the same fields and the same rows, on one server.

What Peewee gives for the plain model is what it has to give for the tenant's; the tests name the differences meant.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import peewee
import psycopg2
from playhouse import fields as playhouse_fields
from playhouse import postgres_ext
from psycopg2.extensions import parse_dsn

from rayces_core import Database, TenantModel
from rayces_core import fields as ours
from rayces_core.tenancy.model import TenantForeignKey
from tests.factory import make_organization

HELD = "organization_id = nullif(current_setting('rayces.organization_id', true), '')::bigint"


class ListField(peewee.TextField):
    """Peewee's documented way to a custom field."""

    def db_value(self, value):
        return None if value is None else json.dumps(value)

    def python_value(self, value):
        return None if value is None else json.loads(value)


class AdaptedField(peewee.IntegerField):
    """Overrides `adapt` alone, which both directions go through."""

    def adapt(self, value):
        return int(value) * -1


class WrappedField(peewee.BooleanField):
    def db_value(self, value):
        return value == "yes" if isinstance(value, str) else value

    def python_value(self, value):
        return value if value is None else "yes" if value else "no"


class UpperField(peewee.TextField):
    """What it stores is SQL."""

    def db_value(self, value):
        return value if value is None else peewee.fn.UPPER(value)


class Money:
    """A value of the host's, which can be changed in place."""

    def __init__(self, cents):
        self.cents = cents

    def __repr__(self):
        return f"Money({self.cents})"


class MoneyField(peewee.BigIntegerField):
    def db_value(self, value):
        return value.cents if isinstance(value, Money) else value

    def python_value(self, value):
        return None if value is None else Money(value)


class CsvField(ours.TextField):
    """A field of the library's own, made into another."""

    def db_value(self, value):
        return None if value is None else super().db_value(",".join(value))

    def python_value(self, value):
        return None if value is None else value.split(",")


class MembersField(peewee.TextField):
    """Has an attribute of a name that the library's enums use too."""

    members = ("a", "b")

    def python_value(self, value):
        return value and value.upper()


class Mood(enum.StrEnum):
    GLAD = "glad"
    SAD = "sad"


class LoudMoodField(ours.EnumField):
    def python_value(self, value):
        return value and f"{value}!"

    def db_value(self, value):
        return super().db_value(value and value.strip("!"))


def instance_level() -> peewee.Field:
    """A field whose `python_value` was replaced on the field itself."""
    field = peewee.TextField(null=True)
    field.python_value = lambda value: value and value[::-1]  # type: ignore[method-assign]
    return field


NAIVE = datetime.datetime(2020, 2, 3, 4, 5, 6)
# name: field, type of the column, a value, another value
KINDS: dict[str, tuple[Callable[[], peewee.Field], str, Any, Any]] = {
    "tags": (lambda: postgres_ext.ArrayField(peewee.TextField, null=True), "text[]", ["a", "b"], ["c"]),
    "nums": (lambda: postgres_ext.ArrayField(dimensions=2, null=True), "integer[]", [[1, 2], [3, 4]], [[5], [6]]),
    "stamps": (
        lambda: postgres_ext.ArrayField(peewee.TimestampField, convert_values=True, null=True),
        "bigint[]",
        [NAIVE],
        [NAIVE, NAIVE],
    ),
    "doc": (lambda: peewee.JSONField(null=True), "jsonb", {"k": [1, None]}, ["x"]),
    "jsonb_doc": (lambda: postgres_ext.BinaryJSONField(null=True), "jsonb", {"k": [1]}, "text"),
    "json_doc": (lambda: postgres_ext.JSONField(null=True), "json", {"k": [1]}, 3),
    "vector": (lambda: postgres_ext.TSVectorField(null=True), "tsvector", "a b", "c"),
    "tz": (
        lambda: postgres_ext.DateTimeTZField(null=True),
        "timestamptz",
        NAIVE.replace(tzinfo=datetime.UTC),
        NAIVE.replace(year=2021, tzinfo=datetime.UTC),
    ),
    "gap": (
        lambda: postgres_ext.IntervalField(null=True),
        "interval",
        datetime.timedelta(hours=3),
        datetime.timedelta(days=2),
    ),
    "uid": (lambda: peewee.UUIDField(null=True), "uuid", uuid.UUID(int=7), uuid.UUID(int=8)),
    "binary_uid": (lambda: peewee.BinaryUUIDField(null=True), "bytea", uuid.UUID(int=7), uuid.UUID(int=8)),
    "blob": (lambda: peewee.BlobField(null=True), "bytea", b"\0x", b"y"),
    "price": (
        lambda: peewee.DecimalField(10, 2, auto_round=True, null=True),
        "numeric(10,2)",
        decimal.Decimal("1.255"),
        decimal.Decimal("-3"),
    ),
    "day": (lambda: peewee.DateField(null=True), "date", datetime.date(2020, 2, 3), datetime.date(2021, 2, 3)),
    "time_of_day": (lambda: peewee.TimeField(null=True), "time", datetime.time(9, 30), datetime.time(1)),
    "at": (lambda: peewee.DateTimeField(null=True), "timestamp", NAIVE, NAIVE.replace(year=2022)),
    "stamp": (lambda: peewee.TimestampField(null=True, default=None), "bigint", NAIVE, NAIVE.replace(year=2022)),
    "fine_stamp": (
        lambda: peewee.TimestampField(resolution=1000, utc=True, null=True, default=None),
        "bigint",
        NAIVE.replace(microsecond=5000),
        NAIVE,
    ),
    "ip": (lambda: peewee.IPField(null=True), "bigint", "10.1.2.3", "10.0.0.1"),
    "bits": (lambda: peewee.BitField(null=True, default=None), "bigint", 5, 6),
    "big_bits": (lambda: peewee.BigBitField(null=True, default=None), "bytea", b"\x01", b"\x02\x03"),
    "ratio": (lambda: peewee.FloatField(null=True), "real", 1.5, 2),
    "double_ratio": (lambda: peewee.DoubleField(null=True), "double precision", 0.1, 1),
    "ratio_in_numeric": (lambda: peewee.FloatField(null=True), "numeric", 1.5, 2),
    "text_in_varchar": (lambda: peewee.CharField(null=True), "varchar(20)", "abc", "d"),
    "fixed": (lambda: peewee.FixedCharField(max_length=4, null=True), "char(4)", "ab", "c"),
    "long_text": (lambda: peewee.TextField(null=True), "text", "x\ny", ""),
    "whole": (lambda: peewee.IntegerField(null=True), "integer", 3, "4"),
    "whole_in_numeric": (lambda: peewee.IntegerField(null=True), "numeric", 3, 4),
    "big": (lambda: peewee.BigIntegerField(null=True), "bigint", 2**40, 1),
    "small": (lambda: peewee.SmallIntegerField(null=True), "smallint", 3, 4),
    "flag": (lambda: peewee.BooleanField(null=True), "boolean", True, False),
    "bare": (lambda: peewee.BareField(null=True), "text", "x", "y"),
    "compressed": (lambda: playhouse_fields.CompressedField(null=True), "bytea", "hello", "bye"),
    "pickled": (lambda: playhouse_fields.PickleField(null=True), "bytea", {"x": (1, 2)}, [3]),
    "listed": (lambda: ListField(null=True), "text", ["a", "b"], {"k": 1}),
    "adapted": (lambda: AdaptedField(null=True), "integer", 5, 6),
    "wrapped": (lambda: WrappedField(null=True), "boolean", True, False),
    "upper": (lambda: UpperField(null=True), "text", "loud", "louder"),
    "money": (lambda: MoneyField(null=True), "bigint", Money(5), Money(7)),
    "csv": (lambda: CsvField(null=True), "text", ["a", "b"], ["c"]),
    "membered": (lambda: MembersField(null=True), "text", "x", "y"),
    "mood": (lambda: LoudMoodField(Mood, null=True), "text", Mood.SAD, "glad"),
    "replaced": (instance_level, "text", "abc", "de"),
    "own_text": (lambda: ours.StringField(null=True), "varchar", "x", "y"),
    "own_number": (lambda: ours.BigIntegerField(null=True), "bigint", 5, 6),
    "own_mood": (lambda: ours.EnumField(Mood, null=True), "varchar", Mood.SAD, "glad"),
}

plain_database = peewee.DatabaseProxy()


def model(table: str, base: type, /, **members: Any) -> Any:
    """A model class of `base` with these fields, for the table of the same name."""
    meta = {"table_name": table} | ({} if base is TenantModel else {"database": plain_database})
    return type(table.title().replace("_", ""), (base,), {**members, "Meta": type("Meta", (), meta)})


Kind = model("kinds", TenantModel, **{name: make() for name, (make, *_) in KINDS.items()})
PlainKind = model("plain_kinds", peewee.Model, **{name: make() for name, (make, *_) in KINDS.items()})
Room = model("rooms", TenantModel, name=peewee.TextField(unique=True), size=peewee.IntegerField(default=1))
PlainRoom = model("plain_rooms", peewee.Model, name=peewee.TextField(unique=True), size=peewee.IntegerField(default=1))
Seat = model("seats", TenantModel, room=TenantForeignKey(Room, backref="seats", null=True), label=ListField())
PlainSeat = model(
    "plain_seats", peewee.Model, room=peewee.ForeignKeyField(PlainRoom, backref="seats", null=True), label=ListField()
)

Badge = model("badges", TenantModel, code=peewee.IPField(primary_key=True), name=peewee.TextField())
Labelled = model("labelled", TenantModel, labels=postgres_ext.HStoreField(null=True))
Keyed = model("keyed", TenantModel, room=TenantForeignKey(Room, primary_key=True, backref="+"))
Marked = model("marked", TenantModel, keyed=TenantForeignKey(Keyed))

PAIRS = {"tenant": (Kind, Room, Seat), "plain": (PlainKind, PlainRoom, PlainSeat)}
COLUMNS = {
    "kinds": ", ".join(f"{name} {kind}" for name, (_, kind, *_) in KINDS.items()),
    "rooms": "name text NOT NULL, size integer NOT NULL DEFAULT 1",
    "seats": "room_id bigint, label text NOT NULL",
    "labelled": "labels hstore",
    "keyed": "room_id bigint NOT NULL",
    "marked": "keyed_id bigint NOT NULL",
    "badges": "code bigint NOT NULL, name text NOT NULL",
}
UNIQUE = {"rooms": ["name"]}
REFERENCES = {"seats": ("room_id", "rooms")}


def host_table(name: str, columns: str, unique: list[str], reference: tuple[str, str] | None) -> str:
    """The statements that make a host's table as docs/tenancy.md asks, and the plain one beside it."""
    made = f"""
    CREATE TABLE {name} (organization_id bigint NOT NULL REFERENCES organizations (id),
        id bigint GENERATED BY DEFAULT AS IDENTITY (START WITH 1000), {columns}, PRIMARY KEY (organization_id, id));
    ALTER TABLE {name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY rayces_tenant ON {name} TO rayces_app USING ({HELD}) WITH CHECK ({HELD});
    CREATE POLICY rayces_admin ON {name} TO rayces_admin USING (true) WITH CHECK (true);
    GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO rayces_app, rayces_admin;
    CREATE TABLE plain_{name} (
        id bigint GENERATED BY DEFAULT AS IDENTITY (START WITH 1000) PRIMARY KEY, {columns});
    """
    for column in unique:
        made += f"ALTER TABLE {name} ADD UNIQUE (organization_id, {column});"
        made += f"ALTER TABLE plain_{name} ADD UNIQUE ({column});"
    if reference is not None:
        column, table = reference
        made += f"""ALTER TABLE {name} ADD FOREIGN KEY (organization_id, {column}) REFERENCES {table};
        ALTER TABLE plain_{name} ADD FOREIGN KEY ({column}) REFERENCES plain_{table};"""
    return made


def make_tables(url: str) -> None:
    """Make every table of this file in the database of `url`, as its superuser."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION hstore")
        for name, columns in COLUMNS.items():
            cursor.execute(host_table(name, columns, UNIQUE.get(name, []), REFERENCES.get(name)))
    connection.close()


class Beside:
    """The two sides: `both(f)` gives what `f(Kind, Room, Seat)` is for each, with fresh rows and nothing kept."""

    def __init__(self, database: Database) -> None:
        self.db = database
        self.organization, other = make_organization(database), make_organization(database)
        with database.tenant(other):
            Room.create(id=1, name="theirs")
            Room.create(id=2, name="one")
        parts = parse_dsn(database.url)
        self.plain = peewee.PostgresqlDatabase(parts.pop("dbname"), options="-c timezone=UTC", **parts)
        plain_database.initialize(self.plain)

    def both(self, act: Callable[..., Any]) -> tuple[Any, Any]:
        """What `act` gives on the tenant's models, and on the plain ones."""
        with self.fresh():
            tenant = outcome(lambda: act(*PAIRS["tenant"]))
        self.plain.execute_sql(FRESH.format(plain="plain_", key="", value=""))
        return tenant, outcome(lambda: act(*PAIRS["plain"]))

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """A block of the tenant's, with fresh rows."""
        with self.db.tenant(self.organization):
            self.db.execute_sql(FRESH.format(plain="", key="organization_id, ", value=f"{self.organization.id}, "))
            yield


FRESH = """
DELETE FROM {plain}seats; DELETE FROM {plain}rooms; DELETE FROM {plain}kinds;
INSERT INTO {plain}rooms ({key}id, name, size) SELECT {value}i, 'r' || i, i * 10 FROM generate_series(1, 5) i
    RETURNING 1;
INSERT INTO {plain}seats ({key}id, room_id, label)
SELECT {value}i, (i + 1) / 2, '[' || i || ']' FROM generate_series(1, 4) i UNION ALL SELECT {value}5, NULL, '[]'
RETURNING 1
"""


def outcome(act: Callable[[], Any]) -> Any:
    """What `act` gives, in a form that can be compared across the two sides; an error by its class."""
    try:
        return shown(act())
    except Exception as error:
        return f"{error_name(error)}"


def error_name(error: Exception) -> str:
    """The name of the class of Peewee's or Python's that an error is one of; a model's own DoesNotExist is one too."""
    known = [kind for kind in type(error).__mro__ if kind.__module__ in ("peewee", "builtins")]
    return known[0].__name__


def shown(value: Any) -> Any:
    """A value without what tells the two sides apart: names of tables and models, the organization."""
    if isinstance(value, peewee.Model):
        held = {name: shown(one) for name, one in value.__data__.items() if name != "organization"}
        extra = {name: shown(one) for name, one in vars(value).items() if not name.startswith("_")}
        related = {name: shown(one) for name, one in value.__rel__.items()}
        return type(value).__name__.removeprefix("Plain"), held, extra, related
    if isinstance(value, dict):
        return {
            str(shown(key)): shown(one) for key, one in value.items() if key not in ("organization", "organization_id")
        }
    if isinstance(value, list | set | peewee.CursorWrapper) or hasattr(value, "__next__"):
        return [shown(one) for one in value]
    if isinstance(value, tuple):
        return (type(value).__name__, *(shown(one) for one in value))
    if isinstance(value, memoryview | peewee.BigBitFieldData | bytearray):
        return bytes(value)
    if isinstance(value, str):
        return value.replace("plain_", "").replace("Plain", "")
    if isinstance(value, int | float | decimal.Decimal | None | bytes | datetime.date | datetime.time | uuid.UUID):
        return f"{type(value).__name__} {value!r}"
    return repr(value)


def is_a_result(value: Any) -> bool:
    """Whether a case gave something: two equal errors would say nothing of the results."""
    return not (isinstance(value, str) and value.endswith(("Error", "Exception")))


def names(rows: Any) -> list[str]:
    """Rooms by name, in their order."""
    return [row.name for row in rows]


def public(kind: type) -> set[str]:
    """The public names of a class."""
    return {name for name in dir(kind) if not name.startswith("_")}
