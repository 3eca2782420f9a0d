"""What people are told of their sessions: the desk says which, over what and when, and reads the log; each may mute."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from centre.pages import PageRoute, back, page, words_of
from centre.settings import change
from centre.web import rayces
from rayces_core import Language, Notice, Organization, Role, User

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Staff = Annotated[User, rayces.requires(Role.STAFF)]
CHANNELS = ("email", "sms")
EVENTS = ("booked", "offered", "confirmed", "moved", "cancelled")
A_DAY = 24 * 60
STAGES = 2
SHOWN = 50
Hours = Annotated[Sequence[str], Form()]
Chosen = Annotated[Sequence[str], Form()]
Clock = Annotated[str, Form(max_length=5)]


@router.get("/notices")
def notices(request: Request, me: Staff) -> Response:
    settings = Organization.get().policy.notices
    stages = [rule.minutes_before // 60 for rule in settings.rules_for("reminder")]
    log = Notice.visible_to(me).order_by(Notice.due_at.desc(), Notice.id.desc()).limit(SHOWN)
    return page(
        request,
        "notices.html",
        me,
        settings=settings,
        days=next((rule.minutes_before // A_DAY for rule in settings.rules_for("credits_expiring")), ""),
        stages=[*stages, *[""] * STAGES][:STAGES],
        chosen={rule.event for rule in settings.rules},
        channels=[(each, any(each in rule.channels for rule in settings.rules)) for each in CHANNELS],
        events=EVENTS,
        log=list(log),
    )


@router.post("/notices")
def save(
    request: Request,
    me: Staff,
    hours: Hours = (),
    days: Annotated[str, Form(max_length=2)] = "",
    event: Chosen = (),
    channel: Chosen = (),
    start: Clock = "",
    end: Clock = "",
) -> Response:
    stages = [{"event": "reminder", "minutes_before": int(each) * 60} for each in hours if each.isdecimal()]
    if days.isdecimal():
        stages.append({"event": "credits_expiring", "minutes_before": int(days) * A_DAY})
    rules = [rule | {"channels": list(channel)} for rule in (*stages, *({"event": each} for each in event))]
    quiet = {"start": start, "end": end} if start or end else None
    with change() as organization:
        kept = organization.settings.get("notices", {})
        organization.settings |= {"notices": kept | {"rules": rules if channel else [], "quiet_hours": quiet}}
    return back("/notices", words_of(request)("saved"))


@router.get("/preferences")
def preferences(request: Request, me: rayces.CurrentUser) -> Response:
    channels = [(each, each not in me.muted_channels) for each in CHANNELS]
    return page(request, "preferences.html", me, channels=channels, languages=list(Language))


@router.post("/preferences")
def prefer(
    request: Request,
    me: rayces.CurrentUser,
    channel: Chosen = (),
    language: Annotated[str, Form(max_length=2)] = "",
) -> Response:
    others = [each for each in me.muted_channels if each not in CHANNELS]
    me.muted_channels = [*others, *(each for each in CHANNELS if each not in channel)]
    me.language = language or None
    me.save()
    return back("/preferences", words_of(request)("saved"))
