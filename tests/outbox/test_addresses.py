"""Which addresses a webhook may go to: no private one gets through, however it is written."""

import socket
from ipaddress import ip_address, ip_network

import pytest

from rayces_core.errors import AddressRefusedError, DeliveryError
from rayces_core.outbox.addresses import is_public, resolved
from tests.walking import walked

PUBLIC = "8.8.8.8 1.1.1.1 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808:: 2606:4700:4700::1111"
CLOSED = """
127.0.0.1 127.255.0.3 10.1.1.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 0.1.2.3 224.0.0.1 240.0.0.1
255.255.255.255 192.0.2.1 198.18.0.1 203.0.113.9 ::1 :: fe80::1 fc00::1 fd00:ec2::254 ff02::1 ::7f00:1
::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::808:808
2002:7f00:1:: 2002:a9fe:a9fe:: 2001:0:7f00:1:: 2001:db8::1
"""


@walked("address", PUBLIC.split())
def test_public_addresses_are(address):
    assert is_public(ip_address(address))


@walked("address", CLOSED.split())
def test_others_are_not(address):
    assert not is_public(ip_address(address))


# What a resolver takes for an address: decimal, octal, hexadecimal, and fewer than four parts.
@walked(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "::1", "::ffff:127.0.0.1"],
)
def test_a_host_that_leads_to_this_machine_is_refused_however_it_is_written(host):
    with pytest.raises(AddressRefusedError) as caught:
        resolved(host, 443)
    assert caught.value.host == host


def test_one_private_address_among_public_ones_refuses_the_host(monkeypatch):
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    with pytest.raises(AddressRefusedError, match=r"leads to 10\.0\.0\.1"):
        resolved("hooks.example.org", 443)
    assert resolved("hooks.example.org", 443, [ip_network("10.0.0.0/8")]) == ["8.8.8.8", "10.0.0.1"]


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 300, ".."])
def test_a_host_that_cannot_be_looked_up_is_tried_again_later(host):
    with pytest.raises(DeliveryError):
        resolved(host, 443)
