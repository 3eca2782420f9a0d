"""IP addresses."""

# mypy: disable-error-code="no-overload-impl"

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Literal, overload

import peewee
from psycopg2.extras import Inet

from rayces_core.fields.base import TypedField, V


class InetField(TypedField[V], peewee.Field):
    """INET: one IPv4 or IPv6 address, read as text."""

    field_type = "INET"

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> InetField[str | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> InetField[str]: ...

    def db_value(self, value: object) -> Inet | None:
        """Give the address typed as inet, so that it also fits a CASE; raises `InvalidDataError` for what is none."""
        if value is None:
            return None
        if not isinstance(value, str | ipaddress.IPv4Address | ipaddress.IPv6Address):
            raise self.refuse(value, f"needs an IP address as text, got {type(value).__name__}")
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            raise self.refuse(value, f"{value!r:.60} is no IPv4 or IPv6 address") from None
        if getattr(address, "scope_id", None):
            raise self.refuse(value, f"{value!s:.60} has a zone index, which PostgreSQL cannot store; leave out the %")
        return Inet(str(address))
