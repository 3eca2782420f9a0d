"""How a page is made: the language, local times, the flash message, and what an error of the library looks like."""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

from fastapi import Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from peewee import DoesNotExist

from centre.texts import TEXTS, Words
from centre.web import rayces
from rayces_core import Appointment, Professional, RaycesError, Resource, Service, Student, User
from rayces_core.errors import InvalidDataError, UnauthenticatedError
from rayces_core.integrations.problems import invalid_request, problem
from rayces_core.integrations.tenants import organization_of

HERE = Path(__file__).parent
TEMPLATES = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined)
SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; form-action 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


# A day that an address names: there are others before and after it, which a page links to.
Day = Annotated[date, Query(ge=date(2000, 1, 1), le=date(2200, 1, 1))]


def words_of(request: Request) -> Words:
    """The language that was chosen, or the browser's, or Spanish."""
    chosen = request.cookies.get("language")
    asked = [part.partition(";")[0].strip()[:2] for part in request.headers.get("accept-language", "").split(",")]
    return Words(next((language for language in (chosen, *asked) if language in TEXTS), "es"))


class Names(dict[int, str]):
    """What services, rooms and devices, or professionals are called, by id: one query a page that shows any."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def __missing__(self, key: int) -> str:
        self |= NAMED[self._kind]()
        return self[key]


def professionals() -> Iterable[Professional]:
    """All of them, with their users."""
    everybody: Iterable[Professional] = Professional.select(Professional, User).join(User)
    return everybody


NAMED: dict[str, Callable[[], dict[int, str]]] = {
    "service": lambda: {each.id: each.name for each in Service.select(Service.id, Service.name)},
    "resource": lambda: {each.id: each.name for each in Resource.select(Resource.id, Resource.name)},
    "professional": lambda: {
        each.user_id: each.user.full_name for each in Professional.select(Professional, User).join(User)
    },
}


def page(
    request: Request, template: str, me: User | None = None, status: int = 200, at: str | None = None, **values: Any
) -> Response:
    """Render a template; the flash message is shown once.

    Args:
        at: the address of the page, where a form has made it: it can be asked for again, and the form's cannot.
    """
    organization = organization_of(request.scope)
    address = at or request.url.path + (f"?{request.url.query}" if request.url.query else "")
    values |= {
        "t": words_of(request),
        "me": me,
        "organization": organization,
        "local": lambda moment: moment.astimezone(organization.zone),
        "new_key": lambda: uuid4().hex,
        "path": request.url.path,
        "address": address,
        "names": {kind: Names(kind) for kind in NAMED},
        "flash": unquote(request.cookies.get("flash", "")),
        "flash_is_good": request.cookies.get("flash_is_good") == "1",
    }
    response = HTMLResponse(TEMPLATES.get_template(template).render(values), status, SAFE_HEADERS)
    response.delete_cookie("flash")
    if at is not None:
        response.headers["HX-Push-Url"] = at
    return response


def back(to: str, message: str = "", *, good: bool = True) -> Response:
    """Go on to another page, which says `message`."""
    response = RedirectResponse(to, 303)
    if message:
        for name, value in (("flash", quote(message)), ("flash_is_good", "1" if good else "0")):
            response.set_cookie(name, value, max_age=60, httponly=True, samesite="strict")
    return response


class PageRoute(APIRoute):
    """A route for people: who is not signed in goes to the sign-in, an error is told where the form was sent from."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except UnauthenticatedError:
                return signed_out(request)
            except (RaycesError, DoesNotExist, RequestValidationError) as error:
                return refused(request, error)

        return handle


def signed_out(request: Request) -> Response:
    """On to the sign-in, which tells whoever was signed in that it is over: ended elsewhere, or too long ago."""
    had = rayces.cookie_of(https=False)["key"] in request.cookies
    response = back("/sign-in", words_of(request)("session_over") if had else "", good=False)
    if had:
        rayces.clear_cookie(request, response)
    return response


def refused(request: Request, error: Exception) -> Response:
    """Back to the form with what was wrong, or a page that says it."""
    language = words_of(request).language
    is_malformed = isinstance(error, RequestValidationError)
    status, told, _ = invalid_request([], language) if is_malformed else problem(error, language)
    text = told.get("detail") or told["title"]
    if request.method == "POST" and (came_from := own_page(request)):
        return back(came_from, text, good=False)
    at = "/" if request.method == "POST" else None  # where a form went nothing can be asked for
    return page(request, "problem.html", status=status, at=at, text=text)


def own_page(request: Request) -> str | None:
    """The page of ours that a form was sent from."""
    try:
        came = urlsplit(request.headers.get("hx-current-url") or request.headers.get("referer", ""))
    except ValueError:
        return None
    # A path with two slashes in front would be another host.
    if came.netloc != request.headers.get("host") or came.path.startswith("//"):
        return None
    return came.path + (f"?{came.query}" if came.query else "")


def local_moment(request: Request, text: str) -> datetime:
    """What a datetime-local field holds, in the centre's zone."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=organization_of(request.scope).zone)
    except ValueError:
        raise InvalidDataError("when", text, "needs a date and a time") from None


def known_students(me: User) -> Any:
    """The students that somebody may see, but those who were forgotten: of them sessions and payments alone stay."""
    return Student.visible_to(me).where(Student.erased_at.is_null())


def bookable(me: User) -> Any:
    """Those of them somebody books for."""
    return known_students(me).where(Student.primary_contact.is_null(False))


def held_until(request: Request, booked: Appointment) -> str:
    """What a family is told of a time that it has until it confirms it."""
    words, until = words_of(request), booked.expires_at or booked.scheduled_at
    until = until.astimezone(organization_of(request.scope).zone)
    return words("booked", until=f"{words.day(until)} {words.hour(until)}")
