"""What the database refuses of invoices, whatever code writes: gaps, edits, sums that are none, sources twice."""

import psycopg2
import pytest

from rayces_core import (
    CheckFailedError,
    DuplicateError,
    Invoice,
    InvoiceLine,
    PermissionDeniedError,
    ReferenceNotFoundError,
    invoicing,
)
from rayces_core.database.constraints import translate
from tests.factory import make_invoice, make_invoice_line, make_issued, make_user
from tests.invoicing.test_drafting import issued
from tests.invoicing.world import session


def refusal(write):
    """The name of the rule that refuses it."""
    with pytest.raises((DuplicateError, ReferenceNotFoundError, CheckFailedError)) as caught:
        write()
    return caught.value.constraint


def test_an_issued_invoice_is_not_written_by_anybody(db, ana):
    session(ana)
    invoice = issued(ana)
    change = "UPDATE invoices SET total_cents = 1, net_cents = 1, tax_cents = 0 WHERE id = %s"
    assert db.execute_sql(change, (invoice.id,)).rowcount == 0
    with db.privileged(reason="test"):
        assert db.execute_sql(change, (invoice.id,)).rowcount == 0
    assert Invoice.get_by_id(invoice.id).total_cents == 150_000


@pytest.mark.parametrize("table", ["invoices", "invoice_lines"])
@pytest.mark.parametrize("privileged", [False, True])
def test_no_invoice_and_no_line_vanishes(db, ana, table, privileged):
    session(ana)
    issued(ana)
    with pytest.raises(PermissionDeniedError), db.atomic():
        db.execute_sql(f"DELETE FROM {table}")
    if privileged:
        with db.privileged(reason="test"), pytest.raises(PermissionDeniedError):
            db.execute_sql(f"DELETE FROM {table}")


def test_no_line_is_changed(db, ana):
    session(ana)
    issued(ana)
    with pytest.raises(PermissionDeniedError):
        db.execute_sql("UPDATE invoice_lines SET description = 'other'")


def test_no_line_is_added_to_an_issued_invoice(ana):
    session(ana)
    invoice = issued(ana)
    sums = {"line_count": 2, "invoice_net_cents": invoice.net_cents, "invoice_tax_cents": invoice.tax_cents}
    with pytest.raises((DuplicateError, ReferenceNotFoundError, CheckFailedError)):
        make_invoice_line(invoice=invoice, position=2, **sums)


def test_no_line_is_added_to_a_draft(ana):
    draft = make_invoice(user=ana)
    assert refusal(lambda: make_invoice_line(invoice=draft)) == "invoice_lines_figures_fkey"


def test_a_number_is_taken_once(ana):
    make_issued(user=ana, series="X-")
    twice = refusal(lambda: make_issued(user=ana, series="X-"))
    assert twice == "invoices_organization_id_kind_series_number_key"


def test_a_number_has_the_one_before(ana):
    make_issued(user=ana, series="X-")
    assert refusal(lambda: make_issued(user=ana, series="X-", number=3)) == "invoices_previous_number_fkey"
    make_issued(user=ana, series="X-", number=2)


def note_of(user, invoice, **columns):
    corrects = {"corrects_series": invoice.series, "corrects_number": invoice.number, "reason": "wrong"}
    return make_issued(kind="credit_note", user=user, **(corrects | columns))


def test_a_credit_note_corrects_the_same_users_invoice(ana):
    invoice = make_issued(user=ana)
    note_of(ana, invoice)
    for wrong in (
        lambda: note_of(make_user(), invoice),
        lambda: note_of(ana, invoice, currency="USD"),
        lambda: note_of(ana, invoice, corrects_number=2),
    ):
        assert refusal(wrong) == "invoices_corrects_fkey"


def test_the_sums_of_lines_are_those_of_the_invoice(ana):
    invoice = make_issued(user=ana, line_count=2)
    of = {"invoice": invoice, "line_count": 2}
    first = {"unit_cents": 400, "total_cents": 400}
    make_invoice_line(**of, **first)
    second = {"position": 2, "unit_cents": 600, "total_cents": 600, "rate_position": 2, "rate_before": 400}
    gap = refusal(lambda: make_invoice_line(**of, **second | {"unit_cents": 500, "total_cents": 500}, net_before=500))
    off = refusal(lambda: make_invoice_line(**of, **second | {"unit_cents": 500, "total_cents": 500}, net_before=400))
    assert (gap, off) == ("invoice_lines_previous_fkey", "invoice_lines_invoice_net_cents_check")
    make_invoice_line(**of, **second, net_before=400)
    again = refusal(lambda: make_invoice_line(**of, **first))
    assert again == "invoice_lines_organization_id_invoice_id_position_key"


def test_the_tax_of_a_rate_is_rounded_once(ana):
    invoice = make_issued(user=ana, line_count=2, net_cents=17, tax_cents=3, total_cents=20)
    of = {"invoice": invoice, "line_count": 2, "invoice_net_cents": 17, "invoice_tax_cents": 3}
    amounts = {"unit_cents": 10, "total_cents": 10, "tax_basis_points": 2100}
    make_invoice_line(**of, **amounts, tax_cents=2)
    second = of | amounts | {"position": 2, "net_before": 8, "tax_before": 2, "rate_position": 2, "rate_before": 10}
    own = {"tax_cents": 2, "invoice_net_cents": 16, "invoice_tax_cents": 4}
    assert refusal(lambda: make_invoice_line(**second | own)) == "invoice_lines_tax_cents_check"
    for wrong, rule in (
        ({"rate_position": 1, "rate_before": 0, **own}, "invoice_lines_rate_position_key"),
        ({"rate_before": 15}, "invoice_lines_previous_rate_fkey"),
        ({"rate_position": 3}, "invoice_lines_previous_rate_fkey"),
    ):
        # That the tax is the invoice's is another rule, asked for after this one.
        assert refusal(lambda wrong=wrong: make_invoice_line(**second | {"tax_cents": 1} | wrong)) == rule
    make_invoice_line(**second, tax_cents=1)


def test_a_credit_note_gives_back_the_tax_that_was_billed(ana):
    amounts = {"unit_cents": 121, "total_cents": 121, "tax_basis_points": 2100}
    sums = {"net_cents": 100, "tax_cents": 21, "total_cents": 121}
    line = make_invoice_line(
        invoice=make_issued(user=ana, **sums), tax_cents=21, **amounts, invoice_net_cents=100, invoice_tax_cents=21
    )
    note = note_of(ana, line.invoice, net_cents=101, tax_cents=20, total_cents=121)
    less = {"tax_cents": 20, "invoice_net_cents": 101, "invoice_tax_cents": 20}
    of = {"invoice": note, "kind": "credit_note", "turn": 2, "appointment": line.appointment}
    assert refusal(lambda: make_invoice_line(**of, **amounts, **less)) == "invoice_lines_credited_turn_fkey"


def test_a_source_is_invoiced_once(ana):
    line = make_invoice_line()
    twice = refusal(lambda: make_invoice_line(appointment=line.appointment))
    early = refusal(lambda: make_invoice_line(appointment=line.appointment, turn=3))
    assert twice == "invoice_lines_organization_id_source_key_turn_key"
    assert early == "invoice_lines_previous_turn_fkey"


def test_a_credit_note_gives_back_what_was_asked_for(ana):
    line = make_invoice_line()
    note = note_of(line.invoice.user, line.invoice, net_cents=900, total_cents=900)
    other = {"unit_cents": 900, "total_cents": 900, "invoice_net_cents": 900}
    less = refusal(
        lambda: make_invoice_line(invoice=note, kind="credit_note", turn=2, appointment=line.appointment, **other)
    )
    assert less == "invoice_lines_credited_turn_fkey"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        ("DELETE FROM invoice_lines", {"line_count", "total_cents", "tax_cents"}),
        ("UPDATE invoice_counters SET last_number = 7", {"last_number"}),
        ("UPDATE appointments SET state = 'no_show', executed_at = NULL, no_show_at = now()", {"source"}),
    ],
)
def test_what_no_rule_can_hold_is_found(db, centre, ana, damage, kinds):
    session(ana)
    issued(ana)
    assert invoicing.verify_invoices() == []
    with psycopg2.connect(db.url) as connection, connection.cursor() as superuser:
        superuser.execute(f"{damage} WHERE organization_id = %s", (centre.id,))
    found = invoicing.verify_invoices()
    assert {finding.kind for finding in found} == kinds
    assert all(None not in (finding.expected, finding.found) for finding in found)
    with db.privileged(reason="test"):
        assert [each for each in invoicing.verify_invoices() if each.organization_id == centre.id] == found


def test_a_note_over_another_invoices_lines_is_found(ana):
    session(ana)
    first = issued(ana)
    session(ana)
    second = issued(ana)
    line = InvoiceLine.get(InvoiceLine.invoice == first.id)
    columns = {name: getattr(second, name) for name in ("line_count", "net_cents", "tax_cents", "total_cents")}
    note = note_of(ana, second, series="", **columns)
    values = {name: getattr(line, name) for name in ("quantity", "unit_cents", "tax_basis_points", "tax_cents")}
    sums = {"total_cents": line.total_cents, "invoice_net_cents": note.net_cents, "invoice_tax_cents": note.tax_cents}
    make_invoice_line(invoice=note, kind="credit_note", turn=2, appointment=line.appointment_id, **values, **sums)
    assert {finding.kind for finding in invoicing.verify_invoices()} == {"corrects"}


def test_words_of_its_own(db, ana):
    with psycopg2.connect(db.url) as connection, connection.cursor() as superuser:
        with pytest.raises(psycopg2.Error) as caught:
            superuser.execute("UPDATE invoices SET number = 9 WHERE id = %s", (make_invoice(user=ana).id,))
        connection.rollback()
    assert "call issue()" in str(translate(caught.value))
