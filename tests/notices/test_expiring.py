"""Credits that are about to expire are told of: once for each purchase and stage, and not where nothing is left."""

import multiprocessing
from collections import Counter
from datetime import timedelta

import pytest
from pydantic import ValidationError

from rayces_core import (
    CheckFailedError,
    CreditLot,
    DuplicateError,
    Notice,
    Role,
    credits,
    notices,
    people,
)
from rayces_core.fields.notices import NoticeSettings
from tests.factory import make_kind, make_package, make_user
from tests.notices.senders import Kept, rules
from tests.notices.workers import once, work
from tests.patience import SECONDS, wait_until
from tests.scheduling.worlds import open_centre

A_DAY = timedelta(days=1)
WEEK, THREE = 7 * 24 * 60, 3 * 24 * 60
CONTEXT = multiprocessing.get_context("forkserver")


def stages(*minutes, **more):
    wanted = ({"event": "credits_expiring", "minutes_before": each, "channels": ["email"]} for each in minutes)
    asked = rules(*wanted)
    asked["notices"] |= more
    return asked


@pytest.fixture
def centre(own_db):
    with open_centre(own_db, settings=stages(WEEK, THREE)) as opened:
        yield opened


@pytest.fixture
def ana(centre):
    return make_user(first_name="Ana", phone="+54 11 5555 0101")


@pytest.fixture
def sent(own_db):
    """What is sent at a moment, as (purchase, stage)."""
    kept = Kept()

    def send(now, channel="email"):
        kept.clear()
        with own_db.privileged(reason="a worker's place"):
            notices.deliver(own_db, {channel: kept}, now=now)
        return [(each.notice.purchase_id, each.notice.minutes_before) for each in kept.outgoing]

    send.kept = kept
    return send


def buy(user, number=8, days=30, **package):
    """The purchase, and when its credits expire."""
    bought = credits.purchase_package(user, make_package(credits=number, valid_days=days, **package))
    return bought, CreditLot.get(CreditLot.credit_transaction == bought.id).expires_at


def reasons():
    return {each.minutes_before: (str(each.state), each.reason) for each in Notice.select()}


# -- when -------------------------------------------------------------------------------------------------------------


def test_each_stage_is_told_once_when_its_time_comes(ana, sent):
    bought, expires_at = buy(ana)

    assert sent(expires_at - 7 * A_DAY - timedelta(seconds=1)) == []
    assert sent(expires_at - 7 * A_DAY) == [(bought.id, WEEK)]
    assert sent(expires_at - 4 * A_DAY) == []
    assert sent(expires_at - 3 * A_DAY) == [(bought.id, THREE)]
    assert sent(expires_at - A_DAY) == sent(expires_at + A_DAY) == []
    notice = Notice.get(Notice.minutes_before == WEEK)
    assert (notice.event, notice.appointment_id, notice.recipient_id) == ("credits_expiring", None, ana.id)
    assert (notice.occurs_at, notice.purchase) == (expires_at, bought)


def test_of_two_stages_that_are_due_the_nearer_is_told(ana, sent):
    bought, expires_at = buy(ana)
    assert sent(expires_at - 2 * A_DAY) == [(bought.id, THREE)]
    assert reasons()[WEEK] == ("skipped", "superseded")


def test_a_stage_that_had_passed_when_they_were_bought_is_not_told(ana, sent):
    bought, expires_at = buy(ana, days=4)
    assert sent(expires_at - 4 * A_DAY + timedelta(hours=3)) == []
    assert sent(expires_at - 3 * A_DAY) == [(bought.id, THREE)]


def test_what_was_bought_late_and_expires_is_too_late(ana, sent):
    _, expires_at = buy(ana)
    notices.make_expiries(expires_at - 4 * A_DAY)
    assert sent(expires_at) == []
    assert {reason for _, reason in reasons().values()} == {"too_late"}


def test_quiet_hours_put_it_off(own_db, centre, ana, sent):
    centre.settings(**stages(WEEK, quiet_hours={"start": "22:00", "end": "08:00"}))
    bought, expires_at = buy(ana)  # at midnight, as every lot
    assert sent(expires_at - 7 * A_DAY + timedelta(hours=7)) == []
    assert sent(expires_at - 7 * A_DAY + timedelta(hours=8)) == [(bought.id, WEEK)]


# -- what and to whom -------------------------------------------------------------------------------------------------


def test_it_is_told_in_the_persons_own_words_how_much_is_left(centre, ana, sent):
    ana.language = "en"
    ana.save()
    other = make_user(first_name="Eva", language="es")
    kind = make_kind(name="Speech")
    _, expires_at = buy(ana, 1, credit_kind=kind)
    bought, _ = buy(other, 5)
    credits.debit(other, 2, reason="by hand")
    sent(expires_at - 7 * A_DAY)
    mine, theirs = sorted(sent.kept.outgoing, key=lambda each: each.recipient.id)
    assert "1 credit (Speech) until" in mine.subject
    assert "Hello Ana, you have 1 credit (Speech) that can be used until" in mine.text
    assert "Hola Eva: tenés 3 créditos para usar hasta el" in theirs.text
    assert theirs.key == f"notice-{centre.organization.id}-{theirs.notice.id}"
    assert theirs.notice.purchase_id == bought.id


def test_an_organizations_own_words(centre, ana, sent):
    words = {
        "wording": "credits_expiring",
        "language": "en",
        "subject": "{credits}",
        "text": "{name}: {credits}, {phone}",
    }
    centre.settings(**stages(WEEK, language="en", texts=[words]))
    _, expires_at = buy(ana)
    sent(expires_at - 7 * A_DAY)
    assert [each.subject for each in sent.kept.outgoing] == ["8 credits"]


@pytest.mark.parametrize(
    "given",
    [
        {"rules": [{"event": "credits_expiring", "channels": ["email"]}]},
        {"rules": [{"event": "booked", "minutes_before": 5, "channels": ["email"]}]},
        {"rules": [{"event": "credits_expiring", "minutes_before": 5, "channels": ["sms"], "to": ["professional"]}]},
        {"texts": [{"wording": "credits_expiring", "language": "en", "subject": "x", "text": "{student}"}]},
        {"texts": [{"wording": "booked", "language": "en", "subject": "x", "text": "{credits}"}]},
    ],
)
def test_what_makes_no_sense_is_refused(given):
    with pytest.raises(ValidationError):
        NoticeSettings.model_validate(given)


@pytest.mark.parametrize("late", [False, True], ids=["before it is made", "before it is sent"])
def test_a_channel_that_is_muted_is_left_alone(centre, ana, sent, late):
    _, expires_at = buy(ana)
    if late:
        assert notices.make_expiries(expires_at - 7 * A_DAY) == 1
    ana.muted_channels = ["email"]
    ana.save()
    assert sent(expires_at - 7 * A_DAY) == []
    assert set(reasons().values()) == ({("skipped", "muted")} if late else set())


def test_who_reads_the_log(ana, sent):
    _, expires_at = buy(ana)
    sent(expires_at - 7 * A_DAY)
    assert Notice.visible_to(ana).count() == Notice.visible_to(make_user(role=Role.STAFF)).count() == 1
    assert Notice.visible_to(make_user()).count() == 0


# -- what is not told -------------------------------------------------------------------------------------------------


def spend(bought, user):
    credits.debit(user, bought.amount, reason="by hand")


def take_back(bought, user):
    credits.take_back(bought, reason="the payment went back")


@pytest.mark.parametrize("gone", [spend, take_back])
@pytest.mark.parametrize("late", [False, True], ids=["before it is made", "before it is sent"])
def test_what_is_not_there_any_more_is_not_told(centre, ana, sent, gone, late):
    bought, expires_at = buy(ana)
    if late:
        assert notices.make_expiries(expires_at - 7 * A_DAY) == 1
    gone(bought, ana)
    assert sent(expires_at - 7 * A_DAY) == []
    assert set(reasons().values()) == ({("skipped", "moot")} if late else set())


def test_what_holds_for_ever_and_what_no_rule_wants_is_not_told(centre, ana, sent):
    credits.purchase(ana, 5)
    _, expires_at = buy(ana)
    assert notices.make_expiries(expires_at - 7 * A_DAY) == 1
    centre.settings(**stages(THREE))
    assert sent(expires_at - 7 * A_DAY) == []
    assert reasons() == {WEEK: ("skipped", "unwanted")}


# -- people -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before it is made", "before it is sent", "after it was sent"])
def test_a_duplicates_credits_are_told_once_to_the_one_that_stays(centre, ana, sent, when):
    twin = make_user(first_name="Ana", email="twin@example.org")
    bought, expires_at = buy(twin)
    moment, before = expires_at - 7 * A_DAY, []
    if when == "before it is sent":
        assert notices.make_expiries(moment) == 1
    if when == "after it was sent":
        before = sent(moment)
    people.merge_users(ana, twin, by=centre.staff)
    after = sent(moment)
    assert before + after == [(bought.id, WEEK)]
    if after:
        assert sent.kept.outgoing[0].address == ana.email
        assert "8 créditos" in sent.kept.outgoing[0].text or "8 credits" in sent.kept.outgoing[0].text
    assert sent(moment) == []
    assert [each.recipient_id for each in Notice.select()] == [ana.id]


def test_who_is_forgotten_is_told_nothing_and_leaves_no_notice(own_db, ana, sent):
    _, expires_at = buy(ana)
    assert notices.make_expiries(expires_at - 7 * A_DAY) == 1
    credits.debit(ana, 8, reason="by hand")
    people.erase_user(own_db, ana, by=make_user(role=Role.ADMIN))
    assert sent(expires_at - 7 * A_DAY) == []
    assert Notice.select().count() == 0


# -- the database's own rules, replays, races and kills ---------------------------------------------------------------


def test_it_is_the_database_that_has_it_told_once(own_db, ana):
    _, expires_at = buy(ana)
    notices.make_expiries(expires_at - 7 * A_DAY)
    assert notices.make_expiries(expires_at - 7 * A_DAY) == 0
    copy = {**Notice.get().__data__, "id": None}
    with pytest.raises(DuplicateError) as twice:
        Notice.insert({key: value for key, value in copy.items() if value is not None}).execute()
    assert twice.value.constraint == "notices_of_credits_once_key"
    for wrong in ("event = 'booked', minutes_before = 0", "purchase_id = NULL"):
        with own_db.privileged(reason="test"), pytest.raises(CheckFailedError):
            own_db.execute_sql(f"UPDATE notices SET {wrong}")


def bought_by(centre, count):
    made = [buy(make_user(), 3) for _ in range(count)]
    return [bought.id for bought, _ in made], max(expires_at for _, expires_at in made)


@pytest.mark.slow
def test_workers_at_once_tell_each_exactly_once(own_db, centre):
    purchases, expires_at = bought_by(centre, 20)
    gate, lines, processes = CONTEXT.Barrier(3), [], []
    for _ in range(3):
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=once, args=(own_db.url, expires_at - 6 * A_DAY, gate, theirs))
        process.start()
        lines.append(ours)
        processes.append(process)
    told = []
    for line in lines:
        assert line.poll(SECONDS), "a worker does not answer"
        told += line.recv()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert Counter(told) == Counter(purchases)


@pytest.mark.slow
def test_killed_workers_lose_nothing_and_repeat_under_the_same_key(own_db, centre, tmp_path):
    purchases, expires_at = bought_by(centre, 40)
    log, moment = tmp_path / "sent", expires_at - 6 * A_DAY

    def start(seed):
        process = CONTEXT.Process(target=work, args=(own_db.url, str(log), seed, moment))
        process.start()
        return process

    def lines():
        return log.read_text().splitlines() if log.exists() else []

    for kill in range(3):
        worker, before = start(kill), len(lines())
        wait_until(lambda: len(lines()) > before)  # noqa: B023
        worker.kill()
        worker.join()
    worker = start(9)
    wait_until(lambda: notices.standing(own_db, now=moment).sent == len(purchases))
    worker.terminate()
    worker.join(60)
    told = [line.split() for line in lines()]
    assert {int(purchase) for _, purchase in told} == set(purchases)
    assert len({key for key, _ in told}) == len(purchases)
