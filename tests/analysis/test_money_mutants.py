"""No mutant of the SQL of money, clients, credits, admissions, groups and lines gives what was worked out by hand."""

import pytest

from tests.analysis.hand_worked import CASES, load, told_by
from tests.analysis.test_finance import check_taxes
from tests.analysis.test_hand_worked import have, notices
from tests.walking import walked

FILES = ("revenue", "retention", "lead_time", "credits", "admissions", "lists", "groups", "slot_requests")
ZONE = "AT TIME ZONE organization.time_zone"
# (metric, what stands in its SQL, what the mutant says instead)
MUTANTS = [
    ("revenue", ZONE, "AT TIME ZONE 'UTC'"),
    ("revenue", "state = 'executed'", "true"),
    ("revenue", "state = 'executed'", "state IN ('executed', 'no_show')"),
    ("revenue", "state = 'executed'", "state IN ('executed', 'confirmed')"),
    ("revenue", "coalesce(a.currency, organization.currency)", "organization.currency"),
    ("revenue", "coalesce(a.currency, organization.currency)", "a.currency"),
    ("revenue", "count(state) - count(price_cents)", "count(*) FILTER (WHERE coalesce(price_cents, 0) = 0)"),
    ("revenue", "UNION SELECT organization_id, currency FROM fact", ""),
    ("lifetime_value", ZONE, "AT TIME ZONE 'UTC'"),
    ("lifetime_value", "state = 'executed'", "true"),
    ("lifetime_value", "min(day)", "max(day)"),
    ("lifetime_value", "coalesce(a.currency, organization.currency)", "organization.currency"),
    ("lead_time", ZONE, "AT TIME ZONE 'UTC'"),
    ("lead_time", "NOT a.created_at_made_up AND ", ""),
    ("lead_time", "a.state <> 'draft'", "true"),
    ("lead_time", "OR a.pre_confirmed_at IS NOT NULL", "OR true"),
    ("lead_time", "OR a.pre_confirmed_at IS NOT NULL", ""),
    ("lead_time", "ORDER BY step.id), step.id", "ORDER BY step.id) DESC, step.id DESC"),
    ("lead_time", "step.event = 'reschedule'", "false"),
    ("lead_time", "booked_at <= first_start", "true"),
    ("lead_time", "percentile_cont(0.1)", "percentile_disc(0.1)"),
    ("lead_time", "percentile_cont(0.9)", "percentile_cont(0.8)"),
    ("retention", ZONE, "AT TIME ZONE 'UTC'"),
    ("retention", "a.state = 'executed'", "a.state IN ('executed', 'no_show')"),
    ("retention", "place = 1 AND begins_here", "begins_here"),
    ("retention", "place = 1 AND begins_here", "place = 1"),
    ("retention", "count(DISTINCT client.whose)", "count(*)"),
    ("retention", "(%(now)s AT", "((%(now)s + interval '1 month') AT"),
    ("retention", "(%(now)s AT", "((%(now)s - interval '1 minute') AT"),
    ("retention", "least(%(end)s::date, ", "least("),
    ("credit_liability", ZONE, "AT TIME ZONE 'UTC'"),
    ("credit_liability", "t.status = 'completed'", "true"),
    ("credit_liability", "'cancellation_refund'", "'none'"),
    ("credit_liability", "'admin_adjustment'", "'none'"),
    ("credit_liability", "WHERE day < %(end)s::date", ""),
    ("credit_liability", "WHERE day < %(end)s::date", "WHERE day BETWEEN %(start)s::date AND %(end)s::date - 1"),
    ("credit_liability", "-sum(amount) FILTER", "sum(amount) FILTER"),
    ("admission_wait", ZONE, "AT TIME ZONE 'UTC'"),
    ("admission_wait", "NOT attempt.made_up AND ", ""),
    ("admission_wait", "AND t.occurred_at <= %(now)s", ""),
    ("admission_wait", "least(rejected_at, discharged_at)", "NULL::timestamptz"),
    ("admission_wait", "enrolled_at IS NULL AS censored", "false AS censored"),
    ("admission_wait", "ORDER BY wait_days DESC", "ORDER BY wait_days"),
    ("admission_wait", "FILTER (WHERE NOT censored) AS began", "AS began"),
    ("admission_wait", "<= 0.5 + 1e-9", "< 0.3"),
    ("admission_wait", "(nobody OR ", "("),
    ("admission_wait", "organization_id, student_id, attempt\n", "organization_id, student_id, attempt > 0\n"),
    ("admission_funnel", ZONE, "AT TIME ZONE 'UTC'"),
    ("admission_funnel", "NOT attempt.made_up AND ", ""),
    ("admission_funnel", "make_interval(hours => %(window_hours)s::int)", "make_interval(hours => 99999)"),
    ("admission_funnel", "make_interval(hours => %(window_hours)s::int)", "make_interval(hours => 0)"),
    ("admission_funnel", "coalesce(enrolled_at, rejected_at, discharged_at)", "coalesce(enrolled_at, discharged_at)"),
    ("admission_funnel", "to_state = 'rejected'", "to_state = 'none'"),
    ("admission_funnel", "to_state = 'waitlisted'", "to_state = 'none'"),
    ("expiring_holds", "a.expires_at > %(now)s", "a.expires_at >= %(now)s"),
    ("expiring_holds", "<= %(now)s + %(within)s", "< %(now)s + %(within)s"),
    ("expiring_holds", "a.state = 'pre_confirmed'", "true"),
    ("overdue_confirmations", "a.expires_at <= %(now)s", "a.expires_at < %(now)s"),
    ("overdue_confirmations", "a.state = 'pre_confirmed'", "true"),
    ("unclosed_sessions", "< %(now)s\n", "<= %(now)s\n"),
    ("unclosed_sessions", "a.state = 'confirmed'", "true"),
    ("unclosed_sessions", "+ make_interval(mins => a.duration_minutes)", ""),
    ("group_seats", ZONE, "AT TIME ZONE 'UTC'"),
    ("group_seats", "sum(capacity) FILTER (WHERE state = 'open')", "sum(capacity)"),
    ("group_seats", "count(*) FILTER (WHERE state = 'open')", "count(state)"),
    ("group_seats", "sitting.state = 'executed'", "true"),
    ("group_seats", "sitting.state = 'no_show'", "true"),
    ("group_seats", "OR sitting.expires_at >= %(now)s", "OR true"),
    ("group_seats", "OR sitting.expires_at >= %(now)s", ""),
    ("group_seats", "AND sitting.group_session_id = a.id", ""),
    ("group_seats", "gathering.id = a.group_session_id", "true"),
    ("sessions", "gathering.id = a.group_session_id", "gathering.id <> a.group_session_id"),
    ("resource_use", ZONE, "AT TIME ZONE 'UTC'"),
    ("resource_use", "each.group_session_id IS NULL AND ", ""),
    ("resource_use", "OR each.expires_at >= %(now)s", "OR true"),
    ("resource_use", "gathering.state = 'open'", "true"),
    ("resource_use", "thing.id IN (a.room_id, a.device_id)", "thing.id = a.room_id"),
    ("resource_use", "thing.id IN (a.room_id, a.device_id)", "thing.id = a.device_id"),
    ("resource_use", "gathering.duration_minutes + gathering.buffer_minutes", "gathering.duration_minutes"),
    ("resource_use", "each.duration_minutes + each.buffer_minutes", "each.duration_minutes"),
    ("resource_use", "each WHERE active", "each"),
    ("resource_use", "UNION SELECT organization_id, resource_id, kind, name FROM held", ""),
    ("resource_use", "sum(upper(span.during) - lower(span.during))", "max(upper(span.during) - lower(span.during))"),
    ("slot_requests", ZONE, "AT TIME ZONE 'UTC'"),
    ("slot_requests", "least(a.created_at, a.place_at)", "a.created_at"),
    ("slot_requests", "least(a.created_at, a.place_at)", "a.place_at"),
    ("slot_requests", " AND NOT step.made_up", ""),
    ("slot_requests", "WHERE offers > 0", "WHERE true"),
    ("slot_requests", "sum(offers)", "count(*) FILTER (WHERE offers > 0)"),
    ("slot_requests", "step.event = 'miss'", "step.event = 'decline'"),
    ("slot_requests", "step.event = 'decline'", "step.event = 'miss'"),
    ("slot_requests", "IN ('waiting', 'offered')", "IN ('waiting')"),
    ("slot_requests", "IN ('waiting', 'offered')", "IN ('offered')"),
    ("slot_requests", "percentile_cont(0.5)", "percentile_disc(0.5)"),
    ("slot_requests", "AND step.subject_id = a.id", ""),
]

TAXES = [
    ("invoice.issued_on < %(end)s::date", "invoice.issued_on <= %(end)s::date + 7"),
    ("AND line.invoice_id = invoice.id", "AND line.invoice_id <> invoice.id"),
    ("kind = 'credit_note'", "kind = 'invoice'"),
    ("kind = 'invoice'", "true"),
    ("line.net_cents AS", "line.total_cents AS"),
    ("line.tax_basis_points", "2100 AS tax_basis_points"),
    ("date_trunc('month', (invoice.issued_on)", "date_trunc('month', (invoice.issued_on + 1)"),
]


@pytest.fixture(scope="module")
def centres(db):
    """Each of the files, loaded once."""
    told = [told_by(path) for path in CASES if path.stem in FILES]
    return [(load(db, one), one["expected"]) for one in told]


@pytest.mark.exhaustive
@walked("metric, was, instead", MUTANTS)
def test_a_mutant_of_a_metrics_sql_fails_a_table(centres, metric, was, instead):
    """`make test` keeps the tables themselves."""
    with pytest.MonkeyPatch.context() as patch:
        changed = have(patch, metric, was, instead)
        assert notices(centres, metric), "no table notices"
        assert any(changed), "the SQL does not say that any more"


@pytest.mark.exhaustive
@walked("was, instead", TAXES)
def test_a_mutant_of_taxes_fails_what_was_worked_out_by_hand(db, was, instead):
    """`make test` keeps test_taxes_by_hand_and_as_the_lines_say."""
    with pytest.MonkeyPatch.context() as patch:
        changed = have(patch, "billed_taxes", was, instead)
        with pytest.raises(AssertionError):
            check_taxes(db)
        assert any(changed), "the SQL does not say that any more"
