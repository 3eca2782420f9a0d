"""Which organization a subdomain or an id names: read without the models, and remembered for a while.

The model of organizations lives above this room, so it makes itself known when it is defined.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

from rayces_core.database.binding import NORMALISES_SET, current
from rayces_core.errors import RaycesError, TenantMovedError, UnknownTenantError

Values = dict[str, Any]


class Tenant(Protocol):
    """What this room knows of an organization."""

    id: Any
    subdomain: Any
    active: Any
    _home: Any

    @property
    def dirty_field_names(self) -> Any:
        """Names of the fields that were changed and not saved."""


# The model whose instances tenant() and create_organization() return.
_models: list[Any] = []


def use_organization_model(model: Any) -> None:
    """Make `model` the class whose instances tenant() and create_organization() return."""
    _models[:] = [model]


def organization_model() -> Any:
    """The Organization model."""
    if not _models:
        raise RaycesError("no Organization model is defined yet; import rayces_core")
    return _models[0]


def checked_key(tenant: object) -> str | int:
    """What a look-up goes by: a subdomain in lower case or an id; raises UnknownTenantError for anything else."""
    if isinstance(tenant, bool) or not isinstance(tenant, str | int):
        raise UnknownTenantError(tenant)
    return tenant.strip().lower() if isinstance(tenant, str) else tenant


def may_exist(key: str | int) -> bool:
    """Whether an organization could have this key; of any other the server could not even be asked."""
    if isinstance(key, int):
        return 0 < key < 1 << 63
    return "\0" not in key and not any("\ud800" <= character <= "\udfff" for character in key)


_NAMING = "SET LOCAL rayces.lookup TO %(subdomain)s"
_NAMING_BY_FUNCTION = "SELECT set_config('rayces.lookup', %(subdomain)s, true)"
_BY_SUBDOMAIN = 'SELECT * FROM "organizations" WHERE "subdomain" = %(subdomain)s'


def read_by_subdomain(subdomain: str) -> Values | None:
    """The organization of this subdomain, with nobody bound: a policy shows the one row that is asked for."""
    engine = current().engine
    engine.connection()  # its first one tells the server's version
    by_setting = engine.server_version >= NORMALISES_SET and not engine.kind.binds_apart
    naming = _NAMING if by_setting else _NAMING_BY_FUNCTION
    return _row(engine.run_prepared(f"{naming}; {_BY_SUBDOMAIN}", {"subdomain": subdomain}))


def read_bound(key: str | int) -> Values | None:
    """The bound organization, if it is the one of this subdomain or id."""
    column = "subdomain" if isinstance(key, str) else "id"
    return _row(current().engine.run_prepared(f'SELECT * FROM "organizations" WHERE "{column}" = %s', (key,)))


def _row(cursor: Any) -> Values | None:
    row = cursor.fetchone()
    return None if row is None else dict(zip([each[0] for each in cursor.description], row, strict=True))


def check_saved(organization: Any, home: object) -> None:
    """Raise UnknownTenantError unless an Organization is stored in the database that is this home."""
    if organization._home not in (None, home):
        reason = "this Organization was read from another database; give its subdomain to find this one's"
        raise UnknownTenantError(organization, reason)
    if type(organization.id) is not int or "id" in organization.dirty_field_names:
        raise UnknownTenantError(organization, "the Organization is not saved yet; use db.create_organization(...)")


def check_at_home(values: Values) -> None:
    """Raise TenantMovedError where an organization lives in another database, of which this has a copy at most."""
    if values.get("moving") in ("left", "arriving"):
        raise TenantMovedError(values["subdomain"], values["moving_cell"])


def instance_of(home: object, values: Values) -> Any:
    """An Organization of this home with these values: a copy, since callers may change what they get."""
    kind = organization_model()
    organization = kind(__no_default__=1)
    organization._home = home
    for name, field in kind._meta.columns.items():
        if name in values:
            value = field.python_value(values[name])
            organization.__data__[field.name] = copy.deepcopy(value) if isinstance(value, dict) else value
    return organization


class Remembered:
    """Organizations that were looked up, those that are not there included; what is found by subdomain or id by both.

    At most so many, since a scan of names must not fill the memory; those that are not there for a shorter while, since
    another process may make one.
    """

    MOST: Final = 10_000
    UNKNOWN_SECONDS: Final = 5.0

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: dict[str | int, tuple[float, Values | None]] = {}

    def find(self, key: str | int) -> Values | Literal[False] | None:
        """The values that are still trusted, None for an organization that is not there; False if it is not known."""
        known = self._known.get(key)
        return False if known is None or known[0] <= time.monotonic() else known[1]

    def look_up(self, key: str | int, look: Callable[[], Values | None]) -> Values | None:
        """What is known, or what `look()` finds, which is trusted for a while."""
        known = self.find(key)
        if known is not False:
            return known
        into = self._known  # forget() leaves a look-up under way a dict that nobody reads
        values = look()
        trusted = self._seconds if values is not None else min(self._seconds, self.UNKNOWN_SECONDS)
        for each in (key,) if values is None else (values["subdomain"], values["id"]):
            while len(into) >= self.MOST and each not in into:
                into.pop(next(iter(into)), None)
            into[each] = (time.monotonic() + trusted, values)
        return values

    def forget(self) -> None:
        """Look again."""
        self._known = {}
