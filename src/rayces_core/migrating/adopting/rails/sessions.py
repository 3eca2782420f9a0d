"""Appointments of the old application, as rows of this library's: no two at a time, each with the moments of its state.

What the old application never wrote is the last moment that is possible: a confirmed session was confirmed when it was
last saved. A hold that waits still gets a day from now on, as nobody has told its client that it would end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rayces_core.migrating.adopting.rails.centre import flag, listed, spelled
from rayces_core.migrating.adopting.rails.faults import NOTED, noted, noted_gone
from rayces_core.migrating.adopting.rails.old import Old
from rayces_core.migrating.adopting.rails.people import as_object, stamps

FIRM = ("confirmed", "executed", "no_show")
OCCUPYING = ("pre_confirmed", *FIRM)
STATES = ("draft", *OCCUPYING, "cancelled")
HOLD_HOURS = 24
REASON, CANCELLED = "adopted", "cancelled in the old application"

# By professional and time: of two that overlap the more certain one stays, of equals the earlier.
_OVERLAPS = f"""
DO $overlaps$
DECLARE
    each record; kept record; loser bigint; winner bigint;
BEGIN
    SELECT NULL::bigint AS id, 0::bigint AS organization_id, 0::bigint AS professional_id, now() AS s, now() AS e,
           false AS firm INTO kept;
    FOR each IN SELECT id, organization_id, professional_id, scheduled_at AS s,
                       scheduled_at + make_interval(mins => duration_minutes) AS e, state <> 'pre_confirmed' AS firm
                  FROM plan_appointments WHERE gone IS NULL AND state IN ({listed(OCCUPYING)})
                 ORDER BY organization_id, professional_id, scheduled_at, id LOOP
        IF kept.id IS NULL OR kept.organization_id <> each.organization_id
           OR kept.professional_id <> each.professional_id
           OR each.s >= kept.e THEN
            kept := each;
            CONTINUE;
        END IF;
        IF each.firm AND NOT kept.firm THEN
            loser := kept.id; winner := each.id; kept := each;
        ELSE
            loser := each.id; winner := kept.id;
        END IF;
        INSERT INTO {NOTED} VALUES
            ('appointments', loser, 'overlaps', '{{act}}', 'it overlaps appointment ' || winner);
    END LOOP;
END
$overlaps$
"""
_CANCELLED_FOR_IT = f"""
UPDATE plan_appointments AS p
   SET state = 'cancelled', cancelled_at = now(), cancellation_reason = f.why || ' in the old application',
       executed_at = NULL, no_show_at = NULL
  FROM {NOTED} AS f WHERE f.tbl = 'appointments' AND f.kind = 'overlaps' AND f.id = p.id
"""
_GONE_FOR_IT = f"""
UPDATE plan_appointments AS p SET gone = 'overlaps', why = f.why
  FROM {NOTED} AS f WHERE f.tbl = 'appointments' AND f.kind = 'overlaps' AND f.id = p.id
"""


def appointments(old: Old, choices: Mapping[str, str]) -> Iterator[str]:
    """Each appointment of a professional, a student and a client of one organization."""
    yield _planned(old, choices)
    yield "ALTER TABLE plan_appointments ADD PRIMARY KEY (id)"
    if choices.get("missing-profiles") != "set-aside":
        yield _profiles()
    yield noted_gone("appointments")
    yield from _noted(old)
    aside = choices.get("overlaps") == "set-aside"
    yield _OVERLAPS.replace("{act}", "aside" if aside else "changed")
    yield _GONE_FOR_IT if aside else _CANCELLED_FOR_IT


def _planned(old: Old, choices: Mapping[str, str]) -> str:
    table = "appointments"
    own = old.take(table, "organization_id", "bigint")
    at, minutes = old.take(table, "scheduled_at", "moment"), old.take(table, "duration_minutes", "bigint")
    metadata = old.take(table, "metadata", "jsonb")
    pre = old.take(table, "pre_confirmed_at", "moment")
    unknown = f"told_state NOT IN ({listed(STATES)})"
    leaves = "'states'" if choices.get("states") == "set-aside" else "NULL"
    profile = "WHEN NOT has_profile THEN 'missing-profiles'" if choices.get("missing-profiles") == "set-aside" else ""
    people = " ".join(
        f"LEFT JOIN plan_{source} AS {name} ON {name}.id = {old.take(table, f'{name}_id', 'bigint')}"
        for name, source in (("professional", "users"), ("student", "students"), ("client", "users"))
    )
    canceller = old.take(table, "cancelled_by_id", "bigint")
    return f"""
        CREATE TEMP TABLE plan_appointments ON COMMIT DROP AS
        WITH told AS MATERIALIZED (
            SELECT o.id, professional.organization_id, professional.id AS professional_id, student.id AS student_id,
                   client.id AS client_id, {at} AS told_at, date_trunc('minute', {at}) AS scheduled_at,
                   {minutes} AS told_minutes,
                   least(greatest(coalesce({minutes}, 60), 15), 480)::integer AS duration_minutes,
                   {spelled(old.take(table, "state"))} AS told_state, {pre} AS told_pre_confirmed,
                   {old.take(table, "confirmed_at", "moment")} AS told_confirmed,
                   {old.take(table, "executed_at", "moment")} AS told_executed,
                   {old.take(table, "no_show_at", "moment")} AS told_no_show,
                   {old.take(table, "cancelled_at", "moment")} AS told_cancelled, canceller.id AS cancelled_by_id,
                   nullif(btrim({old.take(table, "cancellation_reason")}), '') AS told_reason,
                   {old.take(table, "notes")} AS notes, {old.take(table, "professional_notes")} AS professional_notes,
                   {flag(old, table, "uses_credit", missing="false")}
                       OR coalesce({old.also(table, "uses_credits", "boolean")}, false) AS uses_credit,
                   greatest(coalesce({old.also(table, "credits_used", "bigint")}, 1), 1)::integer AS told_credits,
                   round({old.also(table, "price", "numeric")} * 100) AS told_cents,
                   {as_object(metadata)} AS metadata, {stamps(old, table)},
                   {old.take(table, "created_at", "moment")} IS NULL AS created_at_made_up,
                   EXISTS (SELECT FROM plan_professionals AS f WHERE f.gone IS NULL AND f.user_id = professional.id)
                       AS has_profile,
                   CASE WHEN professional.id IS NULL OR student.id IS NULL OR client.id IS NULL OR {at} IS NULL
                        THEN 'orphans'
                        ELSE coalesce(professional.gone, student.gone, client.gone, CASE
                             WHEN professional.organization_id <> student.organization_id
                               OR professional.organization_id <> client.organization_id
                               OR professional.organization_id <> {own} THEN 'other-organizations' END) END AS lost
              FROM {old.source(table)} {people}
              LEFT JOIN plan_users AS canceller ON canceller.id = {canceller} AND canceller.gone IS NULL
               AND canceller.organization_id = professional.organization_id
        ), standing AS MATERIALIZED (
            SELECT told.*, CASE WHEN {unknown} THEN 'draft' ELSE coalesce(told_state, 'draft') END AS state FROM told
        ), held AS MATERIALIZED (
            SELECT standing.*,
                   CASE WHEN state IN ({listed(OCCUPYING)}) OR state = 'cancelled' AND told_confirmed IS NOT NULL
                        THEN coalesce(told_pre_confirmed, least(created_at, told_confirmed)) END AS pre_confirmed_at
              FROM standing
        )
        SELECT id, organization_id, professional_id, student_id, client_id, scheduled_at, told_at, duration_minutes,
               told_minutes, state, told_state, pre_confirmed_at, told_pre_confirmed,
               CASE WHEN pre_confirmed_at IS NULL THEN NULL
                    ELSE greatest(pre_confirmed_at, least(scheduled_at, make_interval(hours => {HOLD_HOURS})
                         + CASE state WHEN 'pre_confirmed' THEN now() ELSE pre_confirmed_at END)) END AS expires_at,
               CASE WHEN state IN ({listed(FIRM)}) THEN coalesce(told_confirmed, greatest(pre_confirmed_at,
                         least(updated_at, scheduled_at)))
                    WHEN state = 'cancelled' THEN told_confirmed END AS confirmed_at, told_confirmed,
               CASE state WHEN 'executed' THEN coalesce(told_executed,
                    scheduled_at + make_interval(mins => duration_minutes)) END AS executed_at, told_executed,
               CASE state WHEN 'no_show' THEN coalesce(told_no_show, scheduled_at) END AS no_show_at, told_no_show,
               CASE state WHEN 'cancelled' THEN coalesce(told_cancelled, updated_at) END AS cancelled_at,
               told_cancelled,
               CASE state WHEN 'cancelled' THEN cancelled_by_id END AS cancelled_by_id,
               CASE WHEN state = 'cancelled' AND cancelled_by_id IS NULL THEN coalesce(told_reason, '{CANCELLED}')
                    WHEN state = 'cancelled' THEN told_reason END AS cancellation_reason, told_reason,
               notes, professional_notes, uses_credit, told_credits,
               0 AS credits_used,
               CASE WHEN told_cents BETWEEN 0 AND 2147483647 THEN told_cents::integer END AS price_cents,
               CASE WHEN told_cents BETWEEN 0 AND 2147483647
                    THEN (SELECT h.currency FROM plan_organizations AS h WHERE h.id = organization_id) END AS currency,
               metadata, created_at, updated_at, created_at_made_up,
               CASE WHEN lost IS NOT NULL THEN lost WHEN {unknown} THEN {leaves} {profile} END AS gone,
               'professional, student or client is missing, set aside or of another organization, or its state is '
               'unknown, or there is no profile' AS why, has_profile
          FROM held
    """


def _profiles() -> str:
    # The ids come from the identity column, once rows have theirs.
    return """
        CREATE TEMP TABLE plan_profiles ON COMMIT DROP AS
        SELECT DISTINCT organization_id, professional_id AS user_id
          FROM plan_appointments WHERE gone IS NULL AND NOT has_profile
    """


def _noted(old: Old) -> Iterator[str]:
    table, here = "appointments", "p.gone IS NULL AND"
    yield noted(table, "missing-profiles", f"{here} NOT has_profile", "'a profile was made, inactive'")
    yield noted(table, "numbers", f"{here} told_minutes <> duration_minutes",
                "'it lasts ' || duration_minutes || ' minutes'")  # fmt: skip
    yield noted(table, "starts", f"{here} told_at <> scheduled_at", "'it begins with the minute'")
    yield noted(table, "states", f"{here} told_state NOT IN ({listed(STATES)})", "'it became a draft'")
    lacking = (
        f"state IN ({listed(FIRM)}) AND told_confirmed IS NULL OR state = 'executed' AND told_executed IS NULL "
        "OR state = 'cancelled' AND told_cancelled IS NULL"
    )
    stray = (
        f"state NOT IN ({listed((*FIRM, 'cancelled'))}) AND told_confirmed IS NOT NULL "
        "OR state <> 'executed' AND told_executed IS NOT NULL OR state <> 'no_show' AND told_no_show IS NOT NULL "
        "OR state <> 'cancelled' AND (told_cancelled IS NOT NULL OR told_reason IS NOT NULL) "
        "OR state = 'draft' AND told_pre_confirmed IS NOT NULL"
    )
    yield noted(table, "moments", f"{here} ({lacking} OR {stray})", "'moments of its state were derived'")
    if old.has(table, "cancelled_by_id"):
        gone = (
            f"{here} state = 'cancelled' AND cancelled_by_id IS NULL AND EXISTS (SELECT FROM {old.source(table)} "
            f"WHERE o.id = p.id AND {old.take(table, 'cancelled_by_id', 'bigint')} IS NOT NULL)"
        )
        yield noted(table, "other-organizations", gone, "'cancelled_by_id was emptied'")
