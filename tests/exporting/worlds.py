"""A tenant with rows in every table: lifecycles, a ledger, posts, and values that are hard to carry."""

from __future__ import annotations

import os
import signal
from datetime import UTC, date, datetime
from pathlib import Path

from rayces_core import Appointment, Database, Role, StateTransition, Student, archive, credits, people
from rayces_core.models import TENANT_MODELS, GroupSession
from rayces_core.models.imports import ImportRun
from rayces_core.models.invoice import Invoice
from rayces_core.scheduling import create_group_session
from tests.credits.corruption import make_ledger
from tests.factory import (
    MAKERS,
    make_kind,
    make_like,
    make_package,
    make_post,
    make_professional,
    make_resource,
    make_slot_request,
    make_student,
    make_time_off,
    make_user,
)

HARD_TEXT = "=1+1\n\t«Ñandú» \u202eabc 😀 \\N \\. \"'; \x7f\x01 \u2028"
START, BEFORE = datetime(2031, 3, 4, 12, tzinfo=UTC), datetime(2031, 3, 1, tzinfo=UTC)
HARD_MOMENT = datetime(2031, 3, 3, 12, 0, 0, 123457, tzinfo=UTC)


def fill(mark: str = "mark") -> None:
    """Rows in every tenant table of the bound tenant; `mark` stands in their texts."""
    staff = make_user(role=Role.ADMIN, email=f"{mark}@example.org", first_name=HARD_TEXT, last_sign_in_ip="10.1.2.3")
    make_ledger()
    make_professional(
        bio=HARD_TEXT,
        weekly_schedule={"monday": [{"start": "09:00", "end": "24:00"}]},
        blocked_dates=[{"start": date(2031, 5, 1), "end": date(2031, 5, 2), "reason": mark}],
    )
    student = make_student(first_name=mark, date_of_birth=date(2020, 2, 29), primary_contact=staff)
    student.apply(by=staff, reason=HARD_TEXT)
    gone = make_student(last_name="gone")
    gone.apply(by=staff)
    gone.reject(by=staff)
    Student.delete_by_id(gone.id)
    make_like(post=make_post(content=f"{mark} {HARD_TEXT}", created_at=HARD_MOMENT, user=staff), user=make_user())
    credits.adjust(staff, 3, reason="opening", by=staff, metadata={"text": HARD_TEXT, "numbers": [1.5, 10**20, None]})
    people.merge_users(make_user(), make_user(last_name=mark), by=staff)
    kind = make_kind()
    credits.purchase_package(staff, make_package(credit_kind=kind, valid_days=30))
    credits.debit(staff, 3, kind=kind)
    ImportRun.create(record_type="users", source=f"{mark}.csv", fingerprint="0" * 64)
    make_time_off(note=mark, from_time="10:00", until_time="13:00").approve(by=staff, reason=HARD_TEXT)
    Invoice.create(user=staff, currency="ARS", starts_on=START.date(), ends_on=START.date()).discard(by=staff)
    make_slot_request(student=student, client=staff, weekdays=["friday"]).withdraw(by=staff, reason=HARD_TEXT)
    create_group_session(
        professional=make_professional(),
        scheduled_at=START,
        capacity=2,
        name=mark,
        second_professional=make_professional(),
        room=make_resource(name=f"room of {mark}", features=["mirror"]),
        device=make_resource(kind="device"),
        override_schedule=True,
        now=BEFORE,
    )
    for model in TENANT_MODELS:
        if not model.select().exists():
            MAKERS[model]()


def names_of_everything() -> dict[str, object]:
    """What of the bound tenant must survive and shows that references were mapped right."""
    return {
        "appointments": sorted(
            (a.professional.user.email, a.student.full_name, a.client.email, a.scheduled_at, a.state)
            for a in Appointment.select()
        ),
        "groups": sorted(
            (g.professional.user.email, g.second_professional.user.email, g.room.name, g.room.features, g.device.kind)
            for g in GroupSession.select()
        ),
        "histories": sorted([t.event, t.occurred_at] for s in Student.select() for t in s.history()),
        "appointment histories": sorted([t.event, t.occurred_at] for a in Appointment.select() for t in a.history()),
        "journal": StateTransition.select().count(),
    }


def restore_and_be_killed(url: str, path: Path, subdomain: str) -> None:
    """Begin to restore an archive, and be killed when most of it is written."""

    def die(table: str, _done: int, _total: int | None) -> None:
        if table == "state_transitions":
            os.kill(os.getpid(), signal.SIGKILL)

    archive.restore(Database.connect(url), path, subdomain=subdomain, progress=die)
