"""Every endpoint of the example, asked by everybody: who gets what is a table, and no answer names another family.

A route that is not in the table fails, whoever adds it.
"""

import itertools
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote, urlencode

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from rayces_core import (
    ClosedDay,
    CreditPackage,
    Organization,
    Professional,
    Resource,
    Service,
    Student,
    User,
    calendars,
    credits,
    invoicing,
    scheduling,
)

pytestmark = pytest.mark.exhaustive

# Lucía is the family that each session, child and payment is of, Paula the session's professional, and Adriana the
# other centre's admin, with a token of theirs.
ASKING = {
    "family": "lucia",
    "another": "carolina",
    "therapist": "paula",
    "colleague": "martin",
    "staff": "tomas",
    "admin": "graciela",
    "nobody": None,
    "stranger": "adriana",
}
# A number is the answer's status; `in` sends to the sign-in.
ALLOWED = """
                                                   family another therapist colleague staff admin nobody stranger
GET /                                                 303     303       303       303   303   303     in       in
GET /openapi.json                                     200     200       200       200   200   200    200      200
GET /docs                                             200     200       200       200   200   200    200      200
GET /docs/oauth2-redirect                             200     200       200       200   200   200    200      200
GET /redoc                                            200     200       200       200   200   200    200      200
GET /healthz                                          200     200       200       200   200   200    200      200
GET /readyz                                           200     200       200       200   200   200    200      200
GET /static                                           200     200       200       200   200   200    200      200
GET /sign-in                                          200     200       200       200   200   200    200      200
POST /sign-in                                         422     422       422       422   422   422    422      422
POST /sign-out                                         in      in        in        in    in    in     in       in
GET /forgot                                           200     200       200       200   200   200    200      200
POST /forgot                                           in      in        in        in    in    in     in       in
GET /reset                                            200     200       200       200   200   200    200      200
POST /reset                                           410     410       410       410   410   410    410      410
POST /language                                        303     303       303       303   303   303    303      303
GET /family                                           200     200       200       200   200   200     in       in
GET /family/book                                      200     404       200       404   200   200     in       in
POST /family/book                                     303     403       403       403   303   303     in       in
GET /family/credits                                   200     200       200       200   200   200     in       in
POST /family/credits                                  303     303       403       403   303   303     in       in
GET /week                                             403     403       200       200   200   200     in       in
POST /sessions/{session_id}/{event} confirm           303     404       303       404   303   303     in       in
POST /sessions/{session_id}/{event} cancel            303     404       403       404   303   303     in       in
POST /sessions/{session_id}/{event} execute           403     404       303       404   403   303     in       in
POST /sessions/{session_id}/{event} mark_no_show      403     404       303       404   303   303     in       in
POST /sessions/{session_id}/{event} expire            422     422       422       422   422   422     in       in
GET /hours                                            403     403       200       200   403   403     in       in
POST /hours/time-off                                  403     403       303       303   403   403     in       in
POST /hours/date                                      403     403       303       303   403   403     in       in
POST /time-off/{request_id}/{event} approve           404     404       403       404   303   303     in       in
POST /time-off/{request_id}/{event} withdraw          404     404       303       404   303   303     in       in
POST /time-off/{request_id}/{event} revoke            404     404       403       404   303   303     in       in
GET /absences                                         403     403       403       403   200   200     in       in
GET /family/waiting                                   200     200       200       200   200   200     in       in
POST /family/waiting                                  303     403       403       403   303   303     in       in
POST /waiting/{request_id}/{answer}                   303     404       404       404   303   303     in       in
GET /waiting                                          403     403       403       403   200   200     in       in
POST /waiting                                         403     403       403       403   303   303     in       in
POST /closed-days                                     403     403       403       403   303   303     in       in
POST /closed-days/holidays                            403     403       403       403   303   303     in       in
POST /closed-days/{closed_id}/{event}                 403     403       403       403   303   303     in       in
GET /notices                                          403     403       403       403   200   200     in       in
POST /notices                                         403     403       403       403   303   303     in       in
GET /preferences                                      200     200       200       200   200   200     in       in
POST /preferences                                     303     303       303       303   303   303     in       in
GET /desk                                             403     403       403       403   200   200     in       in
POST /desk/sessions                                   403     403       403       403   303   303     in       in
POST /desk/sessions/{session_id}/move                 403     403       403       403   303   303     in       in
GET /rooms                                            403     403       403       403   200   200     in       in
POST /rooms                                           403     403       403       403   303   303     in       in
POST /rooms/{resource_id}                             403     403       403       403   303   303     in       in
GET /students                                         403     403       403       403   200   200     in       in
POST /students/{student_id}/{event} apply             403     403       403       403   303   303     in       in
POST /students/{student_id}/{event} reject            403     403       403       403   303   303     in       in
POST /students/{student_id}/{event} save              403     403       403       403   422   422     in       in
GET /people                                           403     403       403       403   200   200     in       in
GET /people/preview                                   403     403       403       403   200   200     in       in
POST /people/merge                                    403     403       403       403   303   303     in       in
POST /people/erase                                    403     403       403       403   303   303     in       in
POST /people/erase-student                            403     403       403       403   303   303     in       in
GET /attendance                                       403     403       200       200   200   200     in       in
POST /attendance                                      403     403       303       303   303   303     in       in
GET /attendance/paper                                 403     403       200       200   200   200     in       in
GET /invoices                                         200     200       200       200   200   200     in       in
POST /invoices                                        403     403       403       403   303   303     in       in
POST /invoices/{invoice_id}/{event} issue             403     403       403       403   303   303     in       in
POST /invoices/{invoice_id}/{event} discard           403     403       403       403   303   303     in       in
POST /invoices/{invoice_id}/{event} credit            403     403       403       403   303   303     in       in
GET /invoices/{invoice_id}/paper                      200     404       404       404   200   200     in       in
GET /services                                         403     403       403       403   200   200     in       in
POST /services                                        403     403       403       403   303   303     in       in
POST /services/{service_id}                           403     403       403       403   303   303     in       in
GET /packages                                         403     403       403       403   200   200     in       in
POST /packages/sell                                   403     403       403       403   303   303     in       in
GET /import                                           403     403       403       403   200   200     in       in
POST /import                                          403     403       403       403   303   303     in       in
GET /pay/{reference}                                  200     404       404       404   200   200     in       in
POST /pay/{reference}                                 303     404       404       404   303   303     in       in
GET /outbox                                           403     403       403       403   403   200     in       in
POST /webhooks/pretend                                400     400       400       400   400   400    400      400
POST /api/sign-in                                     422     422       422       422   422   422    422      422
GET /api/students                                     200     200       200       200   200   200    401      401
GET /api/slots                                        200     200       200       200   200   200    401      401
GET /api/appointments                                 200     200       200       200   200   200    401      401
POST /api/appointments                                201     403       403       403   201   201    401      401
POST /api/appointments/{appointment_id}/confirm       200     404       200       404   200   200    401      401
POST /api/appointments/{appointment_id}/cancel        200     404       403       404   200   200    401      401
POST /api/appointments/{appointment_id}/reschedule    403     403       403       403   200   200    401      401
GET /api/credits                                      200     200       200       200   200   200    401      401
GET /calendars                                        200     200       200       200   200   200     in       in
POST /calendars/feeds                                 200     200       200       200   200   200     in       in
POST /calendars/feeds/{feed_id}/revoke                303     404       404       404   404   404     in       in
POST /calendars/outside                               403     403       303       303   403   403     in       in
POST /calendars/outside/{calendar_id}/remove          403     403       303       404   403   403     in       in
GET /calendar/{token}.ics                             200     200       200       200   200   200    200      200
GET /sessions/{session_id}/file.ics                   200     404       200       404   200   200     in       in
GET /series                                           403     403       403       403   200   200     in       in
GET /series/{session_id}                              403     403       403       403   200   200     in       in
POST /series/{session_id}/move                        403     403       403       403   303   303     in       in
POST /series/{session_id}/cancel                      403     403       403       403   303   303     in       in
GET /groups                                           403     403       403       403   200   200     in       in
POST /groups                                          403     403       403       403   303   303     in       in
POST /groups/{group_id}/students                      403     403       403       403   303   303     in       in
POST /groups/{group_id}/students/{session_id}/out     403     403       403       403   303   303     in       in
POST /rooms/{resource_id}/blocked                     403     403       403       403   303   303     in       in
POST /rooms/{resource_id}/unblocked                   403     403       403       403   303   303     in       in
POST /groups/{group_id}/move                          403     403       403       403   303   303     in       in
POST /groups/{group_id}/cancel                        403     403       403       403   303   303     in       in
GET /family/groups                                    200     200       200       200   200   200     in       in
POST /family/groups/{group_id}                        303     403       403       403   303   303     in       in
POST /family/packages                                 303     303       403       403   303   303     in       in
GET /schedules                                        403     403       403       403   200   200     in       in
POST /schedules/{user_id}                             403     403       403       403   303   303     in       in
POST /schedules/{user_id}/drop                        403     403       403       403   303   303     in       in
POST /hours/date/drop                                 403     403       303       303   403   403     in       in
GET /series/new                                       403     403       403       403   200   200     in       in
POST /series/new                                      403     403       403       403   303   303     in       in
GET /invoices/table                                   403     403       403       403   200   200     in       in
POST /packages                                        403     403       403       403   303   303     in       in
POST /packages/{package_id}/{event}                   403     403       403       403   303   303     in       in
POST /kinds                                           403     403       403       403   303   303     in       in
GET /settings                                         403     403       403       403   403   200     in       in
POST /settings                                        403     403       403       403   403   303     in       in
"""
ROWS = {line[:50].strip(): line[50:].split() for line in ALLOWED.splitlines()[2:]}

# Whom each person may not read of; who has not signed in here may read of nobody.
HIDDEN = {
    "lucia": "Benítez Bruno Carolina Luque Hernán Emma Simón",
    "carolina": "Acosta Lucía Diego Mateo Lola Luque Hernán Emma Simón",
    "paula": "Benítez Bruno Carolina Simón",
    "martin": "Mateo Lola Acosta Lucía Diego",
    "tomas": "",
    "graciela": "",
}
FAMILIES = "Acosta Lucía Diego Mateo Lola Benítez Carolina Bruno Luque Hernán Emma Simón"
OF_THE_OTHER_CENTRE = "Carranza Olmos Toledo Funes Delfina Benjamín Isabella Thiago Girasol"
DAY = timedelta(days=1)
SERVICE = {"duration_minutes": 45, "cost": 1}
RULES = {
    "cancellation_notice_hours": 24,
    "confirmation_hours": 24,
    "booking_window_days": 365,
    "minimum_notice_minutes": 0,
    "slot_offer_minutes": 120,
    "invoice_due_days": 0,
    "families_book_groups": "true",
    "reserve_credits": "true",
}
SHEET = b"first_name,last_name,date_of_birth\nVera,Prueba,2018-05-02\n"


class World:
    """Makes what each request is about anew, so that no answer depends on who asked before."""

    def __init__(self, db):
        self.db, self._numbers = db, itertools.count()
        with db.tenant("arrayanes"):
            self.users = {user.email.partition("@")[0]: user for user in User.select()}
            # Other tests of this process may have discharged whom the demonstration admits.
            self.child = Student.get_by_id(self.child_that_is("apply", "admit"))
            organization = Organization.get()
            organization.settings = organization.settings | {"booking_window_days": 365}
            organization.save()
            paula = Professional.get(Professional.user == self.users["paula"])
            here = Organization.get()
            here.settings |= {"booking_window_days": 365}
            here.save()
            begins = datetime.now(UTC) + timedelta(days=10)
            free = scheduling.free_slots(paula, begins, begins + timedelta(days=300))
            self._starts = iter([slot.start for slot in free if slot.start.minute == 0])
            free = scheduling.free_slots(self.users["martin"].id, begins, begins + timedelta(days=300))
            self._of_martin = iter([slot.start for slot in free[::4]])
            self._nights = (begins.replace(hour=2, minute=0, second=0, microsecond=0) + n * DAY for n in range(60))
            self.zone = here.zone
        self.known = self.session()  # by which Paula knows the child

    def feed(self):
        with self.db.tenant("arrayanes"):
            return calendars.create_feed(self.users["lucia"])

    def calendar(self):
        with self.db.tenant("arrayanes"):
            url = f"https://example.org/{self.key()}.ics"
            return calendars.add_outside_calendar(self.users["paula"].id, url, name="Mine").id

    def key(self):
        return f"walk-{next(self._numbers):06}"

    def start(self):
        return next(self._starts)

    def local_start(self):
        """As a form's field has it."""
        return f"{self.start().astimezone(self.zone):%Y-%m-%dT%H:%M}"

    def start_of_martin(self):
        return next(self._of_martin)

    def day(self):
        """One of its own, far from all sessions."""
        return (date(2100, 1, 1) + timedelta(days=next(self._numbers))).isoformat()

    def time_off(self, *, is_approved=False):
        with self.db.tenant("arrayanes"):
            first = date.fromisoformat(self.day())
            asked = scheduling.request_time_off(self.users["paula"], first, first)
            if is_approved:
                asked.approve(by=self.users["tomas"])
            return asked.id

    def near(self):
        return (datetime.now(self.zone) + timedelta(days=30)).date().isoformat()

    def slot_request(self):
        with self.db.tenant("arrayanes"):
            until, people = date.fromisoformat(self.near()), {"student": self.child, "client": self.users["lucia"]}
            return scheduling.request_slot(**people, until_day=until, weekdays=["sunday"]).id

    def closed_day(self):
        with self.db.tenant("arrayanes"):
            return ClosedDay.create(day=date.fromisoformat(self.day()), name="Fair").id

    def session(self, *, past=False):
        """One that waits for its confirmation, or one that was confirmed and is over."""
        start = self.start() - timedelta(weeks=30 if past else 0)
        made = {"by": self.users["tomas"]} | ({"now": start - timedelta(days=3)} if past else {})
        people = {"student": self.child, "professional": self.users["paula"], "client": self.users["lucia"]}
        with self.db.tenant("arrayanes"):
            return scheduling.book(**people, scheduled_at=start, confirm=past, **made).id

    def series(self):
        """A session of a series of its own."""
        people = {"student": self.child, "professional": self.users["paula"], "client": self.users["lucia"]}
        with self.db.tenant("arrayanes"):
            made = scheduling.book_series(**people, scheduled_at=self.start(), count=1, by=self.users["tomas"])
            return made.booked[0].id

    def invoice(self, *, issued=False):
        """Lucía's, over a purchase of today, or of tomorrow by the time it is made."""
        today = datetime.now(self.zone).date()
        with self.db.tenant("arrayanes"):
            credits.purchase(self.users["lucia"], 1, amount_cents=100, currency="ARS")
            invoice = invoicing.draft_invoice(self.users["lucia"], today, today + DAY)
            if issued:
                invoice.issue()
            return invoice.id

    def plan(self):
        """A series of one session."""
        start = self.start().astimezone(self.zone)
        people = {"student": self.child.id, "professional": self.users["paula"].id}
        return people | {"when": f"{start:%Y-%m-%dT%H:%M}", "until": start.date().isoformat()}

    def group(self, *, of="paula"):
        with self.db.tenant("arrayanes"):
            return scheduling.create_group_session(
                professional=self.users[of],
                scheduled_at=next(self._nights),
                capacity=3,
                override_schedule=True,
                by=self.users["tomas"],
            )

    def seat(self):
        """The path of taking the child out of a group."""
        group = self.group()
        with self.db.tenant("arrayanes"):
            people = {"student": self.child, "client": self.users["lucia"]}
            return f"/groups/{group.id}/students/{scheduling.book_group(group, **people).id}/out"

    def room(self):
        with self.db.tenant("arrayanes"):
            return Resource.create(kind="room", name=f"Room {self.key()}").id

    def payment(self):
        how = {"payment_method": "pretend", "payment_reference": self.key(), "amount_cents": 1, "pending": True}
        with self.db.tenant("arrayanes"):
            return credits.purchase(self.users["lucia"], 1, by=self.users["lucia"], **how).payment_reference

    def child_that_is(self, *events):
        with self.db.tenant("arrayanes"):
            names = {"first_name": "Mateo", "last_name": "Acosta", "primary_contact": self.users["lucia"]}
            student = Student.create(**names)
            for event in events:
                getattr(student, event)(by=self.users["tomas"])
            return student.id

    def twins(self):
        with self.db.tenant("arrayanes"):
            keep, duplicate = (User.create(email=f"{self.key()}@example.org", first_name="Twin") for _ in range(2))
            return {"keep": keep.id, "duplicate": duplicate.id}

    def service(self):
        with self.db.tenant("arrayanes"):
            return Service.create(name=self.key(), active=False).id

    def package(self):
        with self.db.tenant("arrayanes"):
            return CreditPackage.create(name=self.key(), credits=1, valid_days=1, price_cents=100, currency="ARS").id

    def booking(self):
        return {"student": self.child.id, "professional": self.users["paula"].id, "start": self.start().isoformat()}


def of(path, data=None, **options):
    """A request to a path; `data` are a form's fields."""
    return lambda w: (path(w) if callable(path) else path, {"data": data(w) if callable(data) else data} | options)


# A request of each route that is allowed to somebody, one of each event; a sign-in has no password, as checking one
# takes long by design.
REQUESTS = {
    "GET /": of("/"),
    "GET /openapi.json": of("/openapi.json"),
    "GET /docs": of("/docs"),
    "GET /docs/oauth2-redirect": of("/docs/oauth2-redirect"),
    "GET /redoc": of("/redoc"),
    "GET /healthz": of("/healthz"),
    "GET /readyz": of("/readyz"),
    "GET /static": of("/static/style.css"),
    "GET /sign-in": of("/sign-in"),
    "POST /sign-in": of("/sign-in", {"email": "lucia@arrayanes.example.org"}),
    "POST /sign-out": of("/sign-out"),
    "GET /forgot": of("/forgot"),
    "POST /forgot": of("/forgot", {"email": "lucia@arrayanes.example.org"}),
    "GET /reset": of("/reset?token=1.x"),
    "POST /reset": of("/reset", {"token": "1.x", "password": "correct horse"}),
    "POST /language": of("/language", {"language": "en"}),
    "GET /family": of("/family"),
    "GET /family/book": of(lambda w: f"/family/book?student={w.child.id}"),
    "POST /family/book": of("/family/book", lambda w: w.booking() | {"key": w.key()}),
    "GET /family/credits": of("/family/credits"),
    "POST /family/credits": of("/family/credits", lambda w: {"how_many": 1, "key": w.key()}),
    "GET /week": of("/week"),
    "POST /sessions/{session_id}/{event} confirm": of(lambda w: f"/sessions/{w.session()}/confirm"),
    "POST /sessions/{session_id}/{event} cancel": of(lambda w: f"/sessions/{w.session()}/cancel"),
    "POST /sessions/{session_id}/{event} execute": of(lambda w: f"/sessions/{w.session(past=True)}/execute"),
    "POST /sessions/{session_id}/{event} mark_no_show": of(lambda w: f"/sessions/{w.session(past=True)}/mark_no_show"),
    "POST /sessions/{session_id}/{event} expire": of(lambda w: f"/sessions/{w.session()}/expire"),
    "GET /hours": of("/hours"),
    "POST /hours/time-off": of("/hours/time-off", lambda w: {"first": w.day(), "last": w.day()}),
    "POST /hours/date": of("/hours/date", lambda w: {"day": w.day(), "start": "09:00", "end": "11:00"}),
    "POST /time-off/{request_id}/{event} approve": of(lambda w: f"/time-off/{w.time_off()}/approve"),
    "POST /time-off/{request_id}/{event} withdraw": of(lambda w: f"/time-off/{w.time_off()}/withdraw"),
    "POST /time-off/{request_id}/{event} revoke": of(lambda w: f"/time-off/{w.time_off(is_approved=True)}/revoke"),
    "GET /absences": of("/absences"),
    "GET /family/waiting": of("/family/waiting"),
    "POST /family/waiting": of("/family/waiting", lambda w: {"student": w.child.id, "until": w.near()}),
    "POST /waiting/{request_id}/{answer}": of(lambda w: f"/waiting/{w.slot_request()}/leave"),
    "GET /waiting": of("/waiting"),
    "POST /waiting": of("/waiting"),
    "POST /closed-days": of("/closed-days", lambda w: {"day": w.day(), "name": "Fair"}),
    "POST /closed-days/holidays": of("/closed-days/holidays"),
    "POST /closed-days/{closed_id}/{event}": of(lambda w: f"/closed-days/{w.closed_day()}/work"),
    "GET /notices": of("/notices"),
    "POST /notices": of("/notices", {"hours": ["24", ""], "event": "moved", "channel": "sms", "start": "", "end": ""}),
    "GET /preferences": of("/preferences"),
    "POST /preferences": of("/preferences", {"channel": ["email", "sms"], "language": "en"}),
    "GET /desk": of("/desk"),
    "POST /desk/sessions": of(
        "/desk/sessions",
        lambda w: {
            "student": w.child.id,
            "professional": w.users["paula"].id,
            "when": w.start().astimezone(w.zone).strftime("%Y-%m-%dT%H:%M"),
            "room": 0,
            "key": w.key(),
        },
    ),
    "POST /desk/sessions/{session_id}/move": of(
        lambda w: f"/desk/sessions/{w.session()}/move",
        lambda w: {
            "when": w.start().astimezone(w.zone).strftime("%Y-%m-%dT%H:%M"),
            "professional": w.users["paula"].id,
            "key": w.key(),
        },
    ),
    "GET /rooms": of("/rooms"),
    "POST /rooms": of("/rooms", lambda w: {"kind": "room", "name": f"Room {w.key()}", "features": "mirror"}),
    "POST /rooms/{resource_id}": of(lambda w: f"/rooms/{w.room()}"),
    "GET /students": of("/students"),
    "POST /students/{student_id}/{event} apply": of(lambda w: f"/students/{w.child_that_is()}/apply"),
    "POST /students/{student_id}/{event} reject": of(lambda w: f"/students/{w.child_that_is('apply')}/reject"),
    "POST /students/{student_id}/{event} save": of(lambda w: f"/students/{w.child_that_is()}/save"),
    "GET /people": of("/people"),
    "GET /people/preview": of(lambda w: f"/people/preview?{urlencode(w.twins())}"),
    "POST /people/merge": of("/people/merge", lambda w: w.twins()),
    "POST /people/erase": of("/people/erase", lambda w: {"user": w.twins()["keep"]}),
    "POST /people/erase-student": of("/people/erase-student", lambda w: {"student": w.child_that_is()}),
    "GET /attendance": of("/attendance"),
    # Nothing is marked: who may mark what is in tests/scheduling/test_attendance.py.
    "POST /attendance": of("/attendance", lambda w: {"day": w.day(), "session": 1, "became": ""}),
    "GET /attendance/paper": of("/attendance/paper?day=2026-03-02"),
    "GET /invoices": of("/invoices"),
    "POST /invoices": of(
        "/invoices", lambda w: {"user": w.users["lucia"].id, "first": "2026-03-01", "last": "2026-03-31"}
    ),
    "POST /invoices/{invoice_id}/{event} issue": of(lambda w: f"/invoices/{w.invoice()}/issue"),
    "POST /invoices/{invoice_id}/{event} discard": of(lambda w: f"/invoices/{w.invoice()}/discard"),
    "POST /invoices/{invoice_id}/{event} credit": of(lambda w: f"/invoices/{w.invoice(issued=True)}/credit"),
    "GET /invoices/{invoice_id}/paper": of(lambda w: f"/invoices/{w.invoice(issued=True)}/paper"),
    "GET /services": of("/services"),
    "POST /services": of("/services", lambda w: SERVICE | {"name": w.key()}),
    "POST /services/{service_id}": of(lambda w: f"/services/{w.service()}", lambda w: SERVICE | {"name": w.key()}),
    "GET /packages": of("/packages"),
    "POST /packages/sell": of(
        "/packages/sell", lambda w: {"package": w.package(), "family": w.users["lucia"].id, "key": w.key()}
    ),
    "GET /import": of("/import"),
    "POST /import": of("/import", files={"file": ("students.csv", SHEET)}),
    "GET /pay/{reference}": of(lambda w: f"/pay/{w.payment()}"),
    "POST /pay/{reference}": of(lambda w: f"/pay/{w.payment()}", {"accept": "true"}),
    "GET /outbox": of("/outbox"),
    "POST /webhooks/pretend": of("/webhooks/pretend", content=b"{}"),
    "POST /api/sign-in": of("/api/sign-in", json={"email": "lucia@arrayanes.example.org"}),
    "GET /api/students": of("/api/students"),
    "GET /api/slots": of(lambda w: f"/api/slots?professional={w.users['paula'].id}&start=2100-01-01T00:00:00Z"),
    "GET /api/appointments": of("/api/appointments?limit=100"),
}
API = "/api/appointments/{appointment_id}"
REQUESTS |= {
    "POST /api/appointments": lambda w: (
        "/api/appointments",
        {
            "json": {
                "student_id": w.child.id,
                "professional_id": w.users["paula"].id,
                "client_id": w.users["lucia"].id,
                "scheduled_at": w.start().isoformat(),
            }
        },
    ),
    f"POST {API}/confirm": of(lambda w: f"/api/appointments/{w.session()}/confirm"),
    f"POST {API}/cancel": of(lambda w: f"/api/appointments/{w.session()}/cancel?reason=ill"),
    f"POST {API}/reschedule": lambda w: (
        f"/api/appointments/{w.session()}/reschedule",
        {"json": {"scheduled_at": w.start().isoformat()}},
    ),
    "GET /api/credits": of("/api/credits"),
    "GET /calendars": of("/calendars"),
    "POST /calendars/feeds": of("/calendars/feeds", {"details": "full"}),
    "POST /calendars/feeds/{feed_id}/revoke": of(lambda w: f"/calendars/feeds/{w.feed().feed.id}/revoke"),
    "POST /calendars/outside": of(
        "/calendars/outside", lambda w: {"name": "Mine", "url": f"https://example.org/{w.key()}.ics"}
    ),
    "POST /calendars/outside/{calendar_id}/remove": of(lambda w: f"/calendars/outside/{w.calendar()}/remove"),
    "GET /calendar/{token}.ics": of(lambda w: f"/calendar/{w.feed().token}.ics"),
    "GET /sessions/{session_id}/file.ics": of(lambda w: f"/sessions/{w.known}/file.ics"),
    "GET /series": of("/series"),
    "GET /series/{session_id}": of(lambda w: f"/series/{w.series()}?when={w.local_start()}"),
    "POST /series/{session_id}/move": of(
        lambda w: f"/series/{w.series()}/move", lambda w: {"which": "following", "when": w.local_start()}
    ),
    "POST /series/{session_id}/cancel": of(lambda w: f"/series/{w.series()}/cancel", {"which": "all"}),
    "GET /groups": of("/groups"),
    "POST /groups": of(
        "/groups",
        lambda w: {
            "professional": w.users["martin"].id,
            "when": w.start_of_martin().astimezone(w.zone).strftime("%Y-%m-%dT%H:%M"),
            "capacity": 3,
            "name": w.key(),
        },
    ),
    "POST /groups/{group_id}/students": of(
        lambda w: f"/groups/{w.group().id}/students", lambda w: {"student": w.child.id, "key": w.key()}
    ),
    "POST /groups/{group_id}/students/{session_id}/out": of(lambda w: w.seat()),
    "POST /rooms/{resource_id}/blocked": of(lambda w: f"/rooms/{w.room()}/blocked", lambda w: {"day": w.day()}),
    "POST /rooms/{resource_id}/unblocked": of(lambda w: f"/rooms/{w.room()}/unblocked", lambda w: {"day": w.day()}),
    "POST /groups/{group_id}/move": of(
        lambda w: f"/groups/{w.group(of='martin').id}/move",
        lambda w: {"when": f"{w.start_of_martin().astimezone(w.zone):%Y-%m-%dT%H:%M}"},
    ),
    "POST /groups/{group_id}/cancel": of(lambda w: f"/groups/{w.group().id}/cancel"),
    "GET /family/groups": of("/family/groups"),
    "POST /family/groups/{group_id}": of(
        lambda w: f"/family/groups/{w.group().id}", lambda w: {"student": w.child.id, "key": w.key()}
    ),
    "POST /family/packages": of("/family/packages", lambda w: {"package": w.package(), "key": w.key()}),
    "GET /schedules": of("/schedules"),
    "POST /schedules/{user_id}": of(
        lambda w: f"/schedules/{w.users['paula'].id}", lambda w: {"start": "2190-01-01", "monday": "9:00-12:00"}
    ),
    "POST /schedules/{user_id}/drop": of(lambda w: f"/schedules/{w.users['paula'].id}/drop", {"start": "2190-01-01"}),
    "POST /hours/date/drop": of("/hours/date/drop", lambda w: {"day": w.day()}),
    "GET /series/new": of("/series/new"),
    "POST /series/new": of(
        "/series/new",
        lambda w: w.plan() | {"key": w.key()},
    ),
    "GET /invoices/table": of("/invoices/table?first=2026-01-01&last=2026-12-31"),
    "POST /packages": of("/packages", lambda w: {"name": w.key(), "how_many": 2, "price": "10,50"}),
    "POST /packages/{package_id}/{event}": of(lambda w: f"/packages/{w.package()}/close"),
    "POST /kinds": of("/kinds", lambda w: {"name": w.key()}),
    "GET /settings": of("/settings"),
    "POST /settings": of("/settings", RULES),
}


@pytest.fixture(scope="module")
def world(application):
    return World(application.db)


@pytest.fixture(scope="module")
def ask(application, world, token_of):
    """`ask(who, route)` sends the route's request as somebody; by their cookie to pages, by their token to the API."""
    headers = {"host": f"arrayanes.localhost:{application.port}", "accept-language": "es"}
    with httpx.Client(base_url=f"http://127.0.0.1:{application.port}", headers=headers, timeout=60) as client:

        def ask(who, route):
            path, options = REQUESTS[route](world)
            client.cookies.clear()
            if who is not None:
                token = token_of(who, "girasol" if who == "adriana" else "arrayanes")
                given = f"Bearer {token}" if path.startswith("/api") else f"centre={token}"
                client.headers["authorization" if path.startswith("/api") else "cookie"] = given
            try:
                return client.request(route.partition(" ")[0], path, **options)
            finally:
                for name in ("authorization", "cookie"):
                    client.headers.pop(name, None)

        yield ask


@pytest.mark.parametrize("route", ROWS)
def test_everybody_gets_what_the_table_says_and_reads_of_no_other_family(route, ask):
    answers = {who: ask(person, route) for who, person in ASKING.items()}
    assert {who: _shown(answer) for who, answer in answers.items()} == dict(zip(ASKING, ROWS[route], strict=True))
    told = {who: _told(answers[who], HIDDEN.get(person, FAMILIES)) for who, person in ASKING.items()}
    assert not any(told.values()), told


def _shown(answer):
    return "in" if answer.headers.get("location") == "/sign-in" else str(answer.status_code)


def _told(answer, hidden):
    """The names in an answer, headers and all, that are hidden from who asked."""
    said = f"{answer.text} {unquote(str(answer.headers.raw))}"
    return [name for name in f"{hidden} {OF_THE_OTHER_CENTRE}".split() if name in said]


def test_every_route_is_in_the_table(application):
    routes = {
        f"{method} {route.path}"
        for route in iter_route_contexts(application.app.routes)
        for method in (getattr(route, "methods", None) or {"GET"}) - {"HEAD"}
    }
    assert {" ".join(row.split()[:2]) for row in ROWS} == routes
    assert list(REQUESTS) == list(ROWS)
