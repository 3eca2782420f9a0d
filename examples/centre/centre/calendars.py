"""Calendars: the address under which a phone reads the own sessions, and calendars elsewhere that keep time free."""

import threading
from contextlib import suppress
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response

from centre.pages import PageRoute, back, page, words_of
from centre.web import db, rayces
from rayces_core import Appointment, CalendarFeed, OutsideCalendar, RaycesError, Role, User, calendars

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Given = Annotated[User, rayces.requires(Role.PROFESSIONAL)]
Text = Annotated[str, Form(max_length=200)]
Details = Annotated[Literal["private", "full"], Form()]


def keep_reading(over: threading.Event, seconds: float = 60.0) -> None:
    """Read what professionals have added, every so often, until it is over."""
    while not over.wait(seconds):
        with suppress(RaycesError):  # such as a database that is away; the next time it may be there
            calendars.refresh_calendars(db)


def shown(request: Request, me: User, address: str = "") -> Response:
    """The page; an address that was just made is told this once."""
    feeds = CalendarFeed.visible_to(me).where(CalendarFeed.revoked_at.is_null())
    return page(
        request,
        "calendars.html",
        me,
        at="/calendars",
        made=address,
        feeds=list(feeds.order_by(CalendarFeed.id)),
        others=list(OutsideCalendar.visible_to(me).order_by(OutsideCalendar.id)),
    )


@router.get("/calendars")
def listed(request: Request, me: rayces.CurrentUser) -> Response:
    return shown(request, me)


@router.post("/calendars/feeds")
def make(request: Request, me: rayces.CurrentUser, details: Details = "private") -> Response:
    made = calendars.create_feed(me, details=details, by=me)
    return shown(request, me, str(request.url_for("read", token=made.token)))


@router.post("/calendars/feeds/{feed_id}/revoke")
def revoke(request: Request, me: rayces.CurrentUser, feed_id: int) -> Response:
    calendars.revoke_feed(CalendarFeed.visible_to(me).where(CalendarFeed.id == feed_id).get(), by=me)
    return back("/calendars", words_of(request)("feed_revoked"))


@router.post("/calendars/outside")
def add(request: Request, me: Given, name: Text, url: Annotated[str, Form(max_length=2048)]) -> Response:
    calendars.add_outside_calendar(me, url, name=name, by=me)
    return back("/calendars", words_of(request)("calendar_added"))


@router.post("/calendars/outside/{calendar_id}/remove")
def remove(request: Request, me: Given, calendar_id: int) -> Response:
    mine = OutsideCalendar.visible_to(me).where(OutsideCalendar.id == calendar_id).get()
    calendars.remove_outside_calendar(mine, by=me)
    return back("/calendars", words_of(request)("calendar_removed"))


@router.get("/calendar/{token}.ics")
def read(request: Request, token: str) -> Response:
    answer = calendars.answer_feed(
        db,
        token,
        if_none_match=request.headers.get("if-none-match"),
        if_modified_since=request.headers.get("if-modified-since"),
        called=words_of(request)("session"),
    )
    return Response(answer.body, answer.status, dict(answer.headers))


@router.get("/sessions/{session_id}/file.ics")
def download(request: Request, me: rayces.CurrentUser, session_id: int) -> Response:
    session = Appointment.visible_to(me).where(Appointment.id == session_id).get()
    file = calendars.appointment_ics(session, user=me, called=words_of(request)("session"))
    named = {"content-disposition": f'attachment; filename="session-{session.id}.ics"', "cache-control": "no-store"}
    return Response(file, media_type="text/calendar", headers=named)
