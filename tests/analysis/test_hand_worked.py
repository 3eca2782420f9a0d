"""Every table of tests/analysis/cases: metrics give what was worked out by hand, and no mutant of theirs does."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from rayces_core import analysis
from rayces_core.analysis import asking, working
from tests.analysis.hand_worked import CASES, ask, check, load, told_by
from tests.analysis.test_finance import FINANCE
from tests.walking import walked


@pytest.mark.slow
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_metrics_give_what_was_worked_out_by_hand(db, path):
    told = told_by(path)
    centre = load(db, told)
    for expected in told["expected"]:
        check(centre, expected)


# -- mutants: each is the metric with one thing wrong in its SQL or in what it asks the clock --------------------------

# (metric, what stands in its SQL, what the mutant says instead)
MUTANTS = [
    ("sessions", "AT TIME ZONE organization.time_zone", "AT TIME ZONE 'UTC'"),
    ("sessions", "AT TIME ZONE organization.time_zone", "AT TIME ZONE organization.time_zone + interval '1 minute'"),
    ("sessions", "IN ('pre_confirmed', 'confirmed')", "IN ('confirmed')"),
    ("sessions", "IN ('pre_confirmed', 'confirmed')", "IN ('pre_confirmed')"),
    ("sessions", "IN ('pre_confirmed', 'confirmed')", "IN ('pre_confirmed', 'confirmed', 'draft')"),
    ("sessions", "state = 'no_show'", "state = 'none'"),
    ("sessions", "state = 'cancelled'", "state = 'none'"),
    ("sessions", "clock.local < %(end)s", "clock.local <= %(end)s"),
    ("sessions", "clock.local >= %(start)s::date", "true"),
    ("sessions", "date_trunc('week', (clock.local)::timestamp)", "date_trunc('week', clock.local + interval '1 day')"),
    ("no_show_rate", "IN ('executed', 'no_show')", "IN ('executed', 'no_show', 'cancelled')"),
    ("no_show_rate", "IN ('executed', 'no_show')", "IN ('executed')"),
    ("cancellation_rate", "a.cancelled_at > a.scheduled_at", "a.cancelled_at >= a.scheduled_at"),
    ("cancellation_rate", "settings ->> 'cancellation_notice_hours'", "settings ->> 'none'"),
    ("cancellation_rate", "AND NOT is_ended", ""),
    ("cancellation_rate", "AND confirmed_at IS NOT NULL", ""),
    ("cancellation_rate", "AND is_expired", ""),
    ("rebooked", "AND a.cancelled_at < a.scheduled_at", ""),
    ("rebooked", "AND a.pre_confirmed_at IS NOT NULL", ""),
    ("rebooked", "AND other.professional_id = a.professional_id", ""),
    ("rebooked", "AND moved.event = 'reschedule'", "AND moved.event = 'none'"),
    (
        "rebooked",
        "THEN other.pre_confirmed_at END) < a.scheduled_at",
        "THEN other.pre_confirmed_at END) < a.cancelled_at",
    ),
    ("rebooked", "step.subject_id = a.id AND step.to_state = 'cancelled' AND step.made_up", "false"),
    ("rebooked", "step.subject_id = other.id AND step.to_state = 'pre_confirmed' AND step.made_up", "false"),
    ("rebooked", "- greatest(a.scheduled_at, other.scheduled_at)", "- a.scheduled_at"),
    ("occupancy", "NOT IN ('draft', 'cancelled')", "NOT IN ('draft', 'cancelled', 'no_show')"),
    ("occupancy", "NOT IN ('draft', 'cancelled')", "NOT IN ('draft', 'cancelled', 'pre_confirmed')"),
    ("occupancy", "OR a.expires_at >= %(now)s", "OR true"),
    (
        "occupancy",
        "least(piece.ends, worked.ends) - greatest(piece.starts, worked.starts)",
        "piece.ends - piece.starts",
    ),
    ("occupancy", "piece.freed, worked.ends) -", "piece.ends, worked.ends) -"),
    ("occupancy", ", (a.second_professional_id)", ""),
    ("occupancy", "AND professional.active", ""),
    ("occupancy", "AND worker.professional_id = piece.professional_id", ""),
    ("occupancy", "sum(within) FILTER (WHERE state = 'executed')", "sum(within)"),
    ("sessions", "interval '1 day'", "interval '1441 minutes'"),
    ("sessions", "interval '3 days'", "interval '73 hours'"),
    ("sessions", "interval '7 days'", "interval '169 hours'"),
    ("sessions", "interval '14 days'", "interval '337 hours'"),
    ("sessions", "a.created_at > a.scheduled_at", "a.created_at > a.scheduled_at + interval '1 hour'"),
    ("sessions", "a.created_at > a.scheduled_at", "a.created_at >= a.scheduled_at"),
    ("rebooked", "interval '8 hours'", "interval '7 hours'"),
    ("rebooked", "make_interval(mins => other.duration_minutes) > a", "make_interval(mins => 479) > a"),
    ("heat_map", "cell.hour::int AS hour", "(cell.hour + 1)::int AS hour"),
    ("heat_map", "cell.weekday::int AS weekday", "1 AS weekday"),
]
EQUIVALENT = ("sessions", "UNION ALL", "UNION  ALL")


@pytest.fixture(scope="module")
def centres(db):
    """Each of the files, loaded once."""
    return [(load(db, told), told["expected"]) for told in map(told_by, CASES)]


def notices(centres, metric) -> bool:
    """Whether any table of the metric comes out differently."""
    asked = [(centre, expected) for centre, tables in centres for expected in tables if expected["metric"] == metric]
    assert asked, metric
    for centre, expected in asked:
        try:
            check(centre, expected)
        except AssertionError:
            return True
    return False


def have(monkeypatch, metric, was, instead):
    """Make the metric's statements say something else; every mutant has to find what it changes."""
    changed = []

    def mutated(sql, *given, **options):
        changed.append(was in sql)
        return rows_of(sql.replace(was, instead), *given, **options)

    rows_of = asking.rows_of
    monkeypatch.setattr(asking, "rows_of", mutated)
    monkeypatch.setattr(working, "rows_of", mutated)
    return changed


@pytest.mark.exhaustive
@walked("metric, was, instead", MUTANTS)
def test_a_mutant_of_a_metrics_sql_fails_a_table(centres, metric, was, instead):
    """`make test` keeps the tables themselves."""
    with pytest.MonkeyPatch.context() as patch:
        changed = have(patch, metric, was, instead)
        assert notices(centres, metric), "no table notices"
        assert any(changed), "the SQL does not say that any more"


def test_a_mutant_that_changes_nothing_fails_no_table(centres):
    with pytest.MonkeyPatch.context() as patch:
        changed = have(patch, *EQUIVALENT)
        assert not notices(centres, EQUIVALENT[0])
        assert any(changed)


@pytest.mark.slow
@walked("metric", ["occupancy", "heat_map"])
def test_working_time_of_another_zone_fails_a_table(centres, metric):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(working, "ZoneInfo", lambda name: ZoneInfo("UTC"))
        assert notices(centres, metric)


@pytest.mark.slow
def test_a_reader_which_can_only_select_gives_the_same_frames(db, centres):
    reader = db.reader()
    assert reader.reads_only
    for centre, tables in centres:
        for expected in tables:
            frame, read = ask(centre, expected), ask(replace(centre, db=reader), expected)
            assert read.equals(frame), expected
            assert read.schema == frame.schema, expected


def test_the_tables_ask_every_metric_that_is_there():
    asked = {expected["metric"] for path in CASES for expected in told_by(path)["expected"]}
    assert asked | FINANCE == {name for name in analysis.__all__ if hasattr(getattr(analysis, name), "definition")}
