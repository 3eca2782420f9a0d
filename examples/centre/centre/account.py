"""Signing in and out, and a password that was forgotten."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from centre.pages import PageRoute, back, page, words_of
from centre.texts import TEXTS
from centre.web import rayces
from rayces_core import Role, sign_in
from rayces_core.errors import TooManyAttemptsError, WrongCredentialsError
from rayces_core.integrations.problems import problem

router = APIRouter(route_class=PageRoute, include_in_schema=False)
HOME = {Role.GUARDIAN: "/family", Role.PROFESSIONAL: "/week", Role.STAFF: "/desk", Role.ADMIN: "/desk"}


@router.get("/")
def home(me: rayces.CurrentUser) -> Response:
    return back(HOME[Role(me.role)])


@router.get("/sign-in")
def form(request: Request) -> Response:
    return page(request, "sign_in.html")


@router.post("/sign-in")
def enter(request: Request, email: Annotated[str, Form()], password: Annotated[str, Form()]) -> Response:
    rayces.check_own_page(request)
    words, address = words_of(request), request.client and request.client.host
    try:
        user = sign_in.check_password(email, password, address=address)
    except (WrongCredentialsError, TooManyAttemptsError) as error:
        told = problem(error, words.language)[1]
        return back("/sign-in", told.get("detail") or told["title"], good=False)
    response = back(HOME[Role(user.role)], words("welcome", name=user.full_name))
    device = request.headers.get("user-agent", "")[:200] or "?"
    rayces.set_cookie(request, response, rayces.tokens.issue(user, device, address=address))
    return response


@router.post("/sign-out")
def leave(
    request: Request, me: rayces.CurrentUser, said: rayces.Claims, everywhere: Annotated[bool, Form()] = False
) -> Response:
    response = back("/sign-in")
    sign_in.sign_out(me, None if everywhere else said.device)
    rayces.clear_cookie(request, response)
    return response


@router.get("/forgot")
def forgot(request: Request) -> Response:
    return page(request, "forgot.html")


@router.post("/forgot")
def send_link(request: Request, email: Annotated[str, Form()]) -> Response:
    sign_in.request_reset(email)
    return back("/sign-in", words_of(request)("link_sent"))


@router.get("/reset")
def choose(request: Request, token: str) -> Response:
    return page(request, "reset.html", token=token)


@router.post("/reset")
def reset(request: Request, token: Annotated[str, Form()], password: Annotated[str, Form()]) -> Response:
    sign_in.reset_password(token, password)
    return back("/sign-in", words_of(request)("password_changed"))


@router.post("/language")
def speak(language: Annotated[str, Form()], to: Annotated[str, Form()] = "/") -> Response:
    response = back(to if to.startswith("/") and not to.startswith("//") else "/")
    if language in TEXTS:
        response.set_cookie("language", language, max_age=31_536_000, samesite="lax")
    return response
