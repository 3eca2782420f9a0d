"""What a web application answers who reads a feed: the file, or that nothing has changed (RFC 9110)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING

from rayces_core.calendars.feeds import feed_body
from rayces_core.calendars.writing import CALLED

if TYPE_CHECKING:
    from rayces_core.database.database import Database


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body; the body of a 304 is empty."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def answer_feed(
    database: Database,
    token: str,
    *,
    if_none_match: str | None = None,
    if_modified_since: str | None = None,
    called: str = CALLED,
    now: datetime | None = None,
) -> Answer:
    """Answer a request for a feed; other arguments and errors as for `read_feed`.

    Args:
        if_none_match, if_modified_since: the request's headers. The first decides where both are given.
    """
    found = feed_body(database, token, called=called, now=now)
    etag = f'"{hashlib.sha256(found.body).hexdigest()[:32]}"'
    changed_at = found.changed_at.astimezone(UTC).replace(microsecond=0)
    headers = {
        "ETag": etag,
        "Last-Modified": format_datetime(changed_at, usegmt=True),
        "Cache-Control": "private, no-cache",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex",
    }
    if _is_known(etag, changed_at, if_none_match, if_modified_since):
        return Answer(304, headers, b"")
    return Answer(200, headers | {"Content-Type": "text/calendar; charset=utf-8"}, found.body)


def _is_known(etag: str, changed_at: datetime, if_none_match: str | None, if_modified_since: str | None) -> bool:
    if if_none_match is not None:
        given = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
        return "*" in given or etag in given
    if if_modified_since is None:
        return False
    try:
        since = parsedate_to_datetime(if_modified_since)
    except ValueError:
        return False
    return since.tzinfo is not None and changed_at <= since
