"""Reading a file from where a professional says: in a limited time, of a limited size, from public addresses alone.

Rule it guards: every hop of a redirect is looked at as the first address was, and the address that was looked at is the
one that is connected to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final
from urllib.parse import urljoin

from rayces_core.calendars.needed import wanted
from rayces_core.errors import (
    AddressRefusedError,
    ConfigurationError,
    DeliveryError,
    InvalidDataError,
    OutsideCalendarError,
)
from rayces_core.outbox.endpoints import checked_url

SCHEMES: Final = ("https", "http")
MOST_BYTES: Final = 5_000_000
MOST_REDIRECTS: Final = 5
MOVED: Final = (301, 302, 303, 307, 308)
UNCHANGED: Final = 304


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server answered: `body` is None where nothing has changed."""

    body: bytes | None
    etag: str | None = None
    last_modified: str | None = None


class Fetcher:
    """Reads calendars by HTTP.

    Args:
        seconds: for each address, from looking the host up to the end of the answer.
        most_bytes: how large a file may be.
        allowed: networks that are read although they are not public, such as "10.20.0.0/16". Whoever may add calendars
            can then have requests sent there.

    Raises:
        ConfigurationError: `allowed` has what is no network. MissingExtraError: packages are not installed.
    """

    def __init__(self, *, seconds: float = 10.0, most_bytes: int = MOST_BYTES, allowed: Iterable[str] = ()) -> None:
        try:
            networks = [ip_network(each) for each in allowed]
        except ValueError as error:
            raise ConfigurationError(f"allowed= takes networks such as 10.20.0.0/16: {error}") from None
        wanted("httpcore")
        self._most = most_bytes
        self._http: Any = wanted("rayces_core.outbox.posting").Poster(seconds, networks, None)

    def fetch(self, url: str, *, etag: str | None = None, last_modified: str | None = None) -> Fetched:
        """Read a file, or learn that it is still the version with this `etag` or of this time.

        Raises:
            OutsideCalendarError: it cannot be read; `reason` says why. No message has the address.
        """
        headers = {"accept": "text/calendar, */*;q=0.1", "user-agent": "rayces-core"}
        headers |= {"if-none-match": etag} if etag else {}
        headers |= {"if-modified-since": last_modified} if last_modified else {}
        for _ in range(MOST_REDIRECTS + 1):
            status, answered, body = self._get(url, headers)
            if status not in MOVED:
                return self._taken(status, answered, body, asked=bool(etag or last_modified))
            url = _passed_on(url, answered.get("location", ""))
        raise OutsideCalendarError("redirects", f"it was passed on more than {MOST_REDIRECTS} times")

    def _get(self, url: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        try:
            status, answered, body = self._http.get(checked_url(url, SCHEMES), headers, self._most + 1)
        except InvalidDataError as error:
            raise OutsideCalendarError("redirects", f"the address that it is read under {error.reason}") from None
        except AddressRefusedError as error:
            found = f"leads to {error.address}, which is not public" if error.address else "leads nowhere"
            raise OutsideCalendarError("refused_address", f"{error.host} {found}") from None
        except DeliveryError as error:
            raise OutsideCalendarError("unreachable", str(error)) from None
        return status, answered, body

    def _taken(self, status: int, answered: Mapping[str, str], body: bytes, *, asked: bool) -> Fetched:
        if status == UNCHANGED and asked:
            return Fetched(None)
        if status != 200:
            raise OutsideCalendarError("status", f"its server answered {status}")
        if len(body) > self._most:
            raise OutsideCalendarError("too_large", f"it has more than {self._most:,} bytes")
        return Fetched(body, _version(answered.get("etag")), _version(answered.get("last-modified")))


def _passed_on(url: str, to: str) -> str:
    try:
        return urljoin(url, to)
    except ValueError:
        raise OutsideCalendarError("redirects", "it is passed on to what is no address") from None


def _version(told: str | None) -> str | None:
    """What can be said to the server again; None for what no request may hold."""
    return told if told is not None and told.isascii() and told.isprintable() else None
