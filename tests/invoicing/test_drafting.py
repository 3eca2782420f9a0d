"""Drafts, issuing and credit notes: each source is asked for once, numbers have no gaps, what is issued stays."""

from datetime import UTC, date, datetime
from functools import partial

import pytest

from rayces_core import (
    CreditBalance,
    CrossTenantError,
    InvalidDataError,
    InvalidTransitionError,
    Invoice,
    InvoiceCounter,
    InvoiceLine,
    NotPermittedError,
    OutboxMessage,
    StateTransition,
    TenantNotSetError,
    TransitionRefusedError,
    clock,
    credits,
    invoicing,
    people,
)
from tests.factory import make_kind, make_organization, make_package, make_service, make_student, make_user
from tests.invoicing.world import FIRST, LAST, NOON, NOW, lines_of, numbers, purchase, session


def issued(user, since=FIRST, until=LAST, **options):
    draft = invoicing.draft_invoice(user, since, until, **options)
    draft.issue()
    return draft


def test_an_invoice_has_the_sessions_and_purchases_of_its_days(ana):
    held, bought = session(ana, at=NOON), purchase(ana, at=NOON)
    session(ana, at=datetime(2031, 4, 1, 3, tzinfo=UTC))  # the next local day
    session(make_user())
    session(ana, state="no_show", executed_at=None, no_show_at=NOON)
    session(ana, price_cents=0)
    session(ana, currency="USD")

    invoice = issued(ana)

    assert lines_of(invoice) == [(held.id, 150_000, 26_033), (-bought.id, 1_200_000, 208_265)]
    assert (invoice.net_cents, invoice.tax_cents, invoice.total_cents) == (1_115_702, 234_298, 1_350_000)
    assert (invoice.number, invoice.line_count, invoice.state) == (1, 2, "issued")
    assert (invoice.issued_on, invoice.due_on) == (date(2031, 4, 2), date(2031, 4, 12))


def test_the_days_are_those_of_the_centres_wall_clock(ana):
    first = session(ana, at=datetime(2031, 3, 1, 3, tzinfo=UTC))
    last = session(ana, at=datetime(2031, 4, 1, 2, 59, tzinfo=UTC))
    session(ana, at=datetime(2031, 3, 1, 2, 59, tzinfo=UTC))

    assert [line.appointment_id for line in invoicing.due_lines(ana, FIRST, LAST)] == [first.id, last.id]


def test_the_first_hour_of_a_day_is_that_days_where_clocks_go_back_to_midnight(db):
    with db.tenant(make_organization(db, time_zone="America/Havana", currency="ARS")):
        ana, hour = make_user(), datetime(2031, 11, 2, 4, tzinfo=UTC)
        held, bought = session(ana, at=hour), purchase(ana, at=hour)
        before, day = date(2031, 11, 1), date(2031, 11, 2)
        assert (invoicing.payers_due(before, before), invoicing.payers_due(day, day)) == ([], [ana])
        assert (invoicing.due_lines(ana, before, before), len(invoicing.due_lines(ana, day, day))) == ([], 2)
        assert [source for source, *_ in lines_of(issued(ana, day, day))] == [held.id, -bought.id]


def test_a_session_on_credit_was_paid_with_its_purchase(ana):
    session(ana, uses_credit=True)
    assert invoicing.due_lines(ana, FIRST, LAST) == []


def test_what_was_taken_back_as_its_payment_was_is_not_asked_for(ana, desk):
    bought = credits.purchase(ana, 10, amount_cents=1_200_000, currency="ARS")
    days = NOW.date(), NOW.date()
    credits.take_back(bought, credits=9, reason="refunded in part")
    (line,) = invoicing.due_lines(ana, *days)
    assert (line.credit_transaction_id, line.quantity, line.unit_cents) == (bought.id, 1, 120_000)

    invoice = invoicing.draft_invoice(ana, *days)
    invoice.issue(by=desk)
    assert (invoice.total_cents, invoicing.verify_invoices()) == (120_000, [])
    credits.take_back(bought, reason="the rest as well")
    (found,) = invoicing.verify_invoices()
    assert (found.kind, found.invoice_id, found.expected, found.found) == ("taken_back", invoice.id, "0", "120000")
    invoicing.credit_note(invoice, reason="paid back", by=desk)
    assert invoicing.verify_invoices() == []
    assert invoicing.due_lines(ana, *days) == [] == invoicing.payers_due(*days)


def test_of_what_was_invoiced_and_then_taken_back_in_part_the_rest_is_invoiced_anew(ana, desk):
    bought = credits.purchase_package(ana, make_package(credits=3, price_cents=1_000, currency="ARS"))
    days = NOW.date(), NOW.date()
    invoice = issued(ana, *days)
    credits.take_back(bought, credits=2, reason="refunded in part")
    (found,) = invoicing.verify_invoices()
    assert (found.kind, found.expected, found.found) == ("taken_back", "333", "1000")

    invoicing.credit_note(invoice, reason="paid back in part", by=desk)
    assert [(line.quantity, line.total_cents) for line in invoicing.due_lines(ana, *days)] == [(1, 333)]
    assert (issued(ana, *days).total_cents, invoicing.verify_invoices()) == (333, [])


def test_what_is_left_of_a_purchase_is_asked_for_where_it_is_a_cent_at_least(ana):
    bought = credits.purchase(ana, 3, amount_cents=1, currency="ARS")
    days = NOW.date(), NOW.date()
    credits.take_back(bought, credits=2, reason="refunded in part")
    assert invoicing.due_lines(ana, *days) == [] == invoicing.payers_due(*days)


def test_what_was_bought_as_a_duplicate_is_on_the_invoice_of_the_one_that_stays(ana, desk):
    twin = make_user(first_name="Ana Maria")
    bought, held = purchase(twin, at=NOON), session(twin, at=NOON)
    draft = invoicing.draft_invoice(twin, FIRST, LAST)
    people.merge_users(ana, twin, by=desk)

    assert [user.id for user in invoicing.payers_due(FIRST, LAST)] == [ana.id]
    for user in (ana, twin):
        assert [
            line.appointment_id or -line.credit_transaction_id for line in invoicing.due_lines(user, FIRST, LAST)
        ] == [held.id, -bought.id]
    assert invoicing.draft_invoice(twin, FIRST, LAST).user_id == ana.id
    draft.issue(by=desk)
    assert [source for source, *_ in lines_of(draft)] == [held.id, -bought.id]
    assert (draft.customer["name"], draft.customer["email"]) == (ana.full_name, ana.email)
    assert invoicing.payers_due(FIRST, LAST) == []


def test_who_stays_reads_what_was_issued_to_the_duplicate(ana, desk):
    twin = make_user()
    session(twin)
    invoice = issued(twin)
    people.merge_users(ana, twin, by=desk)
    assert [row.id for row in Invoice.visible_to(ana)] == [invoice.id]
    assert [row.invoice_id for row in InvoiceLine.visible_to(ana)] == [invoice.id]
    assert list(Invoice.visible_to(make_user())) == []


def test_lines_say_what_they_are_for(ana):
    child = make_student(first_name="Luz", last_name="Sosa")
    session(ana, student=child, service=make_service(name="Speech therapy"), at=NOON)
    session(ana, student=child, at=datetime(2031, 3, 4, 15, tzinfo=UTC))
    purchase(ana, at=datetime(2031, 3, 5, 15, tzinfo=UTC))
    purchase(
        ana, amount_cents=999_999, at=datetime(2031, 3, 6, 15, tzinfo=UTC), credit_package=make_package(name="Ten")
    )
    purchase(ana, 7, at=datetime(2031, 3, 7, 15, tzinfo=UTC))

    found = [(line.description, line.quantity, line.unit_cents) for line in invoicing.due_lines(ana, FIRST, LAST)]
    english = [line.description for line in invoicing.due_lines(ana, FIRST, LAST, language="en")]

    assert found == [
        ("Speech therapy · Luz Sosa", 1, 150_000),
        ("Sesión · Luz Sosa", 1, 150_000),
        ("Créditos", 10, 120_000),
        ("Ten", 1, 999_999),
        ("Créditos", 1, 1_200_000),
    ]
    assert english[1:3] == ["Session · Luz Sosa", "Credits"]


def test_what_a_draft_shows_is_what_issuing_writes(ana):
    for price in (100, 333, 150_001):
        session(ana, price)
    draft = invoicing.draft_invoice(ana, FIRST, LAST)
    shown = [(line.appointment_id, line.total_cents, line.tax_cents) for line in invoicing.due_lines(draft=draft)]
    assert invoicing.due_lines(ana, FIRST, LAST) == invoicing.due_lines(draft=draft)

    draft.issue()

    assert lines_of(draft) == shown
    assert invoicing.due_lines(ana, FIRST, LAST) == []


def test_both_parties_are_kept_as_they_were(centre, ana):
    session(ana)
    invoice = issued(ana, customer={"tax_id": "27-1", "name": "Gómez SRL"})
    ana.last_name, centre.name = "Other", "Elsewhere"
    ana.save()
    centre.save()

    kept = Invoice.get_by_id(invoice.id)

    assert kept.customer == {"name": "Gómez SRL", "email": ana.email, "phone": "+541155550000", "tax_id": "27-1"}
    assert kept.biller["tax_id"] == "30-71234567-1"
    assert kept.biller["name"] != "Elsewhere"


def test_what_a_form_left_empty_is_as_if_it_was_not_given(ana):
    session(ana)
    empty = {"name": None, "phone": " ", "tax_id": "", "address": None, "floor": 2}
    draft = invoicing.draft_invoice(ana, FIRST, LAST, customer=empty)
    draft.issue()
    kept = {"name": ana.full_name, "email": ana.email, "phone": ana.phone, "floor": 2}
    assert draft.customer == Invoice.get_by_id(draft.id).customer == kept


def test_of_who_was_erased_an_invoice_says_what_is_given_and_no_more(db, ana, desk):
    session(ana)
    people.erase_user(db, ana, by=desk)
    for given in ({}, {"name": "Gómez SRL"}):
        draft = invoicing.draft_invoice(ana, FIRST, LAST, customer=given)
        draft.issue()
        assert Invoice.get_by_id(draft.id).customer == given
        invoicing.credit_note(draft, reason="again")


def test_nothing_to_invoice_takes_no_number(ana):
    draft = invoicing.draft_invoice(ana, FIRST, LAST)
    with pytest.raises(TransitionRefusedError) as caught:
        draft.issue()
    assert caught.value.reason == "nothing_to_invoice"
    session(ana)
    draft.issue()
    assert numbers() == [1]


def test_numbers_go_on_by_kind_and_series(centre, ana):
    for _ in range(2):
        session(ana)
        first = issued(ana)
    centre.settings = centre.settings | {"invoice_series": "B-"}
    centre.save()
    session(ana)
    other = issued(ana)
    invoicing.credit_note(first, reason="wrong")

    assert (numbers(), numbers(series="B-"), numbers("credit_note")) == ([1, 2], [1], [1])
    assert other.title == "B-1"


def test_issuing_is_journalled_and_told(ana, desk):
    session(ana)
    draft = invoicing.draft_invoice(ana, FIRST, LAST, by=desk)
    draft.issue(by=desk)

    (change,) = StateTransition.select().where(StateTransition.subject_type == "Invoice")
    (message,) = OutboxMessage.select().where(OutboxMessage.topic == "invoice.issue")
    assert (change.event, change.subject_id, change.actor_id) == ("issue", draft.id, desk.id)
    assert (message.payload["number"], message.payload["total_cents"]) == (1, 150_000)


def test_a_discarded_draft_is_never_issued(ana):
    session(ana)
    draft = invoicing.draft_invoice(ana, FIRST, LAST)
    draft.discard()
    with pytest.raises(InvalidTransitionError):
        draft.issue()
    assert len(invoicing.due_lines(ana, FIRST, LAST)) == 1


def test_an_issued_one_is_neither_discarded_nor_issued_again(ana):
    session(ana)
    invoice = issued(ana)
    for event in (invoice.issue, invoice.discard):
        with pytest.raises(InvalidTransitionError):
            event()
    assert numbers() == [1]


def test_a_credit_note_gives_back_all_and_frees_the_sources(ana):
    held = session(ana)
    purchase(ana)
    invoice = issued(ana)

    note = invoicing.credit_note(invoice, reason="the wrong month")

    assert (note.kind, note.number, note.state) == ("credit_note", 1, "issued")
    assert (note.net_cents, note.tax_cents, note.total_cents) == (
        invoice.net_cents,
        invoice.tax_cents,
        invoice.total_cents,
    )
    assert (note.corrects_series, note.corrects_number, note.customer) == ("", 1, invoice.customer)
    again = issued(ana)
    assert lines_of(again) == lines_of(invoice)
    turns = InvoiceLine.select(InvoiceLine.turn).where(InvoiceLine.appointment == held.id).order_by(InvoiceLine.turn)
    assert [turn for (turn,) in turns.tuples()] == [1, 2, 3]
    assert invoicing.verify_invoices() == []


def test_a_credit_note_of_some_lines_leaves_the_others(ana):
    first, second = session(ana, 1_000, at=NOON), session(ana, 2_000, at=datetime(2031, 3, 5, 15, tzinfo=UTC))
    invoice = issued(ana)
    line = InvoiceLine.get(InvoiceLine.appointment == first.id)

    note = invoicing.credit_note(invoice, [line], reason="not held")
    rest = invoicing.credit_note(invoice, reason="the rest")

    assert [source for source, _, _ in lines_of(note)] == [first.id]
    assert [source for source, _, _ in lines_of(rest)] == [second.id]


@pytest.mark.parametrize("lines", [None, [1], [1, 2]])
def test_no_line_is_credited_twice(ana, lines):
    session(ana, at=NOON)
    session(ana, at=datetime(2031, 3, 5, 15, tzinfo=UTC))
    invoice = issued(ana)
    invoicing.credit_note(invoice, lines and [1], reason="once")

    with pytest.raises(TransitionRefusedError) as caught:
        invoicing.credit_note(invoice, lines, reason="twice")

    assert caught.value.reason == "credited_already"
    assert numbers("credit_note") == [1]
    assert Invoice.select().where(Invoice.kind == "credit_note").count() == 1  # its draft is undone as well


def test_a_line_that_is_not_there_is_refused(ana):
    session(ana)
    invoice = issued(ana)
    with pytest.raises(TransitionRefusedError):
        invoicing.credit_note(invoice, [2], reason="wrong")


def test_after_a_credit_note_todays_tax_holds(centre, ana):
    session(ana, 1_000)
    invoicing.credit_note(issued(ana), reason="exempt")
    centre.settings = centre.settings | {"tax_basis_points": 0}
    centre.save()
    assert [(total, tax) for _, total, tax in lines_of(issued(ana))] == [(1_000, 0)]


def test_what_is_sold_is_taxed_at_its_own_rate_or_the_centres(ana):
    exempt, taxed = (make_service(name=name, tax_basis_points=rate) for name, rate in (("Therapy", 0), ("Music", 1050)))
    for service in (exempt, taxed, make_service(name="Other")):
        session(ana, 12_100, service=service)
    package = make_package(name="Books", tax_basis_points=500)
    purchase(ana, amount_cents=10_500, credit_package=package)
    purchase(ana, 7, amount_cents=12_100)

    issued(ana)

    lines = {line.description.partition(" · ")[0]: line for line in InvoiceLine.select()}
    assert {said: (line.tax_basis_points, line.tax_cents) for said, line in lines.items()} == {
        "Therapy": (0, 0),
        "Music": (1050, 1150),
        "Other": (2100, 2100),
        "Books": (500, 500),
        "Créditos": (2100, 2100),
    }


def test_a_line_keeps_the_rate_it_was_billed_with(ana):
    service = make_service(tax_basis_points=0)
    session(ana, 12_100, service=service)
    invoice = issued(ana)
    service.tax_basis_points = 2100
    service.save()

    note = invoicing.credit_note(invoice, reason="wrong")
    again = issued(ana)

    assert [tax for _, _, tax in lines_of(note)] == [0]
    assert [tax for _, _, tax in lines_of(again)] == [2_100]


def test_tax_is_rounded_once_for_a_rate_and_given_back_as_billed(ana):
    """Three times 1.74 of 10 are 5.21 of 30, so one of them has 1 and another 2."""
    for day in (3, 4, 5):
        session(ana, 10, at=datetime(2031, 3, day, 15, tzinfo=UTC))
    invoice = issued(ana)
    taxes = [tax for _, _, tax in lines_of(invoice)]
    assert (taxes, invoice.tax_cents) == ([2, 1, 2], 5)

    last, rest = (invoicing.credit_note(invoice, lines, reason="wrong") for lines in ([3], None))

    assert ([tax for _, _, tax in lines_of(last)], [tax for _, _, tax in lines_of(rest)]) == ([2], [2, 1])
    assert invoicing.verify_invoices() == []


def test_a_rollback_gives_the_number_back(db, ana):
    session(ana)
    draft = invoicing.draft_invoice(ana, FIRST, LAST)
    with pytest.raises(ZeroDivisionError), db.atomic():
        draft.issue()
        _ = 1 / 0
    draft.issue()
    assert (numbers(), InvoiceCounter.get().last_number) == ([1], 1)


def test_only_staff_may(ana, desk):
    session(ana)
    draft = invoicing.draft_invoice(ana, FIRST, LAST, by=desk)
    with pytest.raises(NotPermittedError):
        invoicing.draft_invoice(ana, FIRST, LAST, by=ana)
    for event in (draft.issue, draft.discard):
        with pytest.raises(NotPermittedError):
            event(by=ana)
    draft.issue(by=desk)
    with pytest.raises(NotPermittedError):
        invoicing.credit_note(draft, reason="mine", by=ana)


def test_a_family_sees_its_own_issued_ones(ana, desk):
    session(ana)
    invoice, draft = issued(ana), invoicing.draft_invoice(ana, FIRST, LAST)
    stranger = make_user()
    session(stranger)
    theirs = issued(stranger)

    assert [row.id for row in Invoice.visible_to(ana)] == [invoice.id]
    assert {row.id for row in Invoice.visible_to(desk)} == {invoice.id, draft.id, theirs.id}
    assert [row.invoice_id for row in InvoiceLine.visible_to(ana)] == [invoice.id]


@pytest.mark.parametrize(
    ("options", "field", "says"),
    [
        ({"since": "2031-03-01"}, "since", "needs a date, got str"),
        ({"until": NOW}, "until", "needs a date, got datetime"),
        ({"until": date(2031, 2, 1)}, "until", "must not be before 2031-03-01"),
        ({"language": "fr"}, "language", "must be one of "),
        ({"user": "ana"}, "user", None),
        ({"currency": "pesos"}, "currency", None),
        ({"customer": "Gómez SRL"}, "customer", None),
        ({"customer": ["Gómez SRL"]}, "customer", None),
    ],
)
def test_wrong_arguments_are_refused(ana, options, field, says):
    with pytest.raises(InvalidDataError, match=says) as caught:
        invoicing.draft_invoice(**({"user": ana, "since": FIRST, "until": LAST} | options))
    assert caught.value.field.endswith(field)


@pytest.mark.parametrize("currency", ["ars", "pesos", 5])
def test_nothing_is_due_in_what_is_no_currency(ana, currency):
    session(ana)
    for ask in (partial(invoicing.due_lines, ana), invoicing.payers_due):
        with pytest.raises(InvalidDataError) as caught:
            ask(FIRST, LAST, currency=currency)
        assert caught.value.field.endswith("currency")


@pytest.mark.parametrize("lines", [[], ["1"], [True]])
def test_wrong_lines_are_refused(ana, lines):
    session(ana)
    with pytest.raises(InvalidDataError) as caught:
        invoicing.credit_note(issued(ana), lines, reason="wrong")
    assert caught.value.field == "lines"


@pytest.mark.parametrize("reason", [None, "", " "])
def test_a_credit_note_says_why(ana, reason):
    session(ana)
    with pytest.raises(InvalidDataError) as caught:
        invoicing.credit_note(issued(ana), reason=reason)
    assert caught.value.field == "reason"


def test_only_an_issued_invoice_is_credited(ana):
    session(ana)
    invoice, draft = issued(ana), invoicing.draft_invoice(ana, FIRST, LAST)
    for wrong in (draft, invoicing.credit_note(invoice, reason="once")):
        with pytest.raises(InvalidDataError, match="needs an issued invoice") as caught:
            invoicing.credit_note(wrong, reason="wrong")
        assert caught.value.field == "invoice"


def test_lines_of_another_invoice_are_refused(ana):
    session(ana)
    first = issued(ana)
    session(ana)
    second = issued(ana)
    with pytest.raises(InvalidDataError, match="is a line of another invoice"):
        invoicing.credit_note(first, [InvoiceLine.get(InvoiceLine.invoice == second.id)], reason="wrong")


def test_another_organizations_user_is_refused(db, ana, b):
    with db.tenant(b):
        stranger = make_user()
        draft = invoicing.draft_invoice(stranger, FIRST, LAST)
    with pytest.raises(CrossTenantError):
        invoicing.draft_invoice(stranger, FIRST, LAST)
    with pytest.raises(CrossTenantError):
        invoicing.due_lines(draft=draft)


def test_it_needs_a_tenant(db, ana):
    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        invoicing.draft_invoice(ana.id, FIRST, LAST)


def test_who_has_something_due(ana):
    idle, other = make_user(), make_user()
    session(ana)
    purchase(other)
    session(idle, currency="USD")
    assert [user.id for user in invoicing.payers_due(FIRST, LAST)] == [ana.id, other.id]
    assert [user.id for user in invoicing.payers_due(FIRST, LAST, currency="USD")] == [idle.id]
    issued(ana)
    assert [user.id for user in invoicing.payers_due(FIRST, LAST)] == [other.id]


def test_a_kind_of_credit_is_told(ana):
    kind = make_kind(name="Psychology")
    balance = CreditBalance.create(user=ana, credit_kind=kind)
    purchase(ana, credit_balance=balance, credit_kind=kind)
    assert invoicing.due_lines(ana, FIRST, LAST)[0].description == "Créditos · Psychology"


def test_the_moment_is_the_one_that_is_given(ana):
    session(ana)
    draft = invoicing.draft_invoice(ana, FIRST, LAST)
    draft.issue(now=datetime(2031, 4, 11, 2, tzinfo=UTC))
    assert (draft.issued_on, clock.now()) == (date(2031, 4, 10), NOW)
