"""Which tenant a request is for: read off its host, its path or a header, and found without a query where it is known.

Rule it guards: who knows the address decides, and the sender of a request only where no address does. A host under
`domain` names the tenant by itself; a header is believed at other hosts only, since there anybody may send any. What
proxies add (X-Forwarded-Host) is not read: let the server do so, if it trusts the proxy. Being named opens nothing:
tokens are of one tenant, and whoever comes to another one is not signed in there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from functools import cached_property, lru_cache
from typing import Any, Final, Protocol

from rayces_core.database.blocks import TenantBlock
from rayces_core.errors import ConfigurationError, InactiveTenantError, TenantNotSetError, UnknownTenantError
from rayces_core.tenancy.organization import Organization

# What organizations_subdomain_check allows; anything else is asked of no database.
_SUBDOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PORT: Final = re.compile(r":\d*\Z")
# A name of the DNS has 253 characters at most; longer ones are not remembered.
_LONGEST_HOST: Final = 260
# Where a request keeps its organization, or what gives it; see `organization_of`.
TENANT: Final = "rayces.tenant"
# Connections of its own for looking tenants up, which must not wait behind the endpoints'.
LOOK_UPS_AT_ONCE: Final = 2


class Served(Protocol):
    """What web applications need of where their tenants are: a Database, or Cells."""

    @property
    def max_connections(self) -> int:
        """How many units of work go on at once, at most."""

    def tenant(self, tenant: Any, *, cached_only: bool = False) -> TenantBlock[Any]:
        """The block of a tenant."""

    def known_tenant(self, tenant: str | int) -> TenantBlock[Callable[[], Any]]:
        """The block of one that was looked up lately."""

    def find_tenant(self, name: str | int, *, cached_only: bool = False) -> Any:
        """The organization of that name, or None."""

    def looking_up(self, connections: int) -> Callable[[str | int], Any]:
        """`find_tenant` on connections of its own."""

    def refuse_event_loops(self) -> None:
        """Refuse statements in the thread of a running event loop."""

    def ping(self, timeout: float = 5.0) -> float:
        """Have the server answer."""

    def disconnect(self) -> None:
        """Close every connection."""


class Resolver:
    """Names and finds the tenant of a request.

    Args:
        db: where organizations are: a Database, or Cells. What is found, unknown and switched off ones included, is
            remembered by it, for `tenant_cache_seconds` at most, and bounded.
        domain: hosts one label below it are tenants: "north.example.org" of "example.org". Several are possible.
        header: a header that names the tenant where the host is not below a domain, such as "X-Tenant".
        path_prefix: what stands before the tenant in the path, such as "/t/" of "/t/north/appointments".
    """

    def __init__(
        self,
        db: Served,
        *,
        domain: str | list[str] | None = None,
        header: str | None = None,
        path_prefix: str | None = None,
    ) -> None:
        domains = [domain] if isinstance(domain, str) else domain or []
        self.db = db
        self._suffixes = tuple(f".{_ascii(each)}" for each in domains)
        self.header = None if header is None else header.strip().lower()
        if path_prefix is not None and not (path_prefix.startswith("/") and path_prefix.endswith("/")):
            raise ConfigurationError(
                f'path_prefix begins and ends with a slash, such as "/t/", and not {path_prefix!r}'
            )
        self._path_prefix = path_prefix

    def name_of(self, host: str | None, header: str | None = None, path: str = "") -> str | None:
        """The subdomain that a request names, or None; whether there is such a tenant is another question."""
        return self.named(host, header, path)[0]

    def named(self, host: str | None, header: str | None = None, path: str = "") -> tuple[str | None, str]:
        """The same, and the part of the path that named it: "" or, for example, "/t/north"."""
        if host is not None and self._suffixes:
            look = _below if len(host) <= _LONGEST_HOST else _below.__wrapped__
            below, name = look(host, self._suffixes)
            if below:
                return name, ""
        prefix = self._path_prefix
        if prefix is not None and path.startswith(prefix):
            label = path[len(prefix) :].partition("/")[0]
            return _checked(label.lower()), prefix + label
        return (None if header is None else _checked(header.strip().lower())), ""

    def cached(self, name: str | int) -> Organization:
        """The organization of that name, without asking the database.

        Raises:
            TenantNotCachedError: it has not been looked up lately; ask `resolve`, in a thread.
            UnknownTenantError, InactiveTenantError: there is none, or it is switched off.
        """
        return _usable(name, self.db.find_tenant(name, cached_only=True))

    def resolve(self, name: str | int) -> Organization:
        """The organization of that name; asks the database if it has to, on a connection that no endpoint takes.

        Raises:
            UnknownTenantError, InactiveTenantError: there is none, or it is switched off.
        """
        return _usable(name, self._look_up(name))

    @cached_property
    def _look_up(self) -> Callable[[str | int], Any]:
        return self.db.looking_up(LOOK_UPS_AT_ONCE)


@lru_cache(maxsize=1024)
def _below(host: str, suffixes: tuple[str, ...]) -> tuple[bool, str | None]:
    """Whether a host is below one of the domains, and the tenant that it names there."""
    host = _PORT.sub("", host).lower().rstrip(".")
    for suffix in suffixes:
        if host.endswith(suffix):
            return True, _checked(host[: -len(suffix)])
    return False, None


def organization_of(request: MutableMapping[str, Any]) -> Organization:
    """The organization of a request that a middleware has bound: of its ASGI scope or WSGI environment. No query.

    Raises:
        TenantNotSetError: it has bound none, as the path is exempt.
    """
    named = request.get(TENANT)
    if named is None:
        raise TenantNotSetError("this path is exempt from tenants; take it out of exempt=, or ask for no tenant here")
    if not isinstance(named, Organization):
        named = request[TENANT] = named()
    organization: Organization = named
    return organization


def _usable(name: str | int, organization: Organization | None) -> Organization:
    if organization is None:
        raise UnknownTenantError(name)
    if not organization.active:
        raise InactiveTenantError(organization.subdomain)
    return organization


def _checked(label: str) -> str | None:
    return label if _SUBDOMAIN.fullmatch(label) else None


def _ascii(domain: str) -> str:
    """The domain as hosts name it: in lower case, other letters than ASCII's in Punycode."""
    try:
        return domain.strip().strip(".").encode("idna").decode().lower()
    except UnicodeError as error:
        raise ConfigurationError(f"{domain!r} is no domain, such as example.org") from error
