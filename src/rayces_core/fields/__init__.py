"""The column types of the models: each refuses a wrong value before any SQL, and reads rows without converting.

Rule: validation sits in `db_value`, which Peewee calls for every way a value travels (save, insert_many, update,
bulk_update, upserts, comparisons), so no path goes round it. A comparison with a value the column could never hold
raises as well, instead of quietly matching nothing.

`reading` tells which `python_value`s only give back what psycopg2 read, so that rows are built without calling them;
`in_place` notices changes inside a value.
"""

from rayces_core.fields.base import TypedField
from rayces_core.fields.choices import EnumField, IntEnumField, StateField
from rayces_core.fields.in_place import note_changes_in_place
from rayces_core.fields.jsonb import JSONField
from rayces_core.fields.moments import DateField, GeneratedDateTimeField, UTCDateTimeField
from rayces_core.fields.network import InetField
from rayces_core.fields.numbers import (
    BigIntegerField,
    BooleanField,
    GeneratedBigIntegerField,
    IdField,
    IntegerField,
    SmallIntegerField,
)
from rayces_core.fields.settled import assigned, settled, settles
from rayces_core.fields.text import CurrencyField, EmailField, StringField, TextField, TimeZoneField

__all__ = [
    "BigIntegerField",
    "BooleanField",
    "CurrencyField",
    "DateField",
    "EmailField",
    "EnumField",
    "GeneratedBigIntegerField",
    "GeneratedDateTimeField",
    "IdField",
    "InetField",
    "IntEnumField",
    "IntegerField",
    "JSONField",
    "SmallIntegerField",
    "StateField",
    "StringField",
    "TextField",
    "TimeZoneField",
    "TypedField",
    "UTCDateTimeField",
    "assigned",
    "note_changes_in_place",
    "settled",
    "settles",
]
