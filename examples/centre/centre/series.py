"""Series: changing or cancelling one session, it and the following, or all; a move is shown before it is done."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request, Response

from centre.pages import PageRoute, back, local_moment, page, words_of
from centre.web import rayces
from rayces_core import Appointment, Role, User, scheduling
from rayces_core.integrations.problems import problem

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Staff = Annotated[User, rayces.requires(Role.STAFF)]
Which = Literal["this", "following", "all"]
Conflict = tuple[datetime, str]
MOST = 500


def session_of(me: User, session_id: int) -> Appointment:
    found: Appointment = (
        Appointment.visible_to(me).where(Appointment.id == session_id, Appointment.series.is_null(False)).get()
    )
    return found


@router.get("/series")
def all_series(request: Request, me: Staff) -> Response:
    """The series that go on, each by its next session."""
    ahead = Appointment.visible_to(me).upcoming().where(Appointment.series.is_null(False)).with_people()
    by_series: dict[int | None, list[Appointment]] = {}
    for session in ahead.order_by(Appointment.scheduled_at).limit(MOST):
        by_series.setdefault(session.series_id, []).append(session)
    return page(request, "all_series.html", me, going_on=list(by_series.values()))


@router.get("/series/{session_id}")
def series(
    request: Request,
    me: Staff,
    session_id: int,
    when: Annotated[str | None, Query(max_length=40)] = None,
    which: Which = "following",
) -> Response:
    """With `when`, a move there is tried, and what is in its way is shown."""
    session = session_of(me, session_id)
    sessions = Appointment.visible_to(me).where(Appointment.series == session.series_id).with_people()
    start = local_moment(request, when) if when else session.scheduled_at
    return page(
        request,
        "series.html",
        me,
        session=session,
        sessions=list(sessions.order_by(Appointment.occurrence_at)),
        when=start,
        which=which,
        conflicts=conflicts(request, me, session, start, which) if when else None,
    )


def conflicts(request: Request, me: User, session: Appointment, start: datetime, which: Which) -> list[Conflict]:
    """Where each session that cannot be moved would go, and why it cannot."""
    return told(request, scheduling.reschedule_series(session, start, which=which, dry_run=True, by=me).skipped)


def told(request: Request, skipped: Sequence[scheduling.Skipped]) -> list[Conflict]:
    """What is in the way, in the reader's language."""
    language = words_of(request).language
    said = [(each.scheduled_at, problem(each.error, language)[1]) for each in skipped]
    return [(moment, str(why.get("detail") or why["title"])) for moment, why in said]


@router.post("/series/{session_id}/move")
def move(
    request: Request,
    me: Staff,
    session_id: int,
    when: Annotated[str, Form(max_length=40)],
    which: Annotated[Which, Form()],
    skip_conflicts: Annotated[bool, Form()] = False,
) -> Response:
    session, start = session_of(me, session_id), local_moment(request, when)
    done = scheduling.reschedule_series(session, start, which=which, skip_conflicts=skip_conflicts, by=me)
    words = words_of(request)("series_moved", moved=len(done.changed), left=len(done.kept) + len(done.skipped))
    return back(f"/series/{session_id}", words)


@router.post("/series/{session_id}/cancel")
def cancel(request: Request, me: Staff, session_id: int, which: Annotated[Which, Form()]) -> Response:
    cancelled = scheduling.cancel_series(session_of(me, session_id), which=which, by=me)
    return back(f"/series/{session_id}", words_of(request)("series_cancelled", many=len(cancelled)))
