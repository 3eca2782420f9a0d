"""Reads moments and JSON documents from PostgreSQL's text faster than the driver does, into the same values."""

from __future__ import annotations

from datetime import datetime
from json import JSONDecoder
from typing import Any

from psycopg2.extensions import PYDATETIMETZ, connection, cursor, new_type, register_type

TIMESTAMPTZ_OID, JSONB_OID = 1184, 3802

# Bound once: each is called for every value of a column.
_moment_of = datetime.fromisoformat
_document_of = JSONDecoder().raw_decode


def _moment(text: Any, reader: cursor) -> Any:
    if text is None:
        return None
    try:
        return _moment_of(text)
    except ValueError:
        # "infinity", years before Christ or after 9999: whatever the driver makes of them.
        return PYDATETIMETZ(text, reader)


def _document(text: Any, _: cursor) -> Any:
    return None if text is None else _document_of(text)[0]


_CASTS = (
    new_type((TIMESTAMPTZ_OID,), "rayces_timestamptz", _moment),
    new_type((JSONB_OID,), "rayces_jsonb", _document),
)


def read_fast(on: connection) -> None:
    """Read `timestamptz` and `jsonb` on this connection by these functions; other connections are left alone."""
    for cast in _CASTS:
        register_type(cast, on)
