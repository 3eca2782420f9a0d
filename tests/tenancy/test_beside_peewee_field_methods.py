"""Every public method of Peewee's fields, on a tenant model beside a plain one on the same server.

A method that a new Peewee brings fails here until it is tried, or listed.
"""

import peewee
import pytest
from peewee import SQL, fn
from playhouse import postgres_ext

from tests.tenancy.beside import KINDS, is_a_result, names, public
from tests.walking import walked


def selected(room, *conditions):
    return [row.id for row in room.select().where(*conditions).order_by(room.id)]


FIELD = {
    "adapt": lambda k, r, s: [k.whole.adapt("5"), k.long_text.adapt(5)],
    "alias": lambda k, r, s: list(r.select(r.name.alias("n")).order_by(r.id).dicts()),
    "asc": lambda k, r, s: names(r.select().order_by(r.size.asc(nulls="last"))),
    "between": lambda k, r, s: selected(r, r.size.between(20, 30)),
    "bin_and": lambda k, r, s: list(r.select(r.size.bin_and(4)).order_by(r.id).tuples()),
    "bin_or": lambda k, r, s: list(r.select(r.size.bin_or(4)).order_by(r.id).tuples()),
    "bind_to": lambda k, r, s: [row.name for row in s.select(r.name.bind_to(r)).join(r).order_by(s.id).objects()],
    "cast": lambda k, r, s: list(r.select(r.size.cast("text")).order_by(r.id).tuples()),
    "coerce": lambda k, r, s: list(s.select(s.label.coerce(False)).order_by(s.id).tuples()),
    "collate": lambda k, r, s: names(r.select().order_by(r.name.collate('"C"').desc())),
    "column": lambda k, r, s: list(r.select(r.name.column).order_by(r.id).tuples()),
    "concat": lambda k, r, s: list(r.select(r.name.concat("!")).order_by(r.id).tuples()),
    "contains": lambda k, r, s: selected(r, r.name.contains("R1")),
    "converter": lambda k, r, s: list(r.select(r.size.alias("s").converter(str)).order_by(r.id).tuples()),
    "db_value": lambda k, r, s: [s.label.db_value([1]), k.whole.db_value("5"), s.room.db_value(r.get_by_id(1))],
    "desc": lambda k, r, s: names(r.select().order_by(r.size.desc(nulls="first"))),
    "distinct": lambda k, r, s: sorted(map(str, s.select(fn.COUNT(s.room.distinct())).tuples())),
    "endswith": lambda k, r, s: selected(r, r.name.endswith("1")),
    "ilike": lambda k, r, s: selected(r, r.name.ilike("R%")),
    "in_": lambda k, r, s: (
        selected(r, r.id.in_([1, 9])),
        selected(r, r.id.in_([])),
        selected(r, r.id.in_(s.select(s.room))),
    ),
    "iregexp": lambda k, r, s: selected(r, r.name.iregexp("R[12]")),
    "is_null": lambda k, r, s: (selected(s, s.room.is_null()), selected(s, s.room.is_null(False))),
    "like": lambda k, r, s: selected(r, r.name.like("r_")),
    "not_in": lambda k, r, s: (selected(r, r.id.not_in([1, 9])), selected(r, r.id.not_in([]))),
    "python_value": lambda k, r, s: [s.label.python_value("[1]"), k.whole.python_value("5"), s.room.python_value(5)],
    "regexp": lambda k, r, s: selected(r, r.name.regexp("r[12]")),
    "startswith": lambda k, r, s: selected(r, r.name.startswith("R1")),
    "to_value": lambda k, r, s: selected(r, r.name == r.name.to_value("r1")),
    "unalias": lambda k, r, s: list(r.select(r.name.alias("n").unalias()).order_by(r.id).dicts()),
    "unwrap": lambda k, r, s: list(r.select(r.name.unwrap()).order_by(r.id).tuples()),
    "case_value": lambda k, r, s: list(
        r.select(peewee.Case(r.id, [(1, r.name.case_value("x"))], "y")).order_by(r.id).tuples()
    ),
}
OF_ONE_CLASS = {
    "BitField.flag": lambda k, r, s: (k.insert(bits=5).execute(), k.select().where(k.bits.bin_and(4) != 0).count())[1],
    "DateField.day": lambda k, r, s: dated(k, k.day.day),
    "DateField.month": lambda k, r, s: dated(k, k.day.month),
    "DateField.year": lambda k, r, s: dated(k, k.day.year),
    "DateField.to_timestamp": lambda k, r, s: dated(k, k.day.to_timestamp()),
    "DateField.truncate": lambda k, r, s: dated(k, k.day.truncate("month")),
    "DateTimeField.day": lambda k, r, s: dated(k, k.at.day),
    "DateTimeField.hour": lambda k, r, s: dated(k, k.at.hour),
    "DateTimeField.minute": lambda k, r, s: dated(k, k.at.minute),
    "DateTimeField.month": lambda k, r, s: dated(k, k.at.month),
    "DateTimeField.second": lambda k, r, s: dated(k, k.at.second),
    "DateTimeField.year": lambda k, r, s: dated(k, k.at.year),
    "DateTimeField.to_timestamp": lambda k, r, s: dated(k, k.at.to_timestamp()),
    "DateTimeField.truncate": lambda k, r, s: dated(k, k.at.truncate("year")),
    "TimeField.hour": lambda k, r, s: dated(k, k.time_of_day.hour),
    "TimeField.minute": lambda k, r, s: dated(k, k.time_of_day.minute),
    "TimeField.second": lambda k, r, s: dated(k, k.time_of_day.second),
    "TimestampField.year": lambda k, r, s: dated(k, k.stamp.year),
    "TimestampField.month": lambda k, r, s: dated(k, k.stamp.month),
    "TimestampField.day": lambda k, r, s: dated(k, k.stamp.day),
    "TimestampField.hour": lambda k, r, s: dated(k, k.stamp.hour),
    "TimestampField.minute": lambda k, r, s: dated(k, k.stamp.minute),
    "TimestampField.second": lambda k, r, s: dated(k, k.stamp.second),
    "TimestampField.from_timestamp": lambda k, r, s: dated(k, k.stamp.from_timestamp()),
    "JSONField.append": lambda k, r, s: changed(k, "doc", [1], k.doc.append(2)),
    "JSONField.update": lambda k, r, s: changed(k, "doc", {"a": 1}, k.doc.update({"b": 2})),
    "JSONField.contains": lambda k, r, s: found(k, "doc", {"a": 1}, k.doc.contains({"a": 1})),
    "JSONField.contained_by": lambda k, r, s: found(k, "doc", {"a": 1}, k.doc.contained_by({"a": 1, "b": 2})),
    "JSONField.has_key": lambda k, r, s: found(k, "doc", {"a": 1}, k.doc.has_key("a")),
    "JSONField.has_keys": lambda k, r, s: found(k, "doc", {"a": 1}, k.doc.has_keys(["a", "b"])),
    "JSONField.has_any_keys": lambda k, r, s: found(k, "doc", {"a": 1}, k.doc.has_any_keys(["a", "b"])),
    "JSONField.length": lambda k, r, s: found(k, "doc", [1, 2], k.doc.length() == 2),
    "JSONField.path": lambda k, r, s: found(k, "doc", {"a": [1]}, k.doc.path("a", 0) == 1),
    "JSONField.path, set": lambda k, r, s: changed(k, "doc", {"a": [1]}, k.doc["a"].set({"x": None})),
    "JSONField.path, append": lambda k, r, s: changed(k, "doc", {"a": [1]}, k.doc["a"].append(5)),
    "JSONField.path, remove": lambda k, r, s: changed(k, "doc", {"a": [1]}, k.doc["a"].remove()),
    "BinaryJSONField.contains": lambda k, r, s: found(k, "jsonb_doc", {"a": 1}, k.jsonb_doc.contains({"a": 1})),
    "BinaryJSONField.contained_by": lambda k, r, s: found(k, "jsonb_doc", {"a": 1}, k.jsonb_doc.contained_by({"a": 1})),
    "BinaryJSONField.contains_any": lambda k, r, s: found(k, "jsonb_doc", {"a": 1}, k.jsonb_doc.contains_any("a", "b")),
    "BinaryJSONField.contains_all": lambda k, r, s: found(k, "jsonb_doc", {"a": 1}, k.jsonb_doc.contains_all("a", "b")),
    "BinaryJSONField.has_key": lambda k, r, s: found(k, "jsonb_doc", {"a": 1}, k.jsonb_doc.has_key("a")),
    "BinaryJSONField.concat": lambda k, r, s: changed(k, "jsonb_doc", {"a": 1}, k.jsonb_doc.concat({"b": 2})),
    "BinaryJSONField.append": lambda k, r, s: changed(k, "jsonb_doc", [1], k.jsonb_doc.append(2)),
    "BinaryJSONField.update": lambda k, r, s: changed(k, "jsonb_doc", {"a": 1}, k.jsonb_doc.update({"b": 2})),
    "BinaryJSONField.remove": lambda k, r, s: changed(k, "jsonb_doc", {"a": 1, "b": 2}, k.jsonb_doc.remove("a")),
    "BinaryJSONField.length": lambda k, r, s: found(k, "jsonb_doc", [1], k.jsonb_doc.length() == 1),
    "BinaryJSONField.extract": lambda k, r, s: found(k, "jsonb_doc", {"a": 1}, k.jsonb_doc.extract("a").is_null(False)),
    "BinaryJSONField.path": lambda k, r, s: found(k, "jsonb_doc", {"a": {"b": 1}}, k.jsonb_doc.path("a", "b") == "1"),
    "BinaryJSONField.path_exists": lambda k, r, s: found(k, "jsonb_doc", {"a": 1}, k.jsonb_doc.path_exists("$.a")),
    "BinaryJSONField.path_match": lambda k, r, s: found(k, "jsonb_doc", {"a": 1}, k.jsonb_doc.path_match("$.a == 1")),
    "BinaryJSONField.path_query": lambda k, r, s: selection(k, "jsonb_doc", {"a": 1}, k.jsonb_doc.path_query("$.a")),
    "BinaryJSONField.path_query_array": lambda k, r, s: selection(
        k, "jsonb_doc", {"a": 1}, k.jsonb_doc.path_query_array("$.a")
    ),
    "BinaryJSONField.path_query_first": lambda k, r, s: selection(
        k, "jsonb_doc", {"a": 1}, k.jsonb_doc.path_query_first("$.a")
    ),
    "BinaryJSONField.json_type": lambda k, r, s: selection(k, "jsonb_doc", {"a": 1}, k.jsonb_doc["a"]),
    "ArrayField.contains": lambda k, r, s: found(k, "tags", ["a", "b"], k.tags.contains("a")),
    "ArrayField.contains_any": lambda k, r, s: found(k, "tags", ["a", "b"], k.tags.contains_any("a", "z")),
    "ArrayField.contained_by": lambda k, r, s: found(k, "tags", ["a"], k.tags.contained_by("a", "z")),
    "ArrayField[]": lambda k, r, s: selection(k, "tags", ["a", "b"], k.tags[1]),
    "TSVectorField.match": lambda k, r, s: found(k, "vector", "cats dogs", k.vector.match("cats")),
    "IntervalField": lambda k, r, s: found(k, "gap", KINDS["gap"][2], k.gap > SQL("interval '1 h'")),
}


def dated(kind, expression):
    kind.insert({name: KINDS[name][2] for name in ("day", "at", "time_of_day", "stamp")}).execute()
    return list(kind.select(expression.alias("part")).tuples())


def changed(kind, name, value, expression):
    kind.insert({name: value}).execute()
    kind.update({name: expression}).execute()
    return [getattr(row, name) for row in kind.select()]


def found(kind, name, value, condition):
    kind.insert({name: value}).execute()
    return kind.select().where(condition).count()


def selection(kind, name, value, expression):
    kind.insert({name: value}).execute()
    return list(kind.select(expression.alias("part")).tuples())


INNER_OF_FIELDS = {
    *("accessor_class", "auto_increment", "bind", "clone", "copy", "ddl", "ddl_datatype", "default_index_type"),
    *("field_type", "get_modifiers", "get_sort_key", "is_alias"),
}


def test_every_public_method_of_a_field_is_tried_or_listed():
    assert public(peewee.Field) - set(FIELD) - INNER_OF_FIELDS == set()


# What a class of field has beside Field's methods, and is Peewee's own business or is tried with the values of
# test_beside_peewee_fields.py; a class or method that is new has to be put here or above.
OTHERS = {
    "TimestampField": {"get_timestamp", "valid_resolutions", "formats"},
    "DateTimeField": {"formats"},
    "DateField": {"formats"},
    "TimeField": {"formats"},
    "BigBitField": set(),
    "CompressedField": {"BZ2", "ZLIB", "algorithm_to_import"},
    # DateTimeField's, which is tried.
    "DateTimeTZField": {
        *("formats", "year", "month", "day", "hour", "minute", "second", "to_timestamp", "truncate"),
    },
    "ArrayField": {"passthrough"},
    "JSONField": {"concat", "extract", "json_type"},
    "BinaryJSONField": {"json_type"},
    "ForeignKeyField": {"accessor_class", "backref_accessor_class", "get_constraint_name"},
    "TSVectorField": set(),
    "BitField": {"flag"},
}


KNOWN = {type(make()) for make, *_ in KINDS.values()}
CLASSES = [kind for kind in KNOWN if kind.__module__.startswith(("peewee", "playhouse"))]


@walked("kind", sorted(CLASSES, key=repr))
def test_every_public_method_of_a_class_of_fields_is_tried_or_listed(kind):
    tried = {each.split(".")[1].split(",")[0] for each in OF_ONE_CLASS if each.startswith(f"{kind.__name__}.")}
    assert public(kind) - public(peewee.Field) - tried - OTHERS.get(kind.__name__, set()) == set()


@pytest.mark.slow
@walked("name", FIELD)
def test_a_field_gives_what_peewees_gives(beside, name):
    tenant, plain = beside.both(FIELD[name])
    assert tenant == plain
    assert is_a_result(plain)


@pytest.mark.slow
@walked("name", OF_ONE_CLASS)
def test_a_class_of_fields_gives_what_peewees_gives(beside, name):
    tenant, plain = beside.both(OF_ONE_CLASS[name])
    assert tenant == plain
    assert is_a_result(plain)


def test_full_text_search_by_match_is_scoped(beside):
    def act(kind, *_):
        kind.insert(long_text="cats and dogs").execute()
        return kind.select().where(postgres_ext.Match(kind.long_text, "dogs")).count()

    assert beside.both(act) == ("int 1", "int 1")
