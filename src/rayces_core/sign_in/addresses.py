"""Network addresses: one way to write each, and what is counted as one place."""

from __future__ import annotations

import ipaddress
from typing import Final

from rayces_core.errors import InvalidDataError

IPV6_NETWORK: Final = 64


def address_of(given: object) -> str | None:
    """The address as it is stored: an IPv4 one in the form of IPv6 as IPv4, and without a zone.

    None for None and for an empty one: servers say that of whoever comes by a Unix socket.

    Raises:
        InvalidDataError: it is none.
    """
    if given is None or given == "":
        return None
    try:
        found = ipaddress.ip_address(str(given).partition("%")[0])
    except ValueError:
        raise InvalidDataError("address", None, "needs an IPv4 or IPv6 address") from None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def network_of(address: str) -> str:
    """What is counted as one place: an IPv4 address, or the /64 of an IPv6 one, of which a household has all."""
    size = 32 if ipaddress.ip_address(address).version == 4 else IPV6_NETWORK
    return str(ipaddress.ip_network(f"{address}/{size}", strict=False))
