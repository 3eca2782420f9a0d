"""A tenant with rows in every table: lifecycles, a ledger, posts, and values that are hard to carry."""

from __future__ import annotations

import os
import signal
from datetime import UTC, date, datetime
from pathlib import Path

from rayces_core import Appointment, Database, Role, StateTransition, Student, archive, credits
from rayces_core.models import TENANT_MODELS
from rayces_core.models.imports import ImportRun
from tests.credits.corruption import make_ledger
from tests.factory import MAKERS, make_like, make_post, make_professional, make_student, make_user

HARD_TEXT = "=1+1\n\t«Ñandú» \u202eabc 😀 \\N \\. \"'; \x7f\x01 \u2028"
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
    ImportRun.create(record_type="users", source=f"{mark}.csv", fingerprint="0" * 64)
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
