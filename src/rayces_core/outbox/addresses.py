"""Which addresses a webhook may be sent to: public ones, and no other, however they are written.

Rule it guards: the address that was looked at is the one that is connected to. A name that leads to a public address
when it is asked and to a private one a moment later (DNS rebinding) gains nothing, since nobody asks twice.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from rayces_core.errors import AddressRefusedError, DeliveryError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Of an IPv6-only network: its gateway turns the last 32 bits into an IPv4 address (RFC 6052).
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether an address, and each one that it stands for or carries within it, is of the public internet."""
    if isinstance(address, IPv6Address):
        inner = IPv4Address(int(address) & 0xFFFFFFFF) if address in _TRANSLATED else address.ipv4_mapped
        if inner is not None:
            return is_public(inner)
        carried = [address.sixtofour, *(address.teredo or ())]
        if not all(is_public(each) for each in carried if each is not None):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def resolved(host: str, port: int, allowed: Iterable[Network] = ()) -> list[str]:
    """The addresses of a host, all of which are public or in one of the `allowed` networks.

    Raises:
        AddressRefusedError: one of them is neither. DeliveryError: the name cannot be looked up now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DeliveryError(f"{host} cannot be looked up: {error}") from error
    addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
    for text in addresses:
        address = ip_address(text.partition("%")[0])
        if not is_public(address) and not any(address in network for network in allowed):
            raise AddressRefusedError(host, text)
    if not addresses:
        raise AddressRefusedError(host, None)
    return addresses
