"""A host's jobs, as each queue's worker imports them: each writes a student for the tenant and user that it carries."""

import os
from typing import Any

from rayces_core import Database, Student
from rayces_core.integrations.jobs import carried

DB: Any = Database.connect(os.environ["JOBS_DATABASE_URL"])


def work(headers: Any, name: str) -> None:
    with carried(DB, headers) as me:
        Student.create(first_name=name, last_name=str(me and me.id))


def rq_job(name: str) -> None:
    from rq import get_current_job

    job = get_current_job()
    assert job is not None
    work(job.meta.get("rayces"), name)
