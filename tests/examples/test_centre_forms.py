"""What the example's forms write: two at once both count, amounts keep their cents, and time brings what it brings."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import httpx
import pytest

from rayces_core import (
    Appointment,
    CreditPackage,
    Organization,
    Professional,
    Resource,
    Service,
    SlotRequest,
    Student,
    User,
    clock,
    credits,
    people,
    scheduling,
)

pytestmark = pytest.mark.exhaustive
AT_ONCE = 6
CENTRE = "girasol"


@pytest.fixture
def send(application, token_of):
    """`send(who, path, data)` sends a form, or asks for the page, as somebody of the second centre."""
    base = {"base_url": f"http://127.0.0.1:{application.port}", "timeout": 60}

    def send(who, path, data=None):
        headers = {"host": f"{CENTRE}.localhost:{application.port}", "cookie": f"centre={token_of(who, CENTRE)}"}
        with httpx.Client(**base, headers=headers) as client:
            return client.get(path) if data is None else client.post(path, data=data)

    return send


def at_once(send, forms):
    """Send forms at the same moment; all of them are taken."""
    barrier = Barrier(len(forms))

    def one(form):
        barrier.wait()
        return send(*form)

    with ThreadPoolExecutor(len(forms)) as threads:
        answers = list(threads.map(one, forms))
    assert [answer.status_code for answer in answers] == [303] * len(forms)


def test_other_hours_on_several_dates_that_are_given_at_once_are_all_kept(application, send):
    days = [f"2032-01-0{number}" for number in range(1, AT_ONCE + 1)]
    for _ in range(3):
        at_once(send, [("sofia", "/hours/date", {"day": day, "start": "09:00", "end": "10:00"}) for day in days])
        with application.db.tenant(CENTRE):
            sofia = Professional.get(Professional.user == User.get(User.first_name == "Sofía"))
            assert [each["date"] for each in sofia.date_overrides if each["date"] >= days[0]] == days
        at_once(send, [("sofia", "/hours/date/drop", {"day": day}) for day in days])


def test_weekly_hours_that_are_given_at_once_are_all_kept_and_follow_one_another(application, send):
    with application.db.tenant(CENTRE):
        user = User.get(User.first_name == "Ramiro").id
    months = [f"2033-0{number}-01" for number in range(1, AT_ONCE + 1)]
    at_once(send, [("nicolas", f"/schedules/{user}", {"start": day, "monday": "9:00-12:00"}) for day in months])
    with application.db.tenant(CENTRE):
        known = Professional.get(Professional.user == user).dated_schedules
    dated = [each for each in known if each["start"] >= months[0]]
    assert [each["start"] for each in dated] == months
    ends = ["2033-01-31", "2033-02-28", "2033-03-31", "2033-04-30", "2033-05-31", None]
    assert [each.get("end") for each in dated] == ends


def test_blocks_of_a_room_that_are_made_at_once_are_all_kept(application, send):
    with application.db.tenant(CENTRE):
        room = Resource.create(kind="room", name="Terrace").id
    days = [f"2032-01-0{number}" for number in range(1, AT_ONCE + 1)]
    at_once(send, [("nicolas", f"/rooms/{room}/blocked", {"day": day}) for day in days])
    with application.db.tenant(CENTRE):
        assert [each["start"] for each in Resource.get_by_id(room).blocked_dates] == days
    at_once(send, [("nicolas", f"/rooms/{room}/unblocked", {"day": day}) for day in days])
    with application.db.tenant(CENTRE):
        assert Resource.get_by_id(room).blocked_dates == []


def test_rules_and_notices_that_are_changed_at_once_are_both_kept(application, send):
    rules = {
        "cancellation_notice_hours": 36,
        "confirmation_hours": 24,
        "booking_window_days": 300,
        "minimum_notice_minutes": 0,
        "slot_offer_minutes": 120,
        "invoice_due_days": 10,
        "families_book_groups": "true",
        "reserve_credits": "true",
        "tax": "10,5",
    }
    for hours in ("5", "7", "9"):
        told = {"hours": [hours], "channel": "email"}
        at_once(send, [("adriana", "/settings", rules), ("adriana", "/notices", told)] * 2)
        with application.db.tenant(CENTRE):
            policy = Organization.get().policy
        assert [each.minutes_before for each in policy.notices.rules_for("reminder")] == [int(hours) * 60]
        assert (policy.cancellation_notice_hours, policy.tax_basis_points) == (36, 1050)


def test_a_service_that_is_saved_as_it_is_shown_stays_as_it_was(application, send):
    before = {
        "price_cents": 123_450,
        "buffer_before_minutes": 5,
        "buffer_after_minutes": 10,
        "colour": "#1f6feb",
        "room_features": ["mirror"],
        "tax_basis_points": 1050,
    }
    with application.db.tenant(CENTRE):
        service = Service.create(name="With cents", currency="ARS", **before)
    shown = send("nicolas", "/services").text
    (form,) = re.findall(rf'<form[^>]*action="/services/{service.id}".*?</form>', shown, re.S)
    fields = dict(re.findall(r'<input name="(\w+)"(?![^>]*checkbox)[^>]*value="([^"]*)"', form))
    ticked = dict(re.findall(r'<input name="(\w+)" type="checkbox" value="(\w+)" checked', form))
    assert {"price", "tax", "before", "after", "colour", "features"} <= fields.keys()
    assert send("nicolas", f"/services/{service.id}", fields | ticked).status_code == 303
    with application.db.tenant(CENTRE):
        after = Service.get_by_id(service.id)
    assert {name: getattr(after, name) for name in before} == before
    assert (after.active, after.families_may_book) == (True, True)


@pytest.mark.parametrize("price", ["12.345", "1,2,3", "-5", "9e3"])
def test_a_price_that_cannot_be_read_is_refused_and_not_left_out(application, send, price):
    with application.db.tenant(CENTRE):
        service = Service.create(name=f"Priced {price}", price_cents=100, currency="ARS")
    form = {"name": service.name, "duration_minutes": 45, "cost": 1, "price": price}
    assert send("nicolas", f"/services/{service.id}", form).status_code == 422
    with application.db.tenant(CENTRE):
        assert Service.get_by_id(service.id).price_cents == 100


def test_a_sweep_ends_holds_and_credits_that_are_over_and_offers_what_is_free(application):
    from centre.sweeps import sweep

    now = datetime.now(UTC)
    with application.db.tenant(CENTRE):
        child = Student.get(Student.first_name == "Delfina")
        julia, ramiro = (User.get(User.first_name == name) for name in ("Julia", "Ramiro"))
        slot = scheduling.free_slots(ramiro.id, now + timedelta(days=40), now + timedelta(days=60))[0]
        people = {"student": child, "professional": ramiro.id, "client": julia}
        held = scheduling.book(**people, scheduled_at=slot.start, override_window=True, now=now - timedelta(days=9))
        package = CreditPackage.create(name="Brief", credits=3, valid_days=0)
        with clock.frozen(now - timedelta(days=2)):
            credits.purchase_package(julia, package)
        asked = scheduling.request_slot(student=child, client=julia, until_day=(now + timedelta(days=30)).date())
    sweep()
    with application.db.tenant(CENTRE):
        assert Appointment.get_by_id(held.id).state == "cancelled"
        assert credits.overdue_lots() == []
        assert SlotRequest.get_by_id(asked.id).state == "offered"


def test_who_was_forgotten_is_on_no_page_to_be_chosen(application, send):
    with application.db.tenant(CENTRE):
        contact = User.get(User.first_name == "Julia")
        child = Student.create(first_name="Gone", last_name="Soon", primary_contact=contact)
        child.apply(by=User.get(User.first_name == "Nicolás"))
        people.erase_student(application.db, child, by=User.get(User.first_name == "Adriana"))
    pages = ("desk", "groups", "series/new", "students", "people", "family", "family/groups", "family/waiting")
    told = {page: send("nicolas", f"/{page}") for page in pages}
    assert {answer.status_code for answer in told.values()} == {200}
    assert [page for page, answer in told.items() if f"Erased student {child.id}" in answer.text] == []
