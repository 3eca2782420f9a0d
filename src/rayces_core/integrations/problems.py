"""Errors as answers: RFC 9457 problems with a stable code, in the client's language, and nothing that is not for it.

    status, body, headers = problem(error, "es")

`type` is a URN made of the code. What the fault of the server is (5xx) is for its log: an answer says that it is one,
and where it may pass (503) when to come again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

from rayces_core.errors import ConfigurationError, RaycesError
from rayces_core.integrations.languages import declare_text, text
from rayces_core.integrations.statuses import FACTS, SAME_AS, STATUS, WITHHELD

MEDIA_TYPE: Final = "application/problem+json"
URN: Final = "urn:rayces:problem:"
RETRY_AFTER_SECONDS: Final = 1
# What every 500 and every 503 is called.
INTERNAL: Final = "internal_error"
UNAVAILABLE: Final = "unavailable"
# Python's own phrases change between its versions, and codes may not.
HTTP_CODES: Final = {
    400: "bad_request",
    401: "unauthenticated",
    403: "not_permitted",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    409: "conflict",
    410: "gone",
    413: "too_large",
    415: "media_type",
    422: "invalid_request",
    429: "too_many_requests",
    503: UNAVAILABLE,
}
_PHRASES: Final = frozenset(status.phrase for status in HTTPStatus)

Problem = tuple[int, dict[str, Any], dict[str, str]]


def problem(error: BaseException, language: str = "en") -> Problem:
    """Status, body and headers that answer an error. The body is plain data; see `encoded`."""
    status = status_of(error)
    if status >= 500:
        code = UNAVAILABLE if status == 503 else INTERNAL
        return status, _body(status, code, text(code, language)), _headers(error, status, language)
    code, facts = code_of(error), facts_of(error)
    body = _body(status, code, text(code, language), _detail(code, facts, language))
    return status, body | facts, _headers(error, status, language)


def http_problem(status: int, language: str = "en", detail: str | None = None) -> Problem:
    """Status, body and headers of an answer that is no error of this library: no route, a method that is not allowed.

    Args:
        detail: the host's own words, if any.
    """
    code = HTTP_CODES.get(status) or (INTERNAL if status >= 500 else "refused")
    body = _body(status, code, text(code, language), detail if detail not in _PHRASES else None)
    return status, body, _headers(None, status, language)


def invalid_request(errors: list[dict[str, Any]], language: str = "en") -> Problem:
    """The answer to a request that does not fit its schema; `errors` have pointer, in, code and detail."""
    body = _body(422, "invalid_request", text("invalid_request", language))
    return 422, body | {"errors": errors}, _headers(None, 422, language)


def fault_at(where: str, place: Iterable[Any], fault: Mapping[str, Any]) -> dict[str, str]:
    """A fault that Pydantic has found, for `invalid_request`: in the body, the query, a header; and where there."""
    return {"in": where, "pointer": pointer(place), "code": fault["type"], "detail": fault["msg"]}


def status_of(error: BaseException) -> int:
    """The HTTP status of an error; 503 for a fault that passes when the whole is tried again."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    return 503 if status == 500 and getattr(error, "retryable", False) is True else status


def code_of(error: BaseException) -> str:
    """The code that an answer names: that of the class, or of the one that it must look like."""
    for kind in type(error).__mro__:
        if kind in SAME_AS:
            return SAME_AS[kind]
        if kind in STATUS:
            break
    return getattr(error, "code", INTERNAL)


def facts_of(error: BaseException) -> dict[str, Any]:
    """The attributes of an error that a client may know, as plain data."""
    kinds = type(error).__mro__
    withheld = {name for kind in kinds for name in WITHHELD.get(kind, ())}
    named = [name for kind in kinds for name in FACTS.get(kind, ()) if name not in withheld]
    facts = {name: _plain(getattr(error, name, None)) for name in named}
    return {name: value for name, value in facts.items() if value not in (None, "", [])}


def declare(
    kind: type[RaycesError], *, status: int, facts: tuple[str, ...] = (), en: str = "", es: str = ""
) -> type[RaycesError]:
    """Say how an error of the host's own is answered: its status, the attributes that may be told, its titles.

    Raises:
        ConfigurationError: it has no `code` of its own, or the status is none of an error.
    """
    if "code" not in vars(kind):
        raise ConfigurationError(f"{kind.__name__} needs a `code` of its own, by which clients know it")
    if not 400 <= status <= 599:
        raise ConfigurationError(f"{status} is no status of an error")
    STATUS[kind], FACTS[kind] = status, facts
    declare_text(kind.code, **{language: words for language, words in (("en", en), ("es", es)) if words})
    return kind


def encoded(body: Mapping[str, Any]) -> bytes:
    """The body as JSON; half a surrogate pair, which a client may send in a fact, is escaped."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")


def pointer(parts: Iterable[Any]) -> str:
    """Where in a request a fault is, as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _body(status: int, code: str, title: str | None, detail: str | None = None) -> dict[str, Any]:
    body = {"type": URN + code, "title": title or code.replace("_", " "), "status": status, "code": code}
    return body | ({"detail": detail} if detail else {})


def _detail(code: str, facts: dict[str, Any], language: str) -> str | None:
    reason = facts.get("reason")
    if isinstance(reason, str) and (said := text(reason, language, "reason")):
        return said
    pattern = text(code, language, "detail")
    try:
        return pattern.format_map(facts) if pattern else None
    except KeyError:
        return None


def _headers(error: BaseException | None, status: int, language: str) -> dict[str, str]:
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    if status in (429, 503):
        seconds = getattr(error, "retry_after", None)
        headers["Retry-After"] = str(
            max(1, round(seconds)) if isinstance(seconds, int | float) else RETRY_AFTER_SECONDS
        )
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "start") and hasattr(value, "end"):  # a free slot
        return {"start": _plain(value.start), "end": _plain(value.end)}
    return value if isinstance(value, str | int | float | bool) else None
