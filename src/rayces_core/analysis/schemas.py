"""The types of a model's columns, told by its fields."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa

from rayces_core.analysis.kinds import Kind, kind_of, of_words
from rayces_core.database.binding import DIALECT
from rayces_core.fields import EnumField

# Names that a CREATE TABLE may use, by the object ids of pg_type.dat.
_OIDS: Final = {
    "bigint": 20, "bigserial": 20, "int8": 20, "smallint": 21, "int2": 21, "integer": 23, "int": 23, "int4": 23,
    "serial": 23, "boolean": 16, "bool": 16, "bytea": 17, "text": 25, "varchar": 1043, "character varying": 1043,
    "char": 1042, "character": 1042, "json": 114, "jsonb": 3802, "real": 700, "float4": 700, "float": 701,
    "double precision": 701, "float8": 701, "date": 1082, "time": 1083, "time without time zone": 1083,
    "timestamp": 1114, "timestamp without time zone": 1114, "timestamptz": 1184, "timestamp with time zone": 1184,
    "interval": 1186, "numeric": 1700, "decimal": 1700,
}  # fmt: skip
_LISTS: Final = {16: 1000, 20: 1016, 21: 1005, 23: 1007, 25: 1009, 700: 1021, 701: 1022, 1042: 1014, 1043: 1015}
_UNKNOWN: Final = 0
_DIGITS: Final = re.compile(r"\((\d+)\s*(?:,\s*(-?\d+))?\s*\)")


def schema_of(model: Any) -> Any:
    """The pyarrow.Schema of a model's columns."""
    return pa.schema([_kind_of(field).field(field.column_name) for field in model._meta.sorted_fields])


def _kind_of(field: Any) -> Kind:
    if isinstance(field, EnumField):
        return of_words(tuple(member.value for member in field.enum_class))
    written = DIALECT.get_sql_context().sql(field.ddl_datatype(DIALECT.get_sql_context())).query()[0].lower()
    digits = _DIGITS.search(written)
    name = " ".join(_DIGITS.sub("", written).replace("[]", "").split())
    oid = _OIDS.get(name, _UNKNOWN)
    if "[]" in written:
        oid = _LISTS.get(oid, _UNKNOWN)
    declared = None if digits is None else (int(digits[1]), int(digits[2] or 0))
    return kind_of(oid, field.column_name, declared)
