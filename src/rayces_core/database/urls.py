"""URLs, connect options and role names, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core.errors import ConfigurationError

CONNECT_DEFAULTS: Final = {"connect_timeout": "10", "application_name": "rayces-core"}
# There is another server to ask where one does not answer.
REPLICA_DEFAULTS: Final = CONNECT_DEFAULTS | {"connect_timeout": "3", "tcp_user_timeout": "10000"}
_ROLE_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def role_name(name: object) -> str:
    """The name, if it is one of a role that need not be quoted."""
    if not isinstance(name, str) or not _ROLE_NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no role name: lower-case letters, digits and _, at most 63")
    return name


def with_options(url: str, options: dict[str, Any]) -> str:
    """The URL, checked; with connect options, as one string that migrations and the doctor use as well."""
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError("the database URL is empty; give postgresql://user:password@host/name")
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme and scheme not in ("postgresql", "postgres"):
        raise ConfigurationError(f"the database URL begins with {scheme}://; only postgresql:// is supported")
    try:
        parse_dsn(url)
    except psycopg2.ProgrammingError as error:
        raise ConfigurationError(f"the database URL is malformed: {str(error).strip()}") from error
    try:
        return make_dsn(url, **options) if options else url
    except psycopg2.ProgrammingError as error:
        raise ConfigurationError(f"unknown option: {str(error).strip()}") from error


def with_defaults(url: str, defaults: Mapping[str, str] = CONNECT_DEFAULTS) -> str:
    """The URL with the connect options that it does not name."""
    given = parse_dsn(url)
    return make_dsn(url, **{name: value for name, value in defaults.items() if name not in given})


def place_of(url: str) -> str:
    """Host, port and database that a URL names, for log lines."""
    given = parse_dsn(url)
    host, port = given.get("host") or given.get("hostaddr") or "localhost", given.get("port") or "5432"
    return f"{host}:{port}/{given.get('dbname') or given.get('user') or ''}"
