"""Books hours while nodes of a laboratory are killed: two want each of them, and ask again until there is an answer."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from rayces_core import Appointment, Database, Professional, SlotTakenError, Student, User, credits, scheduling
from tests.citus.test_engine import SOON, WEEK
from tests.credits.jack_worker import UNANSWERED
from tests.factory import make_organization, make_professional, make_student, make_user

RIVALS = 2
BETWEEN = timedelta(hours=2)


@dataclass
class Booking:
    """Who books where, and what each was told: the key of what was asked → an appointment's id, or none."""

    database: Database
    organization: int
    professional: Professional
    client: User
    students: tuple[Student, ...]
    told: dict[str, int | None] = field(default_factory=dict)

    def rival(self, number: int, over: threading.Event) -> None:
        """Ask for one hour after the other."""
        for place in count():
            if over.is_set():
                return
            self.told[f"{number}-{place}"] = self.answered(number, place)

    def answered(self, number: int, place: int) -> int | None:
        """Ask for that one with the same key until there is an answer."""
        while True:
            with contextlib.suppress(*UNANSWERED), self.database.tenant(self.organization):
                try:
                    booked = scheduling.book(
                        professional=self.professional,
                        student=self.students[number],
                        client=self.client,
                        scheduled_at=SOON + place * BETWEEN,
                        uses_credit=True,
                        idempotency_key=f"{number}-{place}",
                    )
                except SlotTakenError:
                    return None
                return int(booked.id)
            time.sleep(0.2)

    def failures(self) -> list[str]:
        """A sentence for each answer that is not what is there now."""
        with self.database.tenant(self.organization):
            mine = Appointment.select().where(Appointment.professional == self.professional.user_id)
            found = {each.idempotency_key: each.id for each in mine}
            held = credits.balances(self.client)[0].reserved
        told = {key: answer for key, answer in self.told.items() if answer is not None}
        wrong = [
            f"told {told.get(key)} of {key}, there is {found.get(key)}"
            for key in sorted({*told, *found})
            if told.get(key) != found.get(key)
        ]
        places = {key.split("-")[1] for key in self.told}
        if not len(found) == len(places) == held:
            wrong.append(f"{len(places)} hours were asked for, {len(found)} are booked and hold {held} credits")
        return wrong


@contextlib.contextmanager
def booked_meanwhile(database: Database) -> Iterator[Booking]:
    """Book for the block, in an organization of its own."""
    over, organization = threading.Event(), make_organization(database).id
    with database.tenant(organization):
        client, students = make_user(), tuple(make_student() for _ in range(RIVALS))
        credits.purchase(client, 10_000)
        site = Booking(database, organization, make_professional(weekly_schedule=WEEK), client, students)
    threads = [threading.Thread(target=site.rival, args=(number, over)) for number in range(RIVALS)]
    for thread in threads:
        thread.start()
    try:
        yield site
    finally:
        over.set()
        for thread in threads:
            thread.join()
