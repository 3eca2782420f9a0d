"""The line against an oracle of each start: nobody who waits longer and fits is passed over.

What is held is told by the rows themselves. What fits whom the oracle works out by minutes of the day.
"""

from datetime import timedelta

from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from rayces_core import Appointment, SlotRequest, SlotTakenError
from rayces_core.scheduling import (
    accept_offer,
    decline_offer,
    offer_slots,
    request_slot,
    withdraw_slot_request,
)
from tests.scheduling.oracle import hours, schedule_json
from tests.scheduling.worlds import DAY, HOUR, MINUTE, NOW, another_family, make_working, open_centre
from tests.sizes import examples

OPENS, CLOSES, LENGTH, STEP = 9 * 60, 12 * 60, 60, 5
DAYS = ("monday", "tuesday")
STARTS = [(day, minute) for day in range(len(DAYS)) for minute in range(OPENS, CLOSES - LENGTH + 1, STEP)]
half_hours = st.integers(OPENS // 30, CLOSES // 30)

asked = st.tuples(
    st.just("ask"),
    st.integers(0, 4),
    st.none() | st.integers(0, 1),
    st.sets(st.sampled_from(DAYS), min_size=1),
    st.tuples(half_hours, half_hours).filter(lambda pair: pair[0] < pair[1]),
)
steps = st.lists(
    asked
    | asked
    | st.tuples(st.just("offer"))
    | st.tuples(st.just("book"), st.integers(0, 1), st.sampled_from(STARTS))
    | st.tuples(st.just("free"), st.integers(0, 5))
    | st.tuples(st.sampled_from(["accept", "decline", "withdraw"]), st.integers(0, 5))
    | st.tuples(st.just("pass"), st.integers(1, 3)),
    min_size=12,
    max_size=25,
)


# Not made smaller when it fails: that takes minutes, as each example is dozens of bookings.
@examples(
    10,
    120,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(steps=steps)
def test_whoever_waits_longer_and_fits_is_never_passed_over(db, steps):
    with open_centre(db) as centre:
        world = World(centre)
        for name, *arguments in [*steps, ("offer",)]:
            getattr(world, name)(*arguments)


class World:
    """A centre with two professionals and five families, and the present."""

    def __init__(self, centre):
        schedule = schedule_json(hours((OPENS // 60, CLOSES // 60)))
        self.centre, self.now = centre, NOW
        self.professionals = [make_working(weekly_schedule=schedule) for _ in range(2)]
        self.families = [another_family() for _ in range(5)]
        centre.professional.active = False
        centre.professional.save()

    def ask(self, family, professional, days, window):
        self.now += MINUTE
        opens, closes = (f"{at // 2:02}:{at % 2 * 30:02}" for at in window)
        request_slot(
            **self.families[family],
            professional=None if professional is None else self.professionals[professional],
            weekdays=days,
            from_time=opens,
            until_time=closes,
            from_day=DAY.date(),
            until_day=DAY.date() + timedelta(days=1),
            now=self.now,
        )

    def book(self, professional, start):
        try:
            self.centre.book_for_another(
                moment(*start), professional=self.professionals[professional], confirm=True, now=self.now
            )
        except SlotTakenError:
            assert not self._is_free(self.professionals[professional].user_id, moment(*start), self._held())

    def free(self, number):
        sessions = Appointment.in_state("confirmed").order_by(Appointment.id)
        for session in sessions.offset(number).limit(1):
            session.cancel(reason="ill", now=self.now)

    def accept(self, number):
        self._answer(accept_offer, "offered", number)

    def decline(self, number):
        self._answer(decline_offer, "offered", number)

    def withdraw(self, number):
        self._answer(withdraw_slot_request, "waiting", number)

    def _answer(self, deed, state, number):
        requests = SlotRequest.select().where(SlotRequest.state == state).order_by(SlotRequest.id)
        for request in requests.offset(number).limit(1):
            if state == "waiting" or self._offer_of(request).expires_at >= self.now:
                deed(request, now=self.now)

    def _offer_of(self, request):
        return Appointment.get((Appointment.slot_request == request) & (Appointment.state == "pre_confirmed"))

    def pass_(self, hours):
        self.now += hours * HOUR

    def offer(self):
        overdue = (Appointment.state == "pre_confirmed") & (Appointment.expires_at < self.now)
        missed = {row.slot_request_id for row in Appointment.select().where(overdue)}
        held, earlier = self._held(), self._earlier()
        offers = offer_slots(self.now)
        line = self._line_before(offers, missed)
        for offer in offers:
            before = line[: line.index(offer.slot_request_id)]
            start = (offer.professional_id, offer.scheduled_at)
            assert self._fits(offer.slot_request_id, *start, held, earlier)
            assert not [request for request in before if self._fits(request, *start, held, earlier)]
            line.remove(offer.slot_request_id)
            held.append(offer)
        for request in line:
            for one in self.professionals:
                for start in STARTS:
                    assert not self._fits(request, one.user_id, moment(*start), held, earlier), (request, start)

    def _line_before(self, offers, missed):
        """Those who waited as it began, in their turn: who has missed an offer is behind the others."""
        made = {offer.slot_request_id for offer in offers}
        waited = [row for row in SlotRequest.select() if row.id in made or row.state == "waiting"]
        assert all(row.place_at == self.now for row in waited if row.id in missed)
        return [row.id for row in sorted(waited, key=lambda row: (row.place_at, row.id))]

    def _held(self):
        rows = Appointment.in_state("confirmed", "pre_confirmed")
        return [row for row in rows if row.state == "confirmed" or row.expires_at >= self.now]

    def _earlier(self):
        return list(Appointment.select().where(Appointment.slot_request.is_null(False)))

    def _is_free(self, professional, start, held):
        return not any(row.professional_id == professional and meets(row, start) for row in held)

    def _fits(self, request_id, professional, start, held, earlier):
        request = SlotRequest.get_by_id(request_id)
        begins = start.hour * 60 + start.minute
        opens, closes = (int(text[:2]) * 60 + int(text[3:]) for text in (request.from_time, request.until_time))
        refused = [row for row in earlier if row.slot_request_id == request_id and row.professional_id == professional]
        return (
            request.professional_id in (None, professional)
            and DAYS[(start - DAY).days] in request.weekdays
            and opens <= begins
            and begins + LENGTH <= closes
            and self._is_free(professional, start, held)
            and not any(row.student_id == request.student_id and meets(row, start) for row in held)
            and not any(meets(row, start) for row in refused)
        )


setattr(World, "pass", World.pass_)


def moment(day, minute):
    return DAY + timedelta(days=day, minutes=minute)


def meets(row, start):
    return row.scheduled_at < start + LENGTH * MINUTE and start < row.ends_at
