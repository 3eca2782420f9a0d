"""Two real processes: links that are used at once, attempts that are counted at once."""

from datetime import timedelta

from rayces_core import clock, sign_in
from rayces_core.models import SingleUseToken
from tests.scheduling.racing import crew
from tests.sign_in.racing import attempt, reset


def test_of_two_open_links_that_two_processes_use_at_once_one_works_and_none_deadlocks(db, user):
    with crew(db, 2) as racers:
        for _ in range(4):
            with clock.frozen(clock.now() - timedelta(minutes=5)):
                sign_in.request_reset(user.email)
            sign_in.request_reset(user.email)
            opened = SingleUseToken.select().where(SingleUseToken.used_at.is_null()).order_by(SingleUseToken.id)
            links = [sign_in.mint(request.id) for request in opened]
            assert len(links) == 2
            kinds = [each.value for each in racers.race([(reset, {"token": t, "password": t[:40]}) for t in links])]
            assert sorted(kinds) == ["InvalidLinkError", "done"]


def test_attempts_that_two_processes_make_at_once_are_all_counted(db, user):
    with crew(db, 2) as racers:
        for round_ in range(4):
            wanted = {"times": 5, "email": user.email, "password": "wrong", "address": f"203.0.113.{round_}"}
            outcomes = racers.race([(attempt, wanted | {"now": clock.now()})] * 2)
            kinds = [kind for each in outcomes for kind in each.value]
            assert sorted(kinds) == ["TooManyAttemptsError"] * 5 + ["WrongCredentialsError"] * 5
