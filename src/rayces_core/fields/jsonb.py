"""JSONB columns whose content is held to a Pydantic schema on every write."""

from __future__ import annotations

import copy
import functools
import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NoReturn

import peewee
from peewee import Cast, Node, Value
from psycopg2.extras import Json
from pydantic import TypeAdapter, ValidationError

from rayces_core.fields.base import TypedField, V
from rayces_core.fields.in_place import watch

MAX_JSON_BYTES: Final = 1_048_576
SHOWN_PROBLEMS: Final = 5
ESCAPED_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
PARTIAL_CHANGE: Final = "cannot be changed in part, which would go round its validation; assign the whole value"

to_text = functools.partial(json.dumps, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class EncodedJson(Json):
    """Plain data for psycopg2 together with the JSON text it was checked as."""

    def __init__(self, data: object, text: str) -> None:
        super().__init__(data)
        self.text = text

    def dumps(self, obj: object) -> str:  # noqa: ARG002
        """Give the text that was checked."""
        return self.text


class _Operands(peewee.PostgresqlJSONMethods):  # type: ignore[misc, name-defined]
    """Peewee's JSON operators, with operands that are part of a document and so not checked as a whole one."""

    def compare_value(self, field: Any, value: object) -> Node:
        return self._jsonb_wrap(field, value)

    def _jsonb_wrap(self, field: Any, value: object) -> Node:  # noqa: ARG002
        return Value(Json(value, dumps=to_text), converter=False)


class JSONPath(peewee.JSONPath):
    """A place inside the document, for conditions and selections."""

    def replace(self, *_: object) -> NoReturn:
        """Refuse a change in SQL, which would go round the schema."""
        raise self._field.refuse(None, PARTIAL_CHANGE)  # type: ignore[attr-defined]

    set = insert = append = remove = replace  # type: ignore[assignment]


class JSONField(TypedField[V], peewee.JSONField):
    """JSONB held to a schema: what is written is validated and normalised, what is read is plain dicts and lists.

    Args:
        schema: a Pydantic model or any type that Pydantic understands; its JSON form is what is stored.
        default: a callable, or a value of which each instance gets its own copy.
    """

    if TYPE_CHECKING:

        def __set__(self, instance: object, value: Any) -> None: ...

    def __init__(self, schema: Any, **options: Any) -> None:
        default = options.get("default")
        if default is not None and not callable(default):
            options["default"] = functools.partial(copy.deepcopy, default)
        self.schema = schema
        self._adapter: TypeAdapter[Any] = TypeAdapter(schema)
        super().__init__(dumps=to_text, **options)
        self._helper = _Operands(SimpleNamespace(_adapter=None))

    def bind(self, model: type[peewee.Model], name: str, set_attribute: bool = True) -> None:
        """Bind without asking which database it is: there is one dialect."""
        peewee.Field.bind(self, model, name, set_attribute)
        if set_attribute:
            watch(model, self)

    def fingerprint(self, value: object) -> object:
        """Give a text by which a change inside a document is noticed, without checking it against the schema."""
        try:
            return json.dumps(value, default=repr)
        except (TypeError, ValueError, RecursionError):
            # Nothing that could be stored: equal to no other, so that a save meets the check of db_value.
            return object()

    def db_value(self, value: Any) -> Any:
        """Give validated data for psycopg2; raises `InvalidDataError` naming the place and what is wrong there."""
        if value is None or isinstance(value, Node):
            return value
        return EncodedJson(*self.encode(value))

    def case_value(self, value: Any) -> Any:
        """Give validated data typed as jsonb, which a branch of a CASE needs."""
        if value is None or isinstance(value, Node):
            return value
        return Cast(Value(self.encode(value)[1], converter=False), "JSONB")

    def encode(self, value: object) -> tuple[Any, str]:
        """Validate a value and give its normalised plain data and the JSON text of it.

        Raises:
            InvalidDataError: the value does not fit the schema, or PostgreSQL could not store it.
        """
        data = self._plain(value.adapted if isinstance(value, Json) else value)
        try:
            text = to_text(data)
            size = len(text.encode())
        except (ValueError, RecursionError) as error:
            raise self.refuse(value, f"is no JSON: {error}") from None
        if ESCAPED_NUL.search(text):
            raise self.refuse(value, "has a NUL character, which PostgreSQL cannot store; remove it")
        if size > MAX_JSON_BYTES:
            raise self.refuse(value, f"is {size} bytes as JSON, more than {MAX_JSON_BYTES}; store it elsewhere")
        return data, text

    def _plain(self, value: object) -> Any:
        try:
            return self._adapter.dump_python(self._adapter.validate_python(value), mode="json")
        except ValidationError as error:
            raise self.refuse(value, problems(error)) from None
        except (ValueError, RecursionError) as error:
            raise self.refuse(value, f"is no JSON: {error}") from None

    def __getitem__(self, key: str | int) -> JSONPath:
        return JSONPath(self, (key,))

    def path(self, *keys: str | int) -> JSONPath:
        """Name a place inside the document by its keys and list positions."""
        return JSONPath(self, keys)

    def append(self, *_: object) -> NoReturn:
        """Refuse a change in SQL, which would go round the schema."""
        raise self.refuse(None, PARTIAL_CHANGE)

    update = append  # type: ignore[assignment]


def problems(error: ValidationError) -> str:
    """Say where a value breaks its schema and how, without repeating the value, which may be confidential."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [
        f"{_place(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in found[:SHOWN_PROBLEMS]
    ]
    more = len(found) - SHOWN_PROBLEMS
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def _place(keys: tuple[int | str, ...]) -> str:
    return ".".join(map(str, keys)) or "the whole value"
